#!/bin/sh
# Two CAs and certificates of a cluster's processes (deploy/docs/OPERATING.md, "Between processes").
#
#   make_certs.sh DIR [--nodes N] [--frontends N]
#
# Makes in DIR, all mode 0600: node-ca.pem and node-ca.key, frontend-ca.pem and frontend-ca.key (10 years), and for each
# process node-1.pem and node-1.key ..., frontend-1.pem ... (2 years). What is there already stays as it is, so a later
# run with larger numbers adds processes, and deleting a pair before a run renews it. The CAs' keys belong in a safe.
set -eu

usage() {
    echo "usage: make_certs.sh DIR [--nodes N] [--frontends N]" >&2
    exit 2
}

number() {
    case $1 in
    '' | *[!0-9]*) usage ;;
    esac
    echo "$1"
}

[ $# -ge 1 ] || usage
case $1 in
-*) usage ;;
esac
dir=$1
shift
nodes=3
frontends=1
while [ $# -gt 0 ]; do
    [ $# -ge 2 ] || usage
    case $1 in
    --nodes) nodes=$(number "$2") ;;
    --frontends) frontends=$(number "$2") ;;
    *) usage ;;
    esac
    shift 2
done
command -v openssl >/dev/null || {
    echo "make_certs.sh: the openssl command is missing" >&2
    exit 1
}
umask 077
mkdir -p "$dir"
work=$(mktemp -d "$dir/.making.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

# Whether NAME is still to be made. Half of a pair is somebody's mistake.
wanted() {
    if [ -e "$dir/$1.pem" ] && [ -e "$dir/$1.key" ]; then
        return 1
    fi
    if [ -e "$dir/$1.pem" ] || [ -e "$dir/$1.key" ]; then
        echo "make_certs.sh: $dir has only one of $1.pem and $1.key" >&2
        exit 1
    fi
}

# The certificate last: with it the pair is there.
keep() {
    mv "$work/$1.key" "$dir/$1.key"
    mv "$work/$1.pem" "$dir/$1.pem"
    echo "$dir/$1.pem"
}

quietly() {
    "$@" 2>"$work/log" || {
        cat "$work/log" >&2
        exit 1
    }
}

# ca NAME WORDS
ca() {
    wanted "$1" || return 0
    quietly openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 3650 -subj "/CN=Pillarbox $2 CA" \
        -addext "basicConstraints=critical,CA:TRUE,pathlen:0" -addext "keyUsage=critical,keyCertSign,cRLSign" \
        -keyout "$work/$1.key" -out "$work/$1.pem"
    keep "$1"
}

# leaf NAME CA
leaf() {
    wanted "$1" || return 0
    printf '%s\n' "basicConstraints=critical,CA:FALSE" "keyUsage=critical,digitalSignature" \
        "extendedKeyUsage=serverAuth,clientAuth" >"$work/ext"
    quietly openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj "/CN=$1" -keyout "$work/$1.key" \
        -out "$work/csr"
    quietly openssl x509 -req -in "$work/csr" -CA "$dir/$2.pem" -CAkey "$dir/$2.key" -set_serial "0x$(openssl rand -hex 15)" \
        -days 730 -extfile "$work/ext" -out "$work/$1.pem"
    keep "$1"
}

ca node-ca node
ca frontend-ca frontend
i=1
while [ "$i" -le "$nodes" ]; do
    leaf "node-$i" node-ca
    i=$((i + 1))
done
i=1
while [ "$i" -le "$frontends" ]; do
    leaf "frontend-$i" frontend-ca
    i=$((i + 1))
done
