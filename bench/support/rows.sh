# The rows of the comparison: name | work | mailboxes that it needs | servers | arguments of the load program.
# Servers: `all` are pillarbox and dovecot (and dovecot_tuned with --tuned); `sync` is dovecot_fsync as well, for what is
# written; `relay` is Dovecot behind Postfix.
rows() {
  cat <<EOT
lmtp_4k_1|lmtp|users|sync|--connections 1 --users 200
lmtp_4k_16|lmtp|users|sync|--connections 16 --users 200
lmtp_4k_128|lmtp|users|sync|--connections 128 --users 200
lmtp_64k_1|lmtp|users|all|--connections 1 --users 200 --size 65536
lmtp_64k_16|lmtp|users|all|--connections 16 --users 200 --size 65536
lmtp_64k_128|lmtp|users|all|--connections 128 --users 200 --size 65536
smtp_4k_16|smtp|users|relay|--connections 16 --users 16
smtp_4k_128|smtp|users|relay|--connections 128 --users 16
smtp_64k_16|smtp|users|relay|--connections 16 --users 16 --size 65536
append_4k_16|append|users|sync|--connections 16 --users 16
fetch_flags|fetch_flags|many|all|--connections 4 --user-first 401 --messages $many
fetch_envelope|fetch_envelope|many|all|--connections 4 --user-first 401 --messages $many
fetch_headers|fetch_headers|many|all|--connections 4 --user-first 401 --messages $many
fetch_structure|fetch_structure|many|all|--connections 4 --user-first 401 --messages $many
fetch_list|fetch_list|many|all|--connections 4 --user-first 401 --messages $many
fetch_body|fetch_body|bodies|all|--connections 4 --user-first 402 --messages 500
store_1|store|small|sync|--connections 1 --user-first 301 --messages 100 --watchers 1
store_16|store|small|sync|--connections 16 --user-first 301 --users 16 --messages 100 --watchers 16
search_header|search_header|many|all|--connections 4 --user-first 401 --messages $many
search_date|search_date|many|all|--connections 4 --user-first 401 --messages $many
login|login|users|all|--connections 16 --users 200
pop3|pop3|small|all|--connections 8 --user-first 301 --users 16 --messages 100
pop3_poll|pop3_poll|small|all|--connections 8 --user-first 301 --users 16 --messages 100
select|select|huge|all|--connections 8 --user-first 401 --mailbox Big
idle|lmtp|users|all|--connections 1 --users 200 --interval-ms 25 --watchers $idle
EOT
}

rows_names() { rows | cut -d'|' -f1; }

row_of() {
  local line
  line=$(rows | grep "^$1|")
  IFS='|' read -r _ row_work row_sets row_servers row_args <<<"$line"
}

# The ports that a row's work speaks to on a server.
row_ports() {
  local server=$1 port
  case "$row_work" in
    lmtp) port=424 ;;
    smtp) port=525 ;;
    pop3*) port=110 ;;
    *) port=143 ;;
  esac
  printf -- '--port %s' "$(port_of "$server" $port)"
  case "$row_args" in *--watchers*) printf -- ' --watch-port %s' "$(port_of "$server" 143)" ;; esac
  if [ "$row_work" = smtp ]; then printf -- ' --delivered-port %s' "$(port_of "$server" 143)"; fi
}
