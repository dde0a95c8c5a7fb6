# Dovecot with its defaults, but for what bench/README.md lists: own folder and ports, users from a file, plain passwords,
# limits that would refuse the load.

dovecot_start() {
  local name=$1 d=$data/$1 more=
  mkdir -p "$d/run" "$d/mail"
  chown 65534:65534 "$d/mail"
  chmod 755 "$d"
  case "$name" in
    dovecot_fsync) more='mail_fsync = always' ;;
    dovecot_tuned) more='service imap-login {
  service_count = 0
  process_min_avail = 2
}
service pop3-login {
  service_count = 0
  process_min_avail = 2
}' ;;
  esac
  awk -v d="$d" -v domain="$domain" 'BEGIN {
    for (i = 1; i <= 420; i++) printf "u%04d@%s:{PLAIN}pw:65534:65534::%s/mail/u%04d::\n", i, domain, d, i }' >"$d/users"
  cat >"$d/dovecot.conf" <<EOT
base_dir = $d/run
state_dir = $d/run
instance_name = $name
log_path = $d/dovecot.log
protocols = imap pop3 lmtp
listen = 127.0.0.1
ssl = no
disable_plaintext_auth = no
hostname = mail.$domain
postmaster_address = postmaster@$domain
first_valid_uid = 1
mail_location = mdbox:~/mdbox
mail_max_userip_connections = 0
default_process_limit = 4096
default_client_limit = 16384
default_vsz_limit = 1G
passdb {
  driver = passwd-file
  args = $d/users
}
userdb {
  driver = passwd-file
  args = $d/users
}
namespace inbox {
  inbox = yes
  separator = /
}
service imap {
  process_limit = 4096
}
service pop3 {
  process_limit = 4096
}
service imap-login {
  inet_listener imap {
    port = $(port_of "$name" 143)
  }
  inet_listener imaps {
    port = 0
  }
}
service pop3-login {
  inet_listener pop3 {
    port = $(port_of "$name" 110)
  }
  inet_listener pop3s {
    port = 0
  }
}
service lmtp {
  inet_listener lmtp {
    address = 127.0.0.1
    port = $(port_of "$name" 424)
  }
}
$more
EOT
  in_cgroup "$name" "$d/dovecot.out" dovecot -F -c "$d/dovecot.conf"
}
