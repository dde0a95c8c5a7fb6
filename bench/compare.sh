#!/usr/bin/env bash
# Runs one load after the other against Pillarbox and Dovecot on this machine and prints how they compare.
#
#   ./bench/compare.sh [--quick] [--seconds N] [--only ROW]... [--tuned] [--flush-delay-ms N] [--bin FILE] [--data DIR]
#                      [--port-base N] [--json FILE] [--list]
#
#   --quick            small mailboxes and 2 seconds each: whether it works, not how fast it is
#   --seconds N        length of each measurement (5)
#   --only ROW         only this row of the table (repeat for more); --list prints their names
#   --tuned            also Dovecot with login processes that serve many connections (service_count = 0)
#   --flush-delay-ms N Pillarbox sleeps N ms in each flush (one in a commit), to stand for an ordinary disk
#   --bin FILE         another Pillarbox than build/release/program/pillarbox
#   --data DIR         where all mail and sockets lie; removed at the end (a new folder below ${TMPDIR:-/tmp})
#   --port-base N      loopback ports N to N+99 (14000)
#   --json FILE        keeps every result, one JSON object a line
#
# Needs root: Dovecot and Postfix (installed from Debian when missing, never started by their packages) change users.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
here=$root/bench
seconds=5
tuned=false
flush_delay=0
bin=$root/build/release/program/pillarbox
data=
base=14000
json=
only=()
domain=example.test
many=10000 # messages of the mailboxes for FETCH and SEARCH, and of the one for SELECT
huge=100000
idle=400 # connections of the row `idle`

usage() { sed -n '2,19s/^# \{0,1\}//p' "$0"; exit "$1"; }
say() { printf '==> %s\n' "$*" >&2; }
fail() { printf 'compare: %s\n' "$*" >&2; exit 1; }

. "$here/support/rows.sh"

while [ $# -gt 0 ]; do
  case "$1" in
    --quick) seconds=2; many=1000; huge=4000; idle=40; shift ;;
    --seconds) seconds=${2:?--seconds needs a number}; shift 2 ;;
    --only) only+=("${2:?--only needs a row}"); shift 2 ;;
    --tuned) tuned=true; shift ;;
    --flush-delay-ms) flush_delay=${2:?--flush-delay-ms needs a number}; shift 2 ;;
    --bin) bin=${2:?--bin needs a file}; shift 2 ;;
    --data) data=${2:?--data needs a folder}; shift 2 ;;
    --port-base) base=${2:?--port-base needs a number}; shift 2 ;;
    --json) json=${2:?--json needs a file}; shift 2 ;;
    --list) rows_names; exit 0 ;;
    -h | --help) usage 0 ;;
    *) echo "compare: unknown argument '$1'" >&2; usage 2 >&2 ;;
  esac
done
case "$seconds$flush_delay$base" in *[!0-9]*) fail "--seconds, --flush-delay-ms and --port-base take numbers" ;; esac
[ "$(id -u)" = 0 ] || fail "needs root (Dovecot and Postfix change users)"
for r in "${only[@]}"; do
  rows_names | grep -qx -- "$r" || fail "no row '$r'; --list prints them"
done

load=$root/build/release/bench/pb_bench_load
if [ ! -x "$load" ] || [ ! -x "$bin" ]; then
  say "build (release)"
  (cd "$root" && cmake --preset release >/dev/null && ninja -C build/release --quiet pillarbox pb_bench_load)
fi
"$root/deploy/scripts/install_deps.sh" bench

if [ -z "$data" ]; then data=$(mktemp -d "${TMPDIR:-/tmp}/pillarbox-bench.XXXXXX"); else mkdir -p "$data"; fi
data=$(cd "$data" && pwd)
chmod 755 "$data"
results=$data/results.jsonl
: >"$results"

. "$here/support/servers.sh"
trap servers_stop EXIT
trap 'exit 130' INT TERM

wanted() {
  local r
  [ ${#only[@]} -gt 0 ] || return 0
  for r in "${only[@]}"; do [ "$r" != "$1" ] || return 0; done
  return 1
}

# One measurement; a failure is a row without a figure, not the end of the comparison.
measure() {
  local server=$1 row=$2 out
  shift 2
  if out=$("$load" "$@" --server "$server" --cgroup "$(cgroup_of "$server")" --domain "$domain" 2>"$data/load.err"); then
    printf '{"row": "%s", %s\n' "$row" "${out#\{}" | tee -a "$results" >&2
  else
    say "$row on $server failed: $(head -c 400 "$data/load.err")"
    printf '{"row": "%s", "server": "%s", "failed": true}\n' "$row" "$server" >>"$results"
  fi
}

fill() {
  local server=$1
  shift
  "$load" "$@" --server "$server" --domain "$domain" >>"$data/fill.jsonl" 2>"$data/load.err" ||
    fail "cannot fill $server: $(head -c 400 "$data/load.err")"
}

declare -A filled
. "$here/support/fill.sh"

servers_start
for name in $(rows_names); do
  wanted "$name" || continue
  row_of "$name"
  for server in $(servers_of "$row_servers"); do
    for set in $row_sets; do
      if [ -z "${filled[$server.$set]:-}" ]; then "fill_$set" "$server"; filled[$server.$set]=1; fi
    done
  done
  for server in $(servers_of "$row_servers"); do
    # shellcheck disable=SC2046,SC2086
    measure "$server" "$name" $row_work $(row_ports "$server") --seconds "$seconds" $row_args
  done
done

[ -z "$json" ] || cp "$results" "$json"
python3 "$here/support/table.py" "$results"
