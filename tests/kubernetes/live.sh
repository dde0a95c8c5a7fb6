#!/usr/bin/env bash
# A round of the manifests on a real cluster, by hand: makes certificates and a namespace, applies an overlay, makes the
# cluster, delivers mail through Services all the while two storage pods are deleted, one after the other, and reads it
# through Services: everything that was acknowledged has to be there once.
#
#   live.sh --kubectl COMMAND --overlay DIR [--client COMMAND] [--namespace NAME] [--messages N] [--keep]
#
#   --kubectl COMMAND   a kubectl that reaches the cluster, words and all
#   --overlay DIR       an overlay over deploy/kubernetes/base with an image that the cluster's nodes have
#   --client COMMAND    what a command is put behind to reach addresses of Services (e.g. ssh NODE); else this machine must
#   --keep              leaves the namespace behind
#
# Needs curl and openssl here, curl where --client leads.
set -euo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)
kubectl=kubectl overlay='' client='' namespace=pillarbox-live messages=600 keep=false
user=alice@example.test password=live-test-pw

usage() { sed -n '2,14s/^# \{0,1\}//p' "$0"; exit "$1"; }
say() { printf '==> %s %s\n' "$(date +%T)" "$*"; }
die() { printf 'live: %s\n' "$*" >&2; exit 1; }

while [ $# -gt 0 ]; do
  case $1 in
    --kubectl) kubectl=$2; shift 2 ;;
    --overlay) overlay=$2; shift 2 ;;
    --client) client=$2; shift 2 ;;
    --namespace) namespace=$2; shift 2 ;;
    --messages) messages=$2; shift 2 ;;
    --keep) keep=true; shift ;;
    -h | --help) usage 0 ;;
    *) usage 2 >&2 ;;
  esac
done
[ -n "$overlay" ] || usage 2 >&2

work=$(mktemp -d)
# shellcheck disable=SC2086 # commands are words
k() { $kubectl -n "$namespace" "$@"; }
# shellcheck disable=SC2086
at_client() { $client "$@"; }
ctl() { k exec -i pillarbox-storage-0 -- /usr/bin/pillarbox ctl --data /var/lib/pillarbox "$@"; }
service() { k get service "$1" -o 'jsonpath={.spec.clusterIP}'; }

finish() {
  [ -z "${sender:-}" ] || kill "$sender" 2>/dev/null || true
  if [ "$keep" = false ]; then
    say "cleaning up"
    $kubectl delete namespace "$namespace" --wait=false >/dev/null || true
  fi
  rm -rf "$work"
}
trap finish EXIT

until_true() { # until_true SECONDS COMMAND...
  local end=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    [ $SECONDS -lt $end ] || return 1
    sleep 1
  done
}

# --- setting up ---

secrets() { # as deploy/docs/KUBERNETES.md says
  "$root/deploy/scripts/make_certs.sh" "$work/certs" --nodes 1 --frontends 1 >/dev/null
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -keyout "$work/mail.key" -out "$work/mail.crt" \
    -subj "/CN=mail.example.test" -addext "subjectAltName=DNS:mail.example.test" 2>/dev/null
  k create secret generic pillarbox-node --from-file=tls.crt="$work/certs/node-1.pem" --from-file=tls.key="$work/certs/node-1.key" \
    --from-file=node-ca.crt="$work/certs/node-ca.pem" --from-file=frontend-ca.crt="$work/certs/frontend-ca.pem"
  k create secret generic pillarbox-frontend --from-file=tls.crt="$work/certs/frontend-1.pem" --from-file=tls.key="$work/certs/frontend-1.key" \
    --from-file=node-ca.crt="$work/certs/node-ca.pem"
  k create secret tls pillarbox-tls --cert="$work/mail.crt" --key="$work/mail.key"
}

start() {
  say "namespace, secrets, manifests"
  $kubectl create namespace "$namespace"
  $kubectl label namespace "$namespace" pod-security.kubernetes.io/enforce=restricted >/dev/null
  secrets
  k kustomize "$overlay" >"$work/manifests.yaml"
  # Fields that an older cluster does not know yet are left out by it, not refused.
  k apply --validate=false -f "$work/manifests.yaml"
  say "the cluster"
  until_true 120 init || die "the first node cannot be made a cluster"
  until_true 400 k wait --for=condition=complete --timeout=1s job/pillarbox-storage-join || die "the Job did not end"
  k rollout status --timeout=180s statefulset/pillarbox-storage
  k rollout status --timeout=180s deployment/pillarbox-frontend
  ctl cluster status
  ctl domain add example.test
  printf '%s\n' "$password" | ctl user add "$user"
}
# Once only: a second call would be refused, which is no failure if the first one's answer was lost.
init() { ctl cluster init --shards 16 || k exec pillarbox-storage-0 -- /usr/bin/pillarbox ctl --data /var/lib/pillarbox cluster status; }

# --- mail ---

deliver() { # deliver NUMBER: whether the 250 came
  printf 'From: live@example.net\r\nTo: %s\r\nSubject: live-%s\r\n\r\nMessage %s.\r\n' "$user" "$1" "$1" |
    at_client curl -sS --max-time 40 "smtp://$mx:25" --mail-from live@example.net --mail-rcpt "$user" --upload-file - 2>>"$work/errors"
}

send_all() { # a number a line: what was acknowledged, when
  local i before
  for ((i = 1; i <= messages; i++)); do
    before=$(date +%s%N)
    if deliver "$i"; then echo "$i $(((($(date +%s%N) - before)) / 1000000))" >>"$work/accepted"; else echo "$i $(date +%T)" >>"$work/refused"; fi
    sleep 0.1
  done
}

curl_mail() { # curl_mail PORT ARGUMENT...: with TLS, through the users' Service
  local port=$1
  shift
  at_client curl -sS --insecure --max-time 60 --user "$user:$password" --resolve "mail.example.test:$port:$mail" "$@"
}

delete_pod() { # delete_pod POD: as an operator does; returns when it is ready again
  local uid
  uid=$(k get pod "$1" -o 'jsonpath={.metadata.uid}')
  k delete pod "$1"
  # A node's SIGTERM takes some two seconds (tests/cluster/nodes_faults.py): who needs the whole grace period hangs.
  until_true 45 replaced "$1" "$uid" || die "$1 did not come back"
  k wait --for=condition=ready --timeout=60s "pod/$1"
}
leads_something() { ctl cluster status | awk '/^node/ && /leads=0/ {bad = 1} END {exit bad}'; }
replaced() { [ "$(k get pod "$1" -o 'jsonpath={.metadata.uid}')" != "$2" ]; }

check() {
  local i lost twice
  for ((i = 1; i <= 2 * messages; i += 10)); do # more of such lines in an answer are too much for curl
    curl_mail 993 "imaps://mail.example.test:993/INBOX" -X "UID FETCH $i:$((i + 9)) (ENVELOPE)" >>"$work/inbox"
  done
  grep -o '"live-[0-9]*"' "$work/inbox" | tr -dc '0-9\n' | sort >"$work/found"
  cut -d ' ' -f 1 "$work/accepted" | sort >"$work/sent"
  lost=$(comm -23 "$work/sent" <(sort -u "$work/found") | wc -l)
  twice=$(comm -12 "$work/sent" <(uniq -d "$work/found") | wc -l)
  say "accepted $(wc -l <"$work/sent"), refused $(wc -l <"$work/refused"), in INBOX $(wc -l <"$work/found"); lost $lost, twice $twice; slowest $(cut -d ' ' -f 2 "$work/accepted" | sort -n | tail -n 1) ms"
  [ "$lost" -eq 0 ] && [ "$twice" -eq 0 ] || die "INBOX is not what was acknowledged"
  [ "$(curl_mail 995 "pop3s://mail.example.test:995/" | grep -c .)" -eq "$(wc -l <"$work/found")" ] || die "POP3 lists another number"
}

submit() {
  printf 'From: %s\r\nTo: %s\r\nSubject: submitted\r\n\r\nBy submission.\r\n' "$user" "$user" |
    curl_mail 587 --ssl-reqd "smtp://mail.example.test:587" --mail-from "$user" --mail-rcpt "$user" --upload-file -
}

start
mx=$(service pillarbox-mx)
mail=$(service pillarbox-mail)
: >"$work/accepted"; : >"$work/refused"; : >"$work/errors"
say "delivering to $mx:25, reading at $mail"
until_true 60 deliver 0 || die "no mail is taken: $(tail -n 1 "$work/errors")"
echo "0 0" >>"$work/accepted"
send_all &
sender=$!
for pod in pillarbox-storage-1 pillarbox-storage-0; do
  until_true 60 leads_something || die "not every node leads something"
  say "deleting $pod, $(wc -l <"$work/accepted") messages so far"
  delete_pod "$pod"
  say "it is back, $(wc -l <"$work/accepted") messages so far"
done
wait "$sender"
sender=''
sort "$work/errors" | uniq -c
ctl cluster status || true
check
submit
[ "$(curl_mail 993 "imaps://mail.example.test:993/INBOX?SUBJECT%20submitted" | grep -c '\* SEARCH [0-9]')" -eq 1 ] || die "the submitted message is not there"
k get pods -o wide
say "ok"
