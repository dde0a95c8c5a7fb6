# The mailboxes that rows need, made through the protocols like everything else.

imap() { port_of "$1" 143; }

# u0001..u0200: one message each, so that no measurement makes mailboxes. Pillarbox hashes a password at its first login and
# remembers it; Dovecot's are plain (README.md).
fill_users() {
  say "$1: users"
  fill "$1" lmtp --port "$(port_of "$1" 424)" --users 200 --connections 8 --ops 200 --seed 7
  if [ "$1" = pillarbox ]; then
    fill "$1" login --port "$(imap "$1")" --users 200 --connections 200 --ops-each 1
  fi
}

# u0301..u0316: 100 messages each.
fill_small() {
  say "$1: 16 mailboxes of 100 messages"
  fill "$1" append --port "$(imap "$1")" --user-first 301 --users 16 --connections 16 --ops-each 100 --seed 8
}

# u0401: INBOX of $many messages.
fill_many() {
  say "$1: a mailbox of $many messages"
  fill "$1" append --port "$(imap "$1")" --user-first 401 --connections 8 --ops "$many" --seed 9
}

# u0402: INBOX of 500 messages of 64 KiB.
fill_bodies() {
  say "$1: 500 messages of 64 KiB"
  fill "$1" append --port "$(imap "$1")" --user-first 402 --connections 8 --ops 500 --size 65536 --seed 10
}

# u0401: Big, ten times the INBOX.
fill_huge() {
  if [ -z "${filled[$1.many]:-}" ]; then fill_many "$1"; filled[$1.many]=1; fi
  say "$1: a mailbox of $huge messages"
  fill "$1" create --port "$(imap "$1")" --user-first 401 --mailbox Big --ops 1
  fill "$1" copy --port "$(imap "$1")" --user-first 401 --mailbox Big --ops $((huge / many))
}
