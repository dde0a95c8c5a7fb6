# The parts of bench/cluster.sh.

normal() { cluster_up normal --users $users; }

one_up() {
  [ ${#started[@]} -eq 0 ] || return 0
  pillarbox_start
  started=("$!")
  wait_port "$(port_of pillarbox 143)" pillarbox
  pillarbox_users
}
one_down() {
  kill -TERM "${started[0]}"
  wait "${started[0]}" || true
  started=()
  rm -rf "$data/pillarbox"
}
one_deliver() { "$load" lmtp --port "$(port_of pillarbox 424)" --users $written --warm 0 --server one --domain "$domain" "$@"; }

rate_line() { # rate_line LABEL JSON
  report "$1: $(field "$2" ops_per_s)/s, p50 $(field "$2" p50_ms) ms, p99 $(field "$2" p99_ms) ms"
}

part_writes() {
  part=writes
  local n one many before
  normal
  one_up
  one_deliver --connections 8 --ops $written --seed 7 >/dev/null
  deliver --connections 8 --ops $written --seed 7 >/dev/null
  for n in 16 128; do
    one=$(one_deliver --connections $n --seconds "$seconds" --seed "1$n")
    rate_line "$n connections, one node" "$one"
    before=$(cpu_us | tr '\n' ' ')
    many=$(deliver --connections $n --seconds "$seconds" --seed "2$n")
    rate_line "$n connections, three nodes" "$many"
    report "CPU us a delivery: $(cpu_since "$before" "$(field "$many" ops)" 0)"
    bar "$n connections, rate against one node" "$(calc "$(field "$many" ops_per_s) / $(field "$one" ops_per_s)")" '>=' 0.35 ''
  done
  one_down
}

part_delay() {
  part=delay
  local many before
  cluster_up delay --users $users --flush-delay-ms 2
  deliver --connections 8 --ops $written --seed 7 >/dev/null
  before=$(cpu_us | tr '\n' ' ')
  many=$(deliver --connections 128 --seconds "$seconds")
  rate_line "128 connections, 2 ms more a flush" "$many"
  report "CPU us a delivery: $(cpu_since "$before" "$(field "$many" ops)" 0)"
  bar "deliveries a second" "$(field "$many" ops_per_s)" '>=' 4000 /s
}

list_50() { run fetch_list --port "$imap" --user-first $((written + 1)) --users 8 --connections 4 --messages "$messages" --seconds "$seconds"; }

part_reads() {
  part=reads
  local alone beside writes
  normal
  if [ ! -f "$data/normal/filled" ]; then
    run append --port "$imap" --user-first $((written + 1)) --users 8 --connections 8 --ops-each "$messages" --seed 9 >/dev/null
    : >"$data/normal/filled"
  fi
  alone=$(list_50)
  rate_line "list of 50, 4 connections, alone" "$alone"
  deliver --connections 16 --seconds $((seconds + 3)) --seed 31 >"$data/beside.json" &
  loading=$!
  beside=$(list_50)
  wait "$loading" || fail "the deliveries beside failed"
  loading=
  writes=$(cat "$data/beside.json")
  rate_line "the same while 16 connections write" "$beside"
  rate_line "what they wrote" "$writes"
  report "p99 $(calc "$(field "$beside" p99_ms) / $(field "$alone" p99_ms)") times what it is alone"
}

most_leads() { # the node that leads most
  dev status --json | grep -o '"leads":[0-9]*' | awk -F: '$2 > most { most = $2; node = NR } END { print node, most }'
}

failover_round() { # failover_round N: leaves the load's line in $data/round.json
  local victim leads
  normal
  read -r victim leads < <(most_leads)
  deliver --connections 16 --seconds 14 --seed $((100 + $1)) >"$data/round.json" 2>"$data/round.err" &
  loading=$!
  sleep 3
  dev kill "$victim"
  wait "$loading" || { say "round $1: $(head -c 300 "$data/round.err")"; : >"$data/round.json"; }
  loading=
  dev start-node "$victim"
  round_what="round $1: node $victim, leading $leads"
}

# share PERMILLE: of the numbers on stdin
share() { sort -n | awk -v p="$1" '{ v[NR] = $1 } END { i = int((NR * p + 999) / 1000); print v[i < 1 ? 1 : i] }'; }

part_failover() {
  part=failover
  local i line longest=() failed=0
  normal
  for ((i = 1; i <= rounds; i++)); do
    failover_round "$i"
    line=$(cat "$data/round.json")
    if [ -z "$line" ]; then
      failed=$((failed + 1))
      report "$round_what: a delivery failed"
      continue
    fi
    longest+=("$(field "$line" longest_ms)")
    report "$round_what: longest delivery ${longest[-1]} ms, none at all for $(field "$line" gap_max_ms) ms"
  done
  settle 120
  bar "rounds in which a delivery failed" $failed '==' 0 ''
  if [ ${#longest[@]} -eq 0 ]; then return; fi
  bar "longest delivery of $rounds rounds, p50" "$(printf '%s\n' "${longest[@]}" | share 500)" '<=' 3000 ' ms'
  bar "longest delivery of $rounds rounds, p99" "$(printf '%s\n' "${longest[@]}" | share 990)" '<=' 5000 ' ms'
}

part_catchup() {
  part=catchup
  local writes began
  normal
  dev kill 2
  writes=$(deliver --connections 16 --seconds "$away" --deadline $((away + 120)) --seed 41)
  rate_line "without node 2" "$writes"
  began=$(now_ms)
  dev start-node 2
  settle $((away * 2 + 60))
  bar "whole again after $away s of writing" "$(calc "($(now_ms) - $began) / 1000" 1)" '<' "$away" ' s'
}

# Three nodes whose logs do not reach back to the first mail: it was delivered while the first was alone, and keeps little log.
copied_cluster() {
  cluster_up copied --nodes 1 --users $users --set "storage.copy_rate=$copy_rate MiB"
  [ ! -f "$data/copied/filled" ] || return 0
  run append --port "$imap" --user-first $((written + 1)) --users 8 --connections 8 --ops-each "$messages" --seed 9 >/dev/null
  deliver --connections 8 --ops $((copy_mib * 16)) --size 65536 --deadline 600 --seed 51 >/dev/null
  sed -i 's/^nodes=1 /nodes=3 /' "$data/copied/cluster.env"
  dev start >"$data/copied.start" 2>&1 || fail "nodes 2 and 3 do not join: $(tail -n 3 "$data/copied.start")"
  : >"$data/copied/filled"
  spread
}
node_metric() { # node_metric NODE NAME
  { exec 3<>"/dev/tcp/$net.$((10 + $1))/$((port_base + 81))" && printf 'GET /metrics HTTP/1.0\r\n\r\n' >&3; } 2>/dev/null || return 0
  sed -n "s/^$2 \([0-9]*\).*/\1/p" <&3
  exec 3>&-
}
copy_sent() { node_metric "$1" pillarbox_copy_sent_bytes; }
elections() { # elections NODE...: of all of them
  local n sum=0
  for n in "$@"; do sum=$((sum + $(node_metric "$n" pillarbox_elections))); done
  echo "$sum"
}
# Every quarter of a second, until it is killed: time in ms, node, bytes.
watch_copies() {
  while :; do
    printf '%s 1 %s\n%s 2 %s\n' "$(now_ms)" "$(copy_sent 1)" "$(now_ms)" "$(copy_sent 2)"
    sleep 0.25
  done
}
# "MIB SECONDS FASTEST": all that was sent, from the first to the last byte, and MiB/s of the node that sent most within about a second.
copies_seen() {
  awk 'NF == 3 {
         if (!($2 in n)) { n[$2] = 0; first[$2] = $3 }
         if ($3 > sent[$2] && ($2 in sent)) { began = began ? began : was; ended = $1 }
         was = $1; sent[$2] = $3; at[$2, n[$2]] = $1; bytes[$2, n[$2]] = $3
         for (j = n[$2]; j > 0 && $1 - at[$2, j] < 1000; j--) {}
         if ($1 > at[$2, j]) { rate = ($3 - bytes[$2, j]) / 1048.576 / ($1 - at[$2, j]); most = rate > most ? rate : most }
         n[$2]++
       }
       END { for (i in sent) all += sent[i] - first[i]; printf "%.0f %.1f %.1f\n", all / 1048576, (ended - began) / 1000, most }'
}
load_both() { # load_both LABEL: deliveries and lists at once; their p99 in p99_deliveries and p99_lists
  deliver --connections 16 --seconds "$seconds" --seed 61 >"$data/deliveries.json" &
  loading=$!
  local lists
  lists=$(list_50)
  wait "$loading" || fail "the deliveries failed"
  loading=
  rate_line "deliveries, $1" "$(cat "$data/deliveries.json")"
  rate_line "lists of 50, $1" "$lists"
  p99_deliveries=$(field "$(cat "$data/deliveries.json")" p99_ms)
  p99_lists=$(field "$lists" p99_ms)
}

part_copy() {
  part=copy
  local began watcher before mib took fastest
  copied_cluster
  dev kill 3
  sleep 8 # its shards have other leaders
  load_both "node 3 away"
  before=$(elections 1 2)
  [ "$before" -gt 0 ] || fail "no election after a node was killed: they are not counted"
  rm -rf "$data/copied/node-3/data"
  watch_copies >"$data/copies" 2>/dev/null &
  watcher=$!
  began=$(now_ms)
  dev start-node 3
  load_both "node 3 copied to"
  settle 300
  took=$(calc "($(now_ms) - $began) / 1000" 1)
  kill "$watcher"
  wait "$watcher" 2>/dev/null || true
  report "whole again after $took s"
  read -r mib took fastest < <(copies_seen <"$data/copies")
  report "copied $mib MiB in $took s, with storage.copy_rate = $copy_rate MiB"
  bar "elections" "$(($(elections 1 2 3) - before))" '==' 0 ''
  bar "the node that sends fastest" "$fastest" '<=' "$(calc "$copy_rate * 1.05 + 2" 1)" ' MiB/s'
}

# Four nodes, three replicas of each of four shards, mail in all of them.
moving_cluster() {
  cluster_up moving --nodes 4 --shards 4 --users $users --set "storage.copy_rate=$copy_rate MiB"
  dev ctl -- cluster replicas 3
  run append --port "$imap" --user-first $((written + 1)) --users 8 --connections 8 --ops-each "$messages" --seed 9 >/dev/null
  deliver --connections 8 --ops $((move_mib * 16)) --size 65536 --deadline 900 --seed 51 >/dev/null
  settle 300
}
shard_line() { dev ctl -- shard status "$1"; }
# move_turns: shard 1 goes to the node without it and back, until it is told to stop. Lines of milliseconds.
move_turns() {
  local from to leader began
  while [ ! -f "$data/moves.stop" ]; do
    leader=$(shard_line 1 | sed -n 's/.*leader=\([0-9]*\).*/\1/p')
    to=$(shard_line 1 | tr '\t' '\n' | sed -n 's/^\([0-9]*\)=voter.*/\1/p' | sort | comm -13 - <(seq 4) | head -n 1)
    from=$(seq 4 | grep -vx -e "$leader" -e "$to" | head -n 1)
    began=$(now_ms)
    dev ctl -- shard move 1 "$from" "$to" >"$data/move.out" 2>&1 || { echo failed; return; }
    now=$(now_ms)
    echo $((now - began))
    sleep 20 # what the node that is left holds of it is thrown away before it comes back
  done
}

part_move() {
  part=move
  local alone_d alone_l mover sent moves took
  moving_cluster
  load_both "no shard moves"
  alone_d=$p99_deliveries alone_l=$p99_lists
  sent=$(($(copy_sent 1) + $(copy_sent 2) + $(copy_sent 3) + $(copy_sent 4)))
  rm -f "$data/moves.stop"
  move_turns >"$data/moves" &
  mover=$!
  load_both "shard 1 moves"
  : >"$data/moves.stop"
  wait "$mover"
  sent=$(($(copy_sent 1) + $(copy_sent 2) + $(copy_sent 3) + $(copy_sent 4) - sent))
  ! grep -q failed "$data/moves" || fail "a move failed: $(cat "$data/move.out")"
  moves=$(wc -l <"$data/moves")
  took=$(head -n 1 "$data/moves")
  report "$moves moves under load, the first of about $((move_mib / 4)) MiB in $took ms: $(calc "$move_mib / 4 * 1000 / $took" 1) MiB/s; $(calc "$sent / 1048576" 0) MiB of it all by copies, the rest from the log"
  bar "p99 of deliveries, times what it is without" "$(calc "$p99_deliveries / $alone_d")" '<' 2 ''
  bar "p99 of lists of 50, times what it is without" "$(calc "$p99_lists / $alone_l")" '<' 2 ''
}

part_idle() {
  part=idle
  local before each
  cluster_up idle --users 0 --shards 256
  sleep 5
  before=$(cpu_us | tr '\n' ' ')
  sleep "$idle_seconds"
  each=$(cpu_since "$before" $((idle_seconds * 10000)) 2)
  report "256 shards, percent of a core: $each"
  bar "the busiest storage node" "$(tr ',' '\n' <<<"$each" | awk '/node/ && $2 > most { most = $2 } END { print most + 0 }')" '<' 3 ' %'
}
