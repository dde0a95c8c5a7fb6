# Postfix with its defaults in front of Dovecot's LMTP, in the same control group: together they are one mail server.

postfix_start() {
  local d=$data/postfix
  say "start postfix"
  mkdir -p "$d/etc" "$d/queue" "$d/lib"
  chown postfix "$d/lib"
  cat >"$d/etc/main.cf" <<EOT
compatibility_level = 3.6
config_directory = $d/etc
queue_directory = $d/queue
data_directory = $d/lib
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
myhostname = mail.$domain
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
alias_maps =
alias_database =
virtual_mailbox_domains = $domain
virtual_mailbox_maps = static:all
virtual_transport = lmtp:inet:127.0.0.1:$(port_of dovecot 424)
smtpd_client_connection_count_limit = 0
smtpd_tls_security_level = none
default_process_limit = 200
EOT
  cat >"$d/etc/master.cf" <<EOT
127.0.0.1:$(port_of dovecot 525) inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
lmtp unix - - n - - lmtp
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
EOT
  in_cgroup dovecot "$d/postfix.out" postfix -c "$d/etc" start-fg
  started+=("$!")
  wait_port "$(port_of dovecot 525)" postfix
  started+=("$(tr -d ' ' <"$d/queue/pid/master.pid")") # it left the process that started it
}
