#!/usr/bin/env bash
# Installs the Debian packages that Pillarbox needs: `install_deps.sh build` to compile and run it,
# `install_deps.sh test` for the test suite as well, `install_deps.sh bench` for what bench/compare.sh compares with. Works as root and with sudo, on Debian 12 and 13.
# Installs only what is missing, so a second run costs a fraction of a second.
set -euo pipefail

want=${1:-build}
build_pkgs=(build-essential cmake ninja-build ccache pkg-config liburing-dev liblmdb-dev libnng-dev libprotobuf-c-dev
  protobuf-c-compiler libraft-dev android-libboringssl-dev libutf8proc-dev libargon2-dev libcrypt-dev libidn2-dev
  libyaml-dev libzstd-dev openssl)
test_pkgs=(libgtest-dev clang clang-format clang-tidy llvm libclang-rt-14-dev git python3 curl swaks isync fetchmail
  libnet-ssleay-perl netcat-openbsd procps ca-certificates valgrind strace nbdkit libnbd-bin fuse3 e2fsprogs mount nftables)
bench_pkgs=(dovecot-imapd dovecot-pop3d dovecot-lmtpd postfix python3)

as_root() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  elif command -v sudo >/dev/null 2>&1; then
    sudo env DEBIAN_FRONTEND=noninteractive "$@" # sudo keeps no environment
  else
    echo "install_deps: run this as root, or install sudo; missing: ${missing[*]}" >&2
    exit 1
  fi
}

. /etc/os-release
if [ "${VERSION_CODENAME:-}" != bookworm ]; then test_pkgs=("${test_pkgs[@]/libclang-rt-14-dev/libclang-rt-dev}"); fi

installed() { [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

# raft before 0.22 loses acknowledged data (deploy/docs/ARCHITECTURE.md, section 4): bookworm needs its backport.
raft_ok() {
  local v
  v=$(dpkg-query -W -f='${Version}' libraft-dev 2>/dev/null) && dpkg --compare-versions "$v" ge 0.22
}

# Writes a bookworm-backports entry with the mirror and key of the entry that the machine already uses for bookworm.
add_backports() {
  local out=/etc/apt/sources.list.d/pillarbox-backports.sources src uri signed
  grep -rqsE '^[^#]*bookworm-backports' /etc/apt/sources.list /etc/apt/sources.list.d/ && return 0
  src=$(grep -lsE '^Suites:.*\bbookworm\b' /etc/apt/sources.list.d/*.sources | head -n 1 || true)
  if [ -n "$src" ]; then
    uri=$(awk '/^URIs:/{u=$2} /^Suites:/ && / bookworm( |$)/{s=1} /^$/{if(s)exit; u=""} END{print u}' "$src")
    signed=$(awk '/^Signed-By:/{print $2; exit}' "$src")
  else
    # Either of them may be missing, which is no reason to stop here.
    uri=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null |
      sed -nE 's/^deb +(\[[^]]*\] +)?([^ ]+) +bookworm +.*/\2/p' | head -n 1 || true)
    signed=/usr/share/keyrings/debian-archive-keyring.gpg
  fi
  if [ -z "$uri" ]; then
    echo "install_deps: no apt entry for Debian bookworm found; add bookworm-backports by hand and run this again" >&2
    exit 1
  fi
  echo "install_deps: adding bookworm-backports (for C raft 0.22.1) as $out"
  printf 'Types: deb\nURIs: %s\nSuites: bookworm-backports\nComponents: main\nSigned-By: %s\n' "$uri" "$signed" |
    as_root tee "$out" >/dev/null
}

pkgs=("${build_pkgs[@]}")
if [ "$want" = test ]; then
  pkgs+=("${test_pkgs[@]}")
  command -v npm >/dev/null 2>&1 || pkgs+=(nodejs npm)
fi
if [ "$want" = bench ]; then pkgs+=("${bench_pkgs[@]}"); fi

missing=()
for p in "${pkgs[@]}"; do
  if [ "$p" = libraft-dev ]; then raft_ok || missing+=("$p"); else installed "$p" || missing+=("$p"); fi
done
[ ${#missing[@]} -gt 0 ] || exit 0

echo "install_deps: installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
# Mail servers are installed to be compared with: their packages must not start them.
if [ "$want" = bench ] && [ ! -e /usr/sbin/policy-rc.d ]; then
  printf '#!/bin/sh\nexit 101\n' | as_root tee /usr/sbin/policy-rc.d >/dev/null
  as_root chmod 755 /usr/sbin/policy-rc.d
  trap 'as_root rm -f /usr/sbin/policy-rc.d' EXIT
fi
case " ${missing[*]} " in
  *" libraft-dev "*) if [ "${VERSION_CODENAME:-}" = bookworm ]; then add_backports; fi ;;
esac
as_root apt-get update -q
rest=()
for p in "${missing[@]}"; do
  if [ "$p" = libraft-dev ] && [ "${VERSION_CODENAME:-}" = bookworm ]; then
    as_root apt-get install -y -q --no-install-recommends -t bookworm-backports libraft-dev libraft0
  else
    rest+=("$p")
  fi
done
if [ ${#rest[@]} -gt 0 ]; then as_root apt-get install -y -q --no-install-recommends "${rest[@]}"; fi
raft_ok || { echo "install_deps: libraft-dev is older than 0.22; Pillarbox refuses to build on it" >&2; exit 1; }
