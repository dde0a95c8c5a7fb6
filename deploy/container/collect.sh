#!/usr/bin/env bash
# Puts what the program needs at run time into a folder that becomes the image's root: collect.sh PROGRAM FOLDER.
set -euo pipefail

program=$1
out=$2

copy() { install -D -m "$1" "$2" "$out$2"; } # copy MODE FILE: to the same path

libraries() { # what the loader would take, and the loader
  ldd "$program" | sed -nE 's/.*=> (\/[^ ]+) .*/\1/p; s/^[[:space:]]*(\/[^ ]+) .*/\1/p'
}

conversions() { # iconv loads its character sets when a message asks for one: ldd does not know them
  local folder
  folder=$(dirname "$(find /usr/lib -name gconv-modules.cache -print -quit)")
  [ -d "$folder" ] || { echo "collect: no gconv modules; the image could read UTF-8 only" >&2; exit 1; }
  mkdir -p "$out$folder"
  cp -a "$folder/." "$out$folder/"
}

accounts() {
  mkdir -p "$out/etc"
  printf 'pillarbox:x:10001:10001::/var/lib/pillarbox:/nonexistent\n' >"$out/etc/passwd"
  printf 'pillarbox:x:10001:\n' >"$out/etc/group"
  printf 'hosts: files dns\n' >"$out/etc/nsswitch.conf"
  # A named volume takes owner and mode from here.
  install -d -m 0700 -o 10001 -g 10001 "$out/var/lib/pillarbox"
}

install -D -m 0755 "$program" "$out/usr/bin/pillarbox"
strip --strip-debug "$out/usr/bin/pillarbox"
libraries | while read -r file; do copy 0755 "$file"; done
conversions
accounts
copy 0644 /etc/ssl/certs/ca-certificates.crt
# BoringSSL lies outside the loader's own folders; the cache leads there.
ldconfig -r "$out" -f /dev/null "$(dirname "$(libraries | grep -m 1 'libssl\.so')")"
