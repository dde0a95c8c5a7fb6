# A cluster by deploy/scripts/dev_cluster.sh below $data, loads of it, and what its processes cost.

running=  # name of the cluster that is up
loading=  # process id of a load in the background
users=208 # u0001 to u0200 get mail, the rest is read
written=200
lmtp=$((port_base + 424))
imap=$((port_base + 143))
bars=()
missed=0

dev() { PILLARBOX_DEV_DIR=$data/$running PB_BIN=$bin PB_LOG_LEVEL=warn timeout --foreground 400 "$dev" "$@"; }

# cluster_up NAME ARGUMENT...: one cluster at a time; the last one stays when it has this name.
cluster_up() {
  local name=$1
  shift
  [ "$running" != "$name" ] || { settle 120; spread; return; }
  cluster_down
  running=$name
  dev start --nodes 3 --frontends 1 --insecure-auth --net "$net" --port-base "$port_base" "${settings[@]}" "$@" >"$data/$name.start" 2>&1 ||
    fail "the cluster does not start: $(tail -n 3 "$data/$name.start")"
  spread
}
cluster_down() {
  [ -n "$running" ] || return 0
  if [ -d "$data/$running" ]; then
    dev stop || true
    [ -n "${KEEP_DATA:-}" ] || rm -rf "${data:?}/$running"
  fi
  running=
}

all_stop() {
  trap - EXIT
  trap '' INT TERM
  if [ -n "$loading" ]; then kill -TERM "$loading" 2>/dev/null || true; fi
  cluster_down
  servers_stop
}

settled() { dev status --json | grep -q '"settled":true'; }
settle() { # settle SECONDS
  local end=$((SECONDS + $1))
  until settled; do
    [ $SECONDS -lt $end ] || fail "the cluster is not whole again after $1 s; see KEEP_DATA=1 and $data/$running/node-*/log"
    sleep 0.2
  done
}

# Leadership goes to its preferred nodes 10 s after they came up; a measurement should not see that.
is_spread() {
  dev status --json | grep -o '"leads":[0-9]*' |
    awk -F: '{ all += $2; most = $2 > most ? $2 : most } END { exit !(most * NR <= all + 2 * NR) }'
}
spread() {
  local end=$((SECONDS + 60))
  until is_spread || [ $SECONDS -ge $end ]; do sleep 0.5; done
}

# --- loads ---

run() { "$load" "$@" --server cluster --domain "$domain"; }
deliver() { run lmtp --port "$lmtp" --users $written --warm 0 "$@"; }
field() { sed -n "s/.*\"$2\": \([0-9.]*\).*/\1/p" <<<"$1"; } # field JSON KEY
calc() { awk "BEGIN { printf \"%.${2:-2}f\", $1 }"; }        # calc EXPRESSION [DIGITS]
now_ms() { echo $(($(date +%s%N) / 1000000)); }

# --- processes: name, then microseconds of CPU since their start ---

cpu_us() {
  local folder pid
  for folder in "$data/$running"/frontend-* "$data/$running"/node-*; do
    pid=$(cat "$folder/pid" 2>/dev/null) || continue
    printf '%s %s\n' "$(basename "$folder")" "$(awk -v hz="$(getconf CLK_TCK)" '{ print ($14 + $15) * 1e6 / hz }' "/proc/$pid/stat")"
  done
}
# cpu_since BEFORE DIVISOR DIGITS: "frontend-1 210, node-1 350, ..."
cpu_since() {
  cpu_us | awk -v before="$1" -v by="$2" -v digits="$3" '
    BEGIN { n = split(before, w); for (i = 1; i < n; i += 2) was[w[i]] = w[i + 1] }
    { printf("%s%s %." digits "f", (NR > 1 ? ", " : ""), $1, ($2 - was[$1]) / by) }'
}

# --- results ---

report() { printf '%-9s %s\n' "$part" "$*"; }
# bar WHAT VALUE RELATION LIMIT UNIT
bar() {
  local word=missed
  if awk "BEGIN { exit !($2 $3 $4) }"; then word=met; else missed=1; fi
  bars+=("$(printf '%-9s %s %s%s (bar: %s %s%s): %s' "$part" "$1" "$2" "$5" "$3" "$4" "$5" "$word")")
  printf '%s\n' "${bars[-1]}"
}
verdicts() {
  printf '\n'
  printf '%s\n' "${bars[@]}"
  [ "$missed" = 0 ] || exit 1
}
