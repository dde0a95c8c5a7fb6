#!/usr/bin/env bash
# Builds the image of Pillarbox with buildah, and runs it with podman (deploy/docs/CONTAINER.md).
#
#   container.sh build [--tag NAME] [--base IMAGE] [--jobs N] [--archive FILE]
#   container.sh run   [--tag NAME] [--name CONTAINER] [--data VOLUME] [PODMAN-OPTION...]
#
#   --tag NAME       the image (pillarbox:dev)
#   --base IMAGE     a Debian 12 or 13 with apt sources, for the build stage. Without it one is made by debootstrap from
#                    the archive that this machine's apt uses, once, as localhost/pillarbox-base:SUITE (as root)
#   --archive FILE   writes the image as an OCI archive as well
#   --name, --data   names of the container (pillarbox) and of the volume with the data (pillarbox-data)
#
# run stays in the foreground until SIGTERM or Ctrl-C: read-only root, no capabilities, the runtime's own seccomp profile,
# all ports on 127.0.0.1. Other options go to podman, e.g. certificates: --volume ./tls:/tls:ro --env PILLARBOX_TLS_CERTIFICATE=/tls/tls.crt ...
set -euo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)
tag=pillarbox:dev base='' jobs=$(nproc) archive='' name=pillarbox volume=pillarbox-data
more=()

usage() { sed -n '2,16s/^# \{0,1\}//p' "$0"; exit "$1"; }
say() { printf '==> %s\n' "$*" >&2; }
die() { printf 'container: %s\n' "$*" >&2; exit 1; }
need() { command -v "$1" >/dev/null || die "$1 is missing: apt-get install $2"; }

[ $# -gt 0 ] || usage 2 >&2
command=$1
shift
while [ $# -gt 0 ]; do
  case $1 in --tag | --base | --jobs | --archive | --name | --data) [ -n "${2:-}" ] || die "$1 needs a value" ;; esac
  case $command-$1 in
    build---tag | run---tag) tag=$2; shift 2 ;;
    build---base) base=$2; shift 2 ;;
    build---jobs) jobs=$2; shift 2 ;;
    build---archive) archive=$2; shift 2 ;;
    run---name) name=$2; shift 2 ;;
    run---data) volume=$2; shift 2 ;;
    *--h | *---help) usage 0 ;;
    run-*) more+=("$@"); break ;;
    *) echo "container: unknown option '$1'" >&2; usage 2 >&2 ;;
  esac
done

# --- the base of the build stage ---

suite() { . /etc/os-release && echo "$VERSION_CODENAME"; }

mirror() { # the first archive that this machine's apt uses for the suite
  apt-get indextargets --format '$(SITE) $(CODENAME) $(COMPONENT) $(CREATED_BY)' |
    awk -v s="$1" '$2 == s && $3 == "main" && $4 == "Packages" {print $1; exit}'
}

# The base asks for packages where this machine does: Debian's own entries, with security updates and backports.
sources_copy() {
  local file
  for file in /etc/apt/sources.list.d/*.sources /etc/apt/sources.list; do
    if [ -f "$file" ] && grep -q 'debian-archive-keyring\|^deb .* main' "$file"; then cp "$file" "$1/etc/apt/${file#/etc/apt/}"; fi
  done
}

base_make() { # base_make IMAGE SUITE
  local tree from container
  [ "$(id -u)" = 0 ] || die "making a base needs root; or name one with --base"
  need debootstrap debootstrap
  from=$(mirror "$2")
  [ -n "$from" ] || die "apt has no archive for $2: name a base with --base"
  say "base $1, once (debootstrap $2)"
  tree=$(mktemp -d)
  debootstrap --variant=minbase "$2" "$tree" "$from" >"$tree.log" || { tail -n 20 "$tree.log" >&2; die "debootstrap failed"; }
  rm -f "$tree/etc/apt/sources.list"
  sources_copy "$tree"
  rm -rf "$tree"/var/cache/apt/archives/*.deb
  container=$(buildah from scratch)
  buildah add -q "$container" "$tree" / >/dev/null
  buildah commit -q "$container" "$1" >/dev/null
  buildah rm "$container" >/dev/null
  rm -rf "$tree" "$tree.log"
}

# --- commands ---

build() {
  need buildah buildah
  if [ -z "$base" ]; then
    base=localhost/pillarbox-base:$(suite)
    buildah inspect --type image "$base" >/dev/null 2>&1 || base_make "$base" "$(suite)"
  fi
  say "image $tag on $base"
  # chroot: as little of a container as possible, so that a build works inside of one too.
  buildah bud --isolation chroot --network host --layers=false --pull-never --ignorefile "$root/deploy/container/ignore" \
    --build-arg "BASE=$base" --build-arg "JOBS=$jobs" --tag "$tag" --file "$root/deploy/container/Containerfile" "$root"
  if [ -n "$archive" ]; then
    rm -f "$archive"
    buildah push -q "$tag" "oci-archive:$archive:localhost/$tag"
  fi
}

run() {
  local port ports=()
  need podman podman
  for port in 2525 2587 2465 2424 2110 2995 2143 2993 2080; do ports+=(--publish "127.0.0.1:$port:$port"); done
  # 30 s: the drain takes up to frontend.drain_timeout, 25 s.
  exec podman run --rm --name "$name" --read-only --cap-drop=all --security-opt no-new-privileges --stop-timeout 30 \
    --volume "$volume:/var/lib/pillarbox" "${ports[@]}" "${more[@]}" "$tag"
}

case $command in
  build) build ;;
  run) run ;;
  -h | --help) usage 0 ;;
  *) usage 2 >&2 ;;
esac
