#!/usr/bin/env bash
# Loads of Pillarbox alone that have bounds of their own: slow flushes, one account of 1,000,000 messages, its memory, its start.
#
#   ./bench/special.sh [--quick] [--seconds N] [--bin FILE] [--port-base N] [flush|million|backup]...
#
#   flush    128 LMTP connections while each flush takes 2 ms longer: at least 5,000 deliveries/s
#   million  a mailbox of 1,000,000 messages (--quick: 20,000): APPEND and a list of 50 at most 20 % slower than with 10,000;
#            STORE 1:* delays another account's delivery by at most 50 ms; anonymous memory; time to start again,
#            and by computation with 10,000,000 messages
#   backup   640 MiB of mail (--quick: 64) in messages of 16 KiB: a backup while mail goes on and alone, incremental, verified,
#            restored as a cluster
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
here=$root/bench
load=$root/build/release/bench/pb_bench_load
bin=$root/build/release/program/pillarbox
seconds=10
copies=100
many=10000
base=14000
domain=example.test
flush_delay=0
copy_rate="64 MiB"
tuned=false
only=()
parts=()

say() { printf '==> %s\n' "$*" >&2; }
fail() { printf 'special: %s\n' "$*" >&2; exit 1; }

while [ $# -gt 0 ]; do
  case "$1" in
    --quick) seconds=2; copies=20; many=1000; shift ;;
    --seconds) seconds=${2:?--seconds needs a number}; shift 2 ;;
    --bin) bin=${2:?--bin needs a file}; shift 2 ;;
    --port-base) base=${2:?--port-base needs a number}; shift 2 ;;
    flush | million | backup) parts+=("$1"); shift ;;
    -h | --help) sed -n '2,11s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) fail "unknown argument '$1'; --help tells more" ;;
  esac
done
[ ${#parts[@]} -gt 0 ] || parts=(flush million backup)
[ -x "$load" ] && [ -x "$bin" ] || fail "build first: cmake --preset release && ninja -C build/release"

data=$(mktemp -d "${TMPDIR:-/tmp}/pillarbox-bench.XXXXXX")
. "$here/support/servers.sh"
servers=(pillarbox)
find_cgroups
trap servers_stop EXIT
trap 'exit 130' INT TERM
lmtp=$(port_of pillarbox 424)
imap=$(port_of pillarbox 143)

run() { "$load" "$@" --server pillarbox --cgroup "$(cgroup_of pillarbox)" --domain "$domain" --deadline 1800; }
big() { run "$@" --port "$imap" --user-first 401 --mailbox Big; }
quiet() { "$@" >/dev/null; }

start() {
  pillarbox_start
  started=("$!")
  wait_port "$imap" pillarbox
}

stop() {
  kill -TERM "${started[0]}"
  wait "${started[0]}" || true
  started=()
}

# ready_ms [SIGNAL]: the milliseconds from a start to the first port that listens (the listeners come last), after an end
# by that signal.
ready_ms() {
  local began
  for pid in $(pids_of pillarbox); do kill "-${1:-TERM}" "$pid"; done
  wait "${started[0]}" || true
  began=$(date +%s%N)
  pillarbox_start
  started=("$!")
  until (exec 3<>"/dev/tcp/127.0.0.1/$imap") 2>/dev/null; do sleep 0.005; done
  echo "$((($(date +%s%N) - began) / 1000000))"
}

part_flush() {
  flush_delay=2
  start
  pillarbox_users
  quiet run lmtp --port "$lmtp" --users 200 --connections 8 --ops 200 --seed 7
  run lmtp --port "$lmtp" --users 200 --connections 128 --seconds "$seconds"
  stop
  flush_delay=0
  rm -rf "$data/pillarbox"
}

part_million() {
  local all=$((many * copies)) storing few_ms all_ms
  start
  pillarbox_users
  say "$many messages"
  quiet run append --port "$imap" --user-first 401 --connections 8 --ops "$many" --seed 9
  run append --port "$imap" --user-first 401 --connections 16 --seconds "$seconds"
  run fetch_list --port "$imap" --user-first 401 --connections 4 --messages "$many" --seconds "$seconds"
  ready_ms >"$data/ready"
  few_ms=$(cat "$data/ready")
  say "ready $few_ms ms after a start with $many messages"
  say "$all messages"
  quiet big create --ops 1
  big copy --ops "$copies"
  big append --connections 16 --seconds "$seconds"
  big fetch_list --connections 4 --messages "$all" --seconds "$seconds"
  say "delivery to another account: alone, then while all messages get a flag"
  run lmtp --port "$lmtp" --connections 1 --seconds "$seconds"
  big store_all --ops 2 &
  storing=$!
  run lmtp --port "$lmtp" --connections 1 --seconds "$seconds" --warm 0
  wait "$storing"
  grep -E '^(RssAnon|RssFile|VmHWM)' "/proc/${started[0]}/status"
  ready_ms >"$data/ready"
  all_ms=$(cat "$data/ready")
  say "ready $all_ms ms after a start with $all messages; by that, with 10,000,000: $((few_ms + (all_ms - few_ms) * (10000000 / many) / copies)) ms"
  big append --connections 16 --seconds "$seconds"
  ready_ms KILL >"$data/ready"
  say "ready $(cat "$data/ready") ms after a start that follows kill -9 under APPEND; the map is $(du -h --apparent-size "$data/pillarbox/volume.mdb" | cut -f1) of 1 TiB"
  stop
}

ctl() { "$bin" ctl --data "$data/pillarbox" "$@"; }

part_backup() {
  local taking messages=$((many * 4))
  start
  pillarbox_users
  say "$messages messages of 16 KiB"
  quiet run lmtp --port "$lmtp" --users 200 --connections 32 --ops "$messages" --size 16384 --seed 11
  say "delivery alone, then while a backup is taken"
  run lmtp --port "$lmtp" --users 200 --connections 4 --seconds "$seconds"
  ctl backup "$data/beside" &
  taking=$!
  run lmtp --port "$lmtp" --users 200 --connections 4 --seconds "$seconds" --warm 0
  wait "$taking"
  say "a backup alone: full, as fast as storage.copy_rate allows and without a bound; what was written since; verified; restored"
  ctl backup "$data/bounded"
  stop
  copy_rate=64GiB
  start
  ctl backup "$data/full"
  quiet run lmtp --port "$lmtp" --users 200 --connections 4 --ops 200 --size 16384 --seed 12
  ctl backup "$data/full" --incremental
  time ctl backup verify "$data/full"
  "$bin" ctl --data "$data/restored" restore --from "$data/full"
  du -sh "$data/full" "$data/restored"
  stop
}

for p in "${parts[@]}"; do "part_$p"; done
