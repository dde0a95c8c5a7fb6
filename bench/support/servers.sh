# Starts and stops the servers under test, each in a control group of its own, all below $data and on loopback only.
# They are all up during a run, but only one is loaded at a time.

servers=(pillarbox dovecot dovecot_fsync)
if [ "$tuned" = true ]; then servers+=(dovecot_tuned); fi
started=()

# Every server has 100 ports: base + 100 * its place + the well-known number modulo 100 (imap 43, pop3 10, lmtp 24, smtp 25).
port_of() {
  local i
  for i in "${!servers[@]}"; do
    if [ "${servers[$i]}" = "$1" ]; then echo $((base + 100 * i + $2 % 100)); return; fi
  done
}

cgroup_of() { echo "$cgroups/pillarbox-bench-$$-$1"; }

servers_of() {
  case "$1" in
    sync) echo pillarbox dovecot dovecot_fsync ;;
    relay) echo pillarbox dovecot ;;
    *) if [ "$tuned" = true ]; then echo pillarbox dovecot dovecot_tuned; else echo pillarbox dovecot; fi ;;
  esac
}

# Version 1 has a hierarchy for CPU time, version 2 one for everything.
find_cgroups() {
  local c
  for c in /sys/fs/cgroup/cpuacct /sys/fs/cgroup; do
    if [ -f "$c/cpuacct.usage" ] || [ -f "$c/cpu.stat" ]; then
      if mkdir "$c/pillarbox-bench-$$" 2>/dev/null; then rmdir "$c/pillarbox-bench-$$"; cgroups=$c; return; fi
    fi
  done
  fail "no control group can be made: the servers' CPU time cannot be measured"
}

# in_cgroup SERVER LOG COMMAND...: starts it in the background, its process id in $!
in_cgroup() {
  local group=$1 log=$2
  shift 2
  group=$(cgroup_of "$group")
  mkdir -p "$group"
  bash -c 'echo $$ >"$1/cgroup.procs" && shift && exec "$@"' - "$group" "$@" >>"$log" 2>&1 </dev/null &
}

wait_port() {
  local i
  for i in $(seq 1 200); do
    if (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; then return 0; fi
    sleep 0.1
  done
  fail "$2 does not listen on port $1; see $data"
}

. "$here/support/pillarbox.sh"
. "$here/support/dovecot.sh"
. "$here/support/postfix.sh"

servers_start() {
  local s
  find_cgroups
  for s in "${servers[@]}"; do
    say "start $s"
    case "$s" in
      pillarbox) pillarbox_start ;;
      *) dovecot_start "$s" ;;
    esac
    started+=("$!")
    wait_port "$(port_of "$s" 143)" "$s"
    if [ "$s" = pillarbox ]; then pillarbox_users; fi
  done
  if [ ${#only[@]} -eq 0 ] || printf '%s\n' "${only[@]}" | grep -q '^smtp'; then postfix_start; fi
}

# Who is in the control group; its files have no size, so they must be read.
pids_of() { cat "$(cgroup_of "$1")/cgroup.procs" 2>/dev/null || true; }

# TERM to what was started, then KILL to what is left in the control group, which nobody else is in.
servers_stop() {
  local pid s i
  trap - EXIT
  for pid in "${started[@]}"; do kill -TERM "$pid" 2>/dev/null || true; done
  for s in "${servers[@]}"; do
    for i in $(seq 1 100); do
      [ -n "$(pids_of "$s")" ] || break
      if [ "$i" -gt 50 ]; then for pid in $(pids_of "$s"); do kill -KILL "$pid" 2>/dev/null || true; done; fi
      sleep 0.1
    done
    rmdir "$(cgroup_of "$s")" 2>/dev/null || true
  done
  if [ -n "${KEEP_DATA:-}" ]; then say "kept $data"; else rm -rf "$data"; fi
}
