#!/usr/bin/env bash
# A cluster of three on this machine under load: its figures and whether they meet the bars.
#
#   ./bench/cluster.sh [--quick] [--seconds N] [--rounds N] [--away N] [--copy-rate MIB] [--data DIR] [--bin FILE] [--net A.B.C]
#                      [--port-base N] [--set KEY=VALUE]... [PART]...
#
#   writes    LMTP, 4 KiB, 16 and 128 connections against `pillarbox all` beside it: at least 0.35 of its rate
#   delay     128 connections while each flush takes 2 ms longer: at least 4,000 deliveries/s
#   reads     a list of 50 alone, then while 16 LMTP connections write
#   failover  kill -9 of the node that leads most under 16 LMTP connections, --rounds times (12): the longest delivery of any
#             connection p50 at most 3 s, p99 at most 5 s
#   catchup   a node away for --away seconds (60) of writing is whole again in less time than that
#   copy      a node that lost its disk is copied to while 16 LMTP connections write and 4 read: no election, no node sends faster
#             than storage.copy_rate (--copy-rate, 64)
#   move      a shard moves between nodes while 16 LMTP connections write and 4 read: time, bandwidth, p99 less than twice what it is without
#   idle      256 shards without work: each storage node less than 3 % of a core
#
# All of them when none is named. --seconds is the length of a measurement (10); everything lies in --data (a new folder below
# ${TMPDIR:-/tmp}), and is stopped and removed at the end and on Ctrl-C. Exit 1 when a bar is missed, 2 when a part cannot run.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
here=$root/bench
dev=$root/deploy/scripts/dev_cluster.sh
load=$root/build/release/bench/pb_bench_load
bin=$root/build/release/program/pillarbox
seconds=10 rounds=12 away=60 idle_seconds=20 messages=500 copy_rate=64 copy_mib=320 move_mib=512
net=127.0.38 port_base=18000
data=
domain=example.test
flush_delay=0
tuned=false
only=()
settings=() # of the cluster's processes
parts=()

usage() { sed -n '2,20s/^# \{0,1\}//p' "$0"; exit "$1"; }
say() { printf '==> %s\n' "$*" >&2; }
fail() { printf 'cluster: %s\n' "$*" >&2; exit 2; }

while [ $# -gt 0 ]; do
  case "$1" in
    --quick) seconds=2 rounds=2 away=5 idle_seconds=5 messages=100 copy_mib=60 move_mib=60; shift ;;
    --seconds) seconds=${2:?--seconds needs a number}; shift 2 ;;
    --rounds) rounds=${2:?--rounds needs a number}; shift 2 ;;
    --copy-rate) copy_rate=${2:?--copy-rate needs a number}; shift 2 ;;
    --away) away=${2:?--away needs a number}; shift 2 ;;
    --data) data=${2:?--data needs a folder}; shift 2 ;;
    --bin) bin=${2:?--bin needs a file}; shift 2 ;;
    --net) net=${2:?--net needs three numbers}; shift 2 ;;
    --set) settings+=(--set "${2:?--set needs key=value}"); shift 2 ;;
    --port-base) port_base=${2:?--port-base needs a number}; shift 2 ;;
    writes | delay | reads | failover | catchup | copy | move | idle) parts+=("$1"); shift ;;
    -h | --help) usage 0 ;;
    *) echo "cluster: unknown argument '$1'" >&2; usage 2 >&2 ;;
  esac
done
case "$seconds$rounds$away$copy_rate$port_base" in *[!0-9]*) fail "numbers are expected" ;; esac
[ "$seconds" -gt 0 ] && [ "$rounds" -gt 0 ] && [ "$away" -gt 0 ] || fail "numbers above 0 are expected"
[ ${#parts[@]} -gt 0 ] || parts=(writes reads failover catchup copy move delay idle)
[ -x "$load" ] && [ -x "$bin" ] || fail "build first: cmake --preset release && ninja -C build/release"

if [ -z "$data" ]; then data=$(mktemp -d "${TMPDIR:-/tmp}/pillarbox-bench.XXXXXX"); else mkdir -p "$data"; fi
data=$(cd "$data" && pwd)
base=$((port_base + 2000)) # of `pillarbox all`
. "$here/support/servers.sh"
servers=(pillarbox)
. "$here/support/cluster.sh"
. "$here/support/cluster_parts.sh"
trap all_stop EXIT
trap 'exit 130' INT TERM
find_cgroups

for p in "${parts[@]}"; do
  say "$p"
  "part_$p"
done
verdicts
