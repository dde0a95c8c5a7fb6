# Pillarbox as an operator would run it, with password commands allowed without TLS.

pillarbox_start() {
  local d=$data/pillarbox
  mkdir -p "$d"
  local args=(--set "data_dir=$d" --set hostname=mail.$domain --set auth.insecure=true --set log_level=warn
    --set "storage.flush_delay_ms=$flush_delay" --set "storage.copy_rate=${copy_rate:-64 MiB}" --set submission.listen= --set submissions.listen= --set pop3s.listen=
    --set imaps.listen= --set "smtp.listen=127.0.0.1:$(port_of pillarbox 525)"
    --set "lmtp.listen=127.0.0.1:$(port_of pillarbox 424)" --set "pop3.listen=127.0.0.1:$(port_of pillarbox 110)"
    --set "imap.listen=127.0.0.1:$(port_of pillarbox 143)" --set "admin.listen=127.0.0.1:$(port_of pillarbox 80)")
  in_cgroup pillarbox "$data/pillarbox.log" "$bin" all "${args[@]}"
}

pillarbox_users() {
  "$bin" ctl --data "$data/pillarbox" domain add "$domain"
  printf 'pw\n' | "$bin" ctl --data "$data/pillarbox" user add-many "$domain" 420 >/dev/null
}
