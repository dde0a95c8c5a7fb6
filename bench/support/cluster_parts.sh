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
  rate_line "128 connections, 4 ms more a commit" "$many"
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
  writes=$(deliver --connections 16 --seconds "$away" --seed 41)
  rate_line "without node 2" "$writes"
  began=$(now_ms)
  dev start-node 2
  settle $((away * 2 + 60))
  bar "whole again after $away s of writing" "$(calc "($(now_ms) - $began) / 1000" 1)" '<' "$away" ' s'
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
