#!/usr/bin/env bash
# A whole cluster on this machine, for trying things out and for tests: storage nodes, each a process on its own loopback
# address (127.0.0.11, .12, ...), and frontends on 127.0.0.1, with mutual TLS between them.
#
#   dev_cluster.sh start [--nodes 3] [--frontends 2] [--users N] [--insecure-auth] [--dir DIR] [--flush-delay-ms N]
#                        [--net 127.0.0] [--port-base 2000] [--shards 64] [--set key=value]...
#   dev_cluster.sh stop | status [--json]
#   dev_cluster.sh add-node                     (one more storage node)
#   dev_cluster.sh kill N | start-node N | pause N | resume N | cut N [in|out] | heal N     (storage node N)
#   dev_cluster.sh kill-frontend N | start-frontend N | ctl [--] ARGUMENT...
#
#   --dir DIR      where everything lies (PILLARBOX_DEV_DIR, else ./pillarbox-cluster); `start` goes on with what is there
#   --users N      adds u0001..uNNNN@example.test with password pw
#   --net A.B.C    the nodes' addresses are A.B.C.11 and up, below 127
#   --port-base N  frontend 1 listens on N+525 (SMTP), N+587, N+465, N+424 (LMTP), N+110, N+995, N+143 (IMAP), N+993, N+80 (HTTP),
#                  frontend 2 a thousand higher, and so on; the nodes' ports are N+100 to N+102, and N+81 (HTTP)
#   --set k=v      any other key, for all processes; kept for later starts
#
# kill is SIGKILL, pause SIGSTOP. cut drops every packet from and to the node (in: only to it, out: only from it) with nft, as root.
# start-node of a node whose data directory was emptied makes it join as a new one. Programs that --set names are not installed.
set -euo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)
dir=${PILLARBOX_DEV_DIR:-./pillarbox-cluster}
nodes=3 frontends=2 users=0 insecure=false flush_delay=0 net=127.0.0 base=2000 shards=64 json=false
settings=()
domain=example.test

usage() { sed -n '2,24s/^# \{0,1\}//p' "$0"; exit "$1"; }
say() { printf '==> %s\n' "$*" >&2; }
die() { printf 'dev_cluster: %s\n' "$*" >&2; exit 1; }

[ $# -gt 0 ] || usage 2 >&2
command=$1
shift
arguments=()
while [ $# -gt 0 ]; do
  case $1 in
    --nodes | --frontends | --users | --dir | --flush-delay-ms | --net | --port-base | --shards | --set)
      [ -n "${2:-}" ] || die "$1 needs a value"
      case $1 in
        --nodes) nodes=$2 ;;
        --frontends) frontends=$2 ;;
        --users) users=$2 ;;
        --dir) dir=$2 ;;
        --flush-delay-ms) flush_delay=$2 ;;
        --net) net=$2 ;;
        --port-base) base=$2 ;;
        --shards) shards=$2 ;;
        --set) settings+=("$2") ;;
      esac
      shift 2
      ;;
    --insecure-auth) insecure=true; shift ;;
    --json) json=true; shift ;;
    --) shift; arguments+=("$@"); break ;;
    -h | --help) usage 0 ;;
    -*) echo "dev_cluster: unknown option '$1'" >&2; usage 2 >&2 ;;
    *) arguments+=("$1"); shift ;;
  esac
done
case "$nodes$frontends$users$flush_delay$base$shards" in *[!0-9]*) die "numbers are expected" ;; esac
case $net in 127.*.*) ;; *) die "--net must be three numbers below 127, e.g. 127.0.1" ;; esac

# --- what lies in the folder ---

bin=${PB_BIN:-$root/build/release/program/pillarbox}
node_dir() { echo "$dir/node-$1"; }
front_dir() { echo "$dir/frontend-$1"; }
node_host() { echo "$net.$((10 + $1))"; }
front_port() { echo $((base + ($1 - 1) * 1000 + $2)); }

remember() {
  {
    printf 'nodes=%s frontends=%s insecure=%s flush_delay=%s net=%s base=%s shards=%s\n' \
      "$nodes" "$frontends" "$insecure" "$flush_delay" "$net" "$base" "$shards"
    printf 'bin=%q\n' "$bin"
    printf 'settings=('
    [ ${#settings[@]} -eq 0 ] || printf '%q ' "${settings[@]}"
    printf ')\n'
  } >"$dir/cluster.env"
}
recall() { # what `start` was told
  [ -f "$dir/cluster.env" ] || die "no cluster in $dir: dev_cluster.sh start makes one (--dir, PILLARBOX_DEV_DIR)"
  dir=$(cd "$dir" && pwd)
  . "$dir/cluster.env"
  bin=${PB_BIN:-$bin} # another version, for what is started from now on
}
node_of() { # the command's first argument
  local n=${arguments[0]:-}
  case $n in '' | *[!0-9]*) die "$command needs the number of a node" ;; esac
  [ "$n" -ge 1 ] && [ "$n" -le "$nodes" ] || die "there are nodes 1 to $nodes"
  echo "$n"
}

# A process by its pid file; the command line is looked at, so that a reused number is not taken for ours.
pid_in() {
  local pid
  pid=$(cat "$1/pid" 2>/dev/null) || return 1
  [ -n "$pid" ] && tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline" | grep -qF -- "$1" && echo "$pid"
}
launch() { # launch FOLDER ROLE ARGUMENT...: a process that outlives this script
  local folder=$1
  shift
  (cd "$folder" && exec setsid "$bin" "$@" --set "log_level=${PB_LOG_LEVEL:-info}" </dev/null >>"$folder/log" 2>&1) &
  echo $! >"$folder/pid"
  disown
}
# Waits up to $1 seconds until the rest succeeds.
until_true() {
  local tries=$(($1 * 10))
  shift
  until "$@"; do
    tries=$((tries - 1))
    [ $tries -gt 0 ] || return 1
    sleep 0.1
  done
}
http() { # http HOST PORT PATH: whether it answers 200
  local status=""
  { exec 3<>"/dev/tcp/$1/$2" && printf 'GET %s HTTP/1.0\r\n\r\n' "$3" >&3 && read -r status <&3; exec 3>&-; } 2>/dev/null
  case $status in *" 200 "*) return 0 ;; *) return 1 ;; esac
}

# --- processes ---

tls_args() { # tls_args NAME
  echo --set "cluster.certificate=$dir/certs/$1.pem" --set "cluster.key=$dir/certs/$1.key" --set "cluster.node_ca=$dir/certs/node-ca.pem" \
    --set "cluster.frontend_ca=$dir/certs/frontend-ca.pem"
}
common_args() {
  local s
  for s in "${settings[@]}"; do printf -- '--set\n%s\n' "$s"; done
}
seeds() {
  local i out=""
  for ((i = 1; i <= nodes; i++)); do out+="tcp://$(node_host "$i"):$((base + 100)),"; done
  echo "${out%,}"
}

node_start() {
  local n=$1 host folder
  host=$(node_host "$n")
  folder=$(node_dir "$n")
  mkdir -p "$folder"
  if pid_in "$folder" >/dev/null; then return 0; fi
  local more
  mapfile -t more < <(common_args)
  # shellcheck disable=SC2046 # tls_args is words
  launch "$folder" storage --set "data_dir=$folder/data" --set cluster.start=wait --set "cluster.seeds=$(seeds)" \
    --set "storage.listen=tcp://$host:$((base + 100))" --set "storage.publish=tcp://$host:$((base + 101))" \
    --set "cluster.peer_listen=tcp://$host:$((base + 102))" --set "storage.admin=$host:$((base + 81))" \
    --set "storage.flush_delay_ms=$flush_delay" --set "storage.shards=$shards" $(tls_args "node-$n") "${more[@]}"
}

front_start() {
  local n=$1 folder
  folder=$(front_dir "$n")
  mkdir -p "$folder"
  if pid_in "$folder" >/dev/null; then return 0; fi
  p() { echo "127.0.0.1:$(front_port "$n" "$1")"; }
  local more
  mapfile -t more < <(common_args)
  # shellcheck disable=SC2046
  launch "$folder" frontend --set "data_dir=$folder/data" --set "frontend.storage=$(seeds)" --set "hostname=mail.$domain" \
    --set "tls.certificate=$dir/certs/mail.pem" --set "tls.key=$dir/certs/mail.key" --set "auth.insecure=$insecure" \
    --set "smtp.listen=$(p 525)" --set "submission.listen=$(p 587)" --set "submissions.listen=$(p 465)" --set "lmtp.listen=$(p 424)" \
    --set "pop3.listen=$(p 110)" --set "pop3s.listen=$(p 995)" --set "imap.listen=$(p 143)" --set "imaps.listen=$(p 993)" \
    --set "admin.listen=$(p 80)" $(tls_args "frontend-$n") "${more[@]}"
}

# ctl through the first node that runs and is a member.
ctl() {
  local i
  for ((i = 1; i <= nodes; i++)); do
    if pid_in "$(node_dir "$i")" >/dev/null && [ -f "$(node_dir "$i")/data/node.id" ]; then
      "$bin" ctl --data "$(node_dir "$i")/data" "$@"
      return
    fi
  done
  return 1
}

peer_address() { echo "tcp://$(node_host "$1"):$((base + 102))"; }
member() { [ -f "$(node_dir "$1")/data/node.id" ]; }

founded() { [ "$(metric "$1" pillarbox_shards_led)" -eq $((shards + 1)) ]; }

# Makes node N a member: of a cluster of its own if it is the first, else by asking the others.
join() {
  local n=$1
  if member "$n"; then return 0; fi
  if [ ! -f "$dir/founded" ]; then
    "$bin" ctl cluster init --data "$(node_dir "$n")/data" --shards "$shards" >/dev/null
    : >"$dir/founded"
    until_true 30 founded "$n" || die "node $n does not serve; see $(node_dir "$n")/log"
  elif [ -f "$dir/node-$n/joined" ]; then
    ctl node add --replace "$(peer_address "$n")" >/dev/null # its data directory was emptied
  else
    ctl node add "$(peer_address "$n")" >/dev/null
  fi
  until_true 30 member "$n" || die "node $n did not become a member; see $(node_dir "$n")/log"
  : >"$dir/node-$n/joined"
}

# --- looking ---

metric() { # metric N NAME: of storage node N, 0 when it does not answer
  local line value=0
  {
    exec 3<>"/dev/tcp/$(node_host "$1")/$((base + 81))" && printf 'GET /metrics HTTP/1.0\r\n\r\n' >&3
    while read -r -t 2 -u 3 line; do
      case $line in "$2 "*) value=${line#"$2 "} ;; esac
    done
    exec 3>&-
  } 2>/dev/null
  echo "${value%$'\r'}"
}
running() { pid_in "$(node_dir "$1")" >/dev/null; }
paused() { grep -q '^State:.*T' "/proc/$(cat "$(node_dir "$1")/pid")/status" 2>/dev/null; }
# Whether every shard is led and each group is what it should be, on the nodes that run.
settled() {
  local i led=0 good=0 voters=0
  for ((i = 1; i <= nodes; i++)); do
    running "$i" && ! paused "$i" || continue
    led=$((led + $(metric "$i" pillarbox_shards_led)))
    good=$((good + $(metric "$i" pillarbox_shards_settled)))
    voters=$((voters + $(metric "$i" pillarbox_shards_voters)))
  done
  [ "$led" -eq $((shards + 1)) ] && [ "$good" -eq $((shards + 1)) ] &&
    [ "$voters" -eq $(((shards + 1) * (nodes % 2 == 1 ? nodes : nodes - 1))) ]
}
front_ready() { http 127.0.0.1 "$(front_port "$1" 80)" /readyz; }

node_json() {
  local i=$1 pid=0 alive=false leads=0
  if pid=$(pid_in "$(node_dir "$i")"); then
    alive=true
    paused "$i" || leads=$(metric "$i" pillarbox_shards_led)
  else
    pid=0
  fi
  printf '{"id":%s,"host":"%s","pid":%s,"alive":%s,"leads":%s,"rpc":%s,"peer":%s,"admin":%s,"data":"%s"}' "$i" "$(node_host "$i")" "$pid" "$alive" \
    "$leads" $((base + 100)) $((base + 102)) $((base + 81)) "$(node_dir "$i")/data"
}
front_json() {
  local i=$1 pid alive=true
  pid=$(pid_in "$(front_dir "$i")") || { pid=0 alive=false; }
  printf '{"id":%s,"host":"127.0.0.1","pid":%s,"alive":%s,"smtp":%s,"submission":%s,"submissions":%s,"lmtp":%s,"imap":%s,"imaps":%s,"pop3":%s,"pop3s":%s,"admin":%s}' \
    "$i" "$pid" "$alive" "$(front_port "$i" 525)" "$(front_port "$i" 587)" "$(front_port "$i" 465)" "$(front_port "$i" 424)" \
    "$(front_port "$i" 143)" "$(front_port "$i" 993)" "$(front_port "$i" 110)" "$(front_port "$i" 995)" "$(front_port "$i" 80)"
}
list_json() { # list_json FUNCTION COUNT
  local i
  for ((i = 1; i <= $2; i++)); do
    [ "$i" -eq 1 ] || printf ','
    "$1" "$i"
  done
}
status() {
  if [ "$json" = true ]; then
    printf '{"nodes":[%s],"frontends":[%s],"settled":%s}\n' "$(list_json node_json "$nodes")" "$(list_json front_json "$frontends")" \
      "$(settled && echo true || echo false)"
    return
  fi
  local i state
  for ((i = 1; i <= nodes; i++)); do
    state=down
    if running "$i"; then state="up, leads $(metric "$i" pillarbox_shards_led) of $((shards + 1)) shards"; fi
    if running "$i" && paused "$i"; then state=paused; fi
    printf 'node %s      %-12s %s\n' "$i" "$(node_host "$i")" "$state"
  done
  for ((i = 1; i <= frontends; i++)); do
    state=down
    if pid_in "$(front_dir "$i")" >/dev/null; then state="up, IMAP on $(front_port "$i" 143), SMTP on $(front_port "$i" 525)"; fi
    printf 'frontend %s  %-12s %s\n' "$i" 127.0.0.1 "$state"
  done
}

# --- commands ---

make_users() {
  if [ ! -f "$dir/domain" ]; then
    until_true 30 ctl domain add "$domain" >/dev/null || die "the domain cannot be made"
    : >"$dir/domain"
  fi
  if [ "$users" -gt 0 ]; then
    printf 'pw\n' | ctl user add-many "$domain" "$users" >/dev/null || die "the users cannot be made"
  fi
}

start() {
  local i
  mkdir -p "$dir" && chmod 700 "$dir"
  dir=$(cd "$dir" && pwd)
  [ -f "$dir/cluster.env" ] && recall
  if [ -z "${PB_BIN:-}" ] && [ ! -x "$bin" ]; then
    say "packages and build (release)"
    "$root/deploy/scripts/install_deps.sh" build
    (cd "$root" && cmake --preset release >/dev/null && ninja -C build/release --quiet pillarbox)
  fi
  remember
  "$root/deploy/scripts/make_certs.sh" "$dir/certs" --nodes "$nodes" --frontends "$frontends" >/dev/null
  if [ ! -f "$dir/certs/mail.pem" ]; then
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 825 -keyout "$dir/certs/mail.key" -out "$dir/certs/mail.pem" \
      -subj "/CN=localhost" -addext "subjectAltName=DNS:localhost,IP:127.0.0.1" 2>/dev/null
  fi
  say "storage nodes"
  for ((i = 1; i <= nodes; i++)); do node_start "$i"; done
  for ((i = 1; i <= nodes; i++)); do join "$i"; done
  say "users"
  make_users
  say "frontends"
  for ((i = 1; i <= frontends; i++)); do front_start "$i"; done
  for ((i = 1; i <= frontends; i++)); do
    until_true 60 front_ready "$i" || die "frontend $i is not ready; see $(front_dir "$i")/log"
  done
  say "replicas"
  until_true 120 settled || die "the shards are not replicated yet; see ctl cluster status and $dir/node-*/log"
  status
}

# end FOLDER...: SIGTERM to all, then SIGKILL to what is left after 40 s.
end() {
  local folder pid
  local left=()
  for folder in "$@"; do
    if pid=$(pid_in "$folder"); then
      kill -CONT "$pid" 2>/dev/null || true
      kill -TERM "$pid" 2>/dev/null || true
      left+=("$folder")
    fi
  done
  for folder in "${left[@]}"; do
    until_true 40 gone "$folder" || { pid=$(pid_in "$folder") && kill -KILL "$pid"; }
    rm -f "$folder/pid"
  done
}
gone() { ! pid_in "$1" >/dev/null; }

stop() {
  local i
  local fronts=() stores=()
  for ((i = 1; i <= frontends; i++)); do fronts+=("$(front_dir "$i")"); done
  for ((i = 1; i <= nodes; i++)); do
    nft_drop "$i"
    stores+=("$(node_dir "$i")")
  done
  end "${fronts[@]}"
  end "${stores[@]}"
}

kill_hard() { # kill_hard FOLDER
  local pid
  pid=$(pid_in "$1") || die "it does not run"
  kill -KILL "$pid"
  until_true 10 gone "$1" || die "process $pid does not end"
  rm -f "$1/pid"
}
node_signal() {
  local pid
  pid=$(pid_in "$(node_dir "$1")") || die "node $1 does not run"
  kill "-$2" "$pid"
}
start_node() {
  local n=$1
  node_start "$n"
  join "$n"
}
add_node() {
  nodes=$((nodes + 1))
  remember
  "$root/deploy/scripts/make_certs.sh" "$dir/certs" --nodes "$nodes" --frontends "$frontends" >/dev/null
  start_node "$nodes"
}

# --- cuts: a table of nft for each node; its processes send from its own address ---

nft_table() { echo "pillarbox_$(node_host "$1" | tr . _)"; }
nft_drop() { [ ! -f "$(node_dir "$1")/cut" ] || { nft delete table ip "$(nft_table "$1")" 2>/dev/null || true; rm -f "$(node_dir "$1")/cut"; }; }
cut_node() {
  local n=$1 way=${2:-both} host table
  host=$(node_host "$n")
  table=$(nft_table "$n")
  command -v nft >/dev/null && [ "$(id -u)" = 0 ] || die "cut needs root and nft (package nftables)"
  nft_drop "$n"
  nft add table ip "$table"
  : >"$(node_dir "$n")/cut"
  nft add chain ip "$table" out '{ type filter hook output priority 0; }'
  # What the node says to itself goes on.
  nft add rule ip "$table" out ip saddr "$host" ip daddr "$host" accept
  [ "$way" = in ] || nft add rule ip "$table" out ip saddr "$host" drop
  [ "$way" = out ] || nft add rule ip "$table" out ip daddr "$host" drop
}

if [ "$command" != start ]; then recall; fi
case $command in
  start) start ;;
  stop) stop ;;
  status) status ;;
  kill) n=$(node_of) && kill_hard "$(node_dir "$n")" ;;
  add-node) add_node ;;
  start-node) n=$(node_of) && start_node "$n" ;;
  pause) n=$(node_of) && node_signal "$n" STOP ;;
  resume) n=$(node_of) && node_signal "$n" CONT ;;
  cut) n=$(node_of) && cut_node "$n" "${arguments[1]:-both}" ;;
  heal) n=$(node_of) && nft_drop "$n" ;;
  kill-frontend) kill_hard "$(front_dir "${arguments[0]:?which frontend}")" ;;
  start-frontend) front_start "${arguments[0]:?which frontend}" ;;
  ctl) ctl "${arguments[@]}" ;;
  *) echo "dev_cluster: unknown command '$command'" >&2; usage 2 >&2 ;;
esac
