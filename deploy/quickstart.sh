#!/usr/bin/env bash
# Installs what is missing, builds, and runs a mail server on 127.0.0.1 in the foreground until Ctrl-C.
#
#   ./deploy/quickstart.sh [--data DIR] [--port-base N] [--users N] [--insecure-auth] [--flush-delay-ms N]
#
#   --data DIR        where mail, certificate and passwords lie (./pillarbox-data); a second run finds them again
#   --port-base N     2000: SMTP on N+525, submission N+587, submissions N+465, LMTP N+424, POP3 N+110, POP3S N+995, IMAP N+143,
#                     IMAPS N+993, metrics N+80
#   --users N         adds u0001..uNNNN@example.test with password pw, for load tests
#   --insecure-auth   password commands without TLS (test rigs on loopback only)
#   --flush-delay-ms N  each flush sleeps N ms (one in a commit): a fast disk stands for an ordinary one
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
data=./pillarbox-data
base=2000
users=0
insecure=false
flush_delay=0
domain=example.test

usage() {
  sed -n '2,12s/^# \{0,1\}//p' "$0"
  exit "$1"
}

die() {
  echo "quickstart: $*" >&2
  exit "${code:-1}"
}

while [ $# -gt 0 ]; do
  case "$1" in
    --data | --port-base | --users | --flush-delay-ms)
      if [ -z "${2:-}" ]; then code=2 die "$1 needs a value"; fi
      case "$1" in
        --data) data=$2 ;;
        --port-base) base=$2 ;;
        --users) users=$2 ;;
        --flush-delay-ms) flush_delay=$2 ;;
      esac
      shift 2
      ;;
    --insecure-auth) insecure=true; shift ;;
    -h | --help) usage 0 ;;
    *) echo "quickstart: unknown argument '$1'" >&2; usage 2 >&2 ;;
  esac
done
case "$base$users$flush_delay" in *[!0-9]*) code=2 die "--port-base, --users and --flush-delay-ms take numbers" ;; esac
base=$((10#$base))
if [ "$base" -lt 1000 ] || [ "$base" -gt 64000 ]; then code=2 die "--port-base must be 1000 to 64000"; fi

say() { printf '==> %s\n' "$*"; }

say "packages (installs what is missing)"
"$root/deploy/scripts/install_deps.sh" build

say "build (release)"
build=$root/build/release
if [ ! -f "$build/build.ninja" ]; then
  (cd "$root" && cmake --preset release >"/tmp/pillarbox-cmake.$$" 2>&1) || { cat "/tmp/pillarbox-cmake.$$" >&2; exit 1; }
  rm -f "/tmp/pillarbox-cmake.$$"
fi
ninja -C "$build" --quiet pillarbox
bin=$build/program/pillarbox

port() { echo $((base + $1)); }
listens() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
for p in 525 587 465 424 110 995 143 993 80; do
  if listens "$(port $p)"; then die "port $(port $p) is taken (another quickstart?); choose others with --port-base"; fi
done

mkdir -p "$data" && chmod 700 "$data" || die "cannot make $data for $(id -un); choose another folder with --data"
data=$(cd "$data" && pwd)
first=true
[ -f "$data/quickstart-passwords" ] && first=false

if [ ! -f "$data/tls.crt" ]; then
  say "self-signed certificate: $data/tls.crt"
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 825 -keyout "$data/tls.key" -out "$data/tls.crt" \
    -subj "/CN=localhost" -addext "subjectAltName=DNS:localhost,DNS:mail.$domain,IP:127.0.0.1" 2>/dev/null
  chmod 600 "$data/tls.key"
fi

args=(--set "data_dir=$data" --set "hostname=mail.$domain" --set "tls.certificate=$data/tls.crt" --set "tls.key=$data/tls.key"
  --set "auth.insecure=$insecure" --set "storage.flush_delay_ms=$flush_delay"
  --set "smtp.listen=127.0.0.1:$(port 525)" --set "submission.listen=127.0.0.1:$(port 587)"
  --set "submissions.listen=127.0.0.1:$(port 465)" --set "lmtp.listen=127.0.0.1:$(port 424)"
  --set "pop3.listen=127.0.0.1:$(port 110)" --set "pop3s.listen=127.0.0.1:$(port 995)"
  --set "imap.listen=127.0.0.1:$(port 143)" --set "imaps.listen=127.0.0.1:$(port 993)" --set "admin.listen=127.0.0.1:$(port 80)")

say "pillarbox all, data in $data"
"$bin" all "${args[@]}" &
server=$!
# However this script ends, the server does not stay behind.
trap 'kill -TERM "$server" 2>/dev/null; wait "$server" 2>/dev/null || true' EXIT
trap 'kill -TERM "$server" 2>/dev/null || true' INT TERM

# Whether storage answers behind the frontend. The listeners come last, so all is up then.
is_ready() {
  local status=""
  { exec 3<>"/dev/tcp/127.0.0.1/$(port 80)" && printf 'GET /readyz HTTP/1.0\r\n\r\n' >&3 && read -r status <&3; exec 3>&-; } 2>/dev/null
  case $status in *" 200 "*) return 0 ;; *) return 1 ;; esac
}
until is_ready; do
  if ! kill -0 "$server" 2>/dev/null; then die "the server did not start; its messages are above"; fi
  sleep 0.1
done

ctl() { "$bin" ctl --data "$data" "$@"; }

if [ "$first" = true ]; then
  ctl domain add "$domain"
  (umask 077 && : >"$data/quickstart-passwords.new")
  for u in alice bob; do
    pw=$(od -An -N9 -tx1 /dev/urandom | tr -d ' \n')
    # A first run that was interrupted may have made the user already.
    printf '%s\n' "$pw" | ctl user add "$u@$domain" 2>/dev/null || printf '%s\n' "$pw" | ctl user passwd "$u@$domain"
    echo "$u $pw" >>"$data/quickstart-passwords.new"
  done
  ctl alias add "postmaster@$domain" "alice@$domain"
  mv "$data/quickstart-passwords.new" "$data/quickstart-passwords"
fi
if [ "$users" -gt 0 ]; then
  printf 'pw\n' | ctl user add-many "$domain" "$users"
fi

alice=$(awk '$1=="alice"{print $2}' "$data/quickstart-passwords")
bob=$(awk '$1=="bob"{print $2}' "$data/quickstart-passwords")
cert=$(printf %q "$data/tls.crt")
cat <<EOT

Pillarbox is running. Users (domain $domain):
  alice@$domain   password $alice
  bob@$domain     password $bob

Send bob a message as alice, then read it (paste into another terminal):
  printf 'From: alice@$domain\r\nTo: bob@$domain\r\nSubject: hello\r\n\r\nFirst mail.\r\n' |
    curl -sS --cacert $cert --ssl-reqd smtp://localhost:$(port 587) --user alice@$domain:$alice \\
      --mail-from alice@$domain --mail-rcpt bob@$domain --upload-file -
  curl -sS --cacert $cert imaps://localhost:$(port 993)/INBOX --user bob@$domain:$bob -X 'FETCH 1:* (FLAGS ENVELOPE)'
  curl -sS --cacert $cert 'imaps://localhost:$(port 993)/INBOX;MAILINDEX=1' --user bob@$domain:$bob

Ports on 127.0.0.1: SMTP $(port 525), submission $(port 587), submissions $(port 465), LMTP $(port 424), POP3 $(port 110), POP3S $(port 995),
IMAP $(port 143), IMAPS $(port 993), http://127.0.0.1:$(port 80)/metrics /healthz /readyz
Operate it: $(printf %q "$bin") ctl --data $(printf %q "$data") help
Ctrl-C stops it; the next run finds the mail again.

EOT

status=0
while kill -0 "$server" 2>/dev/null; do
  wait "$server" && status=0 || status=$?
done
exit "$status"
