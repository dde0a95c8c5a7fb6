#include "frontend/imap/imap_session.h"

static bool starttls_capable(const struct imap_session *s)
{
    return s->state == IMAP_STATE_NOT_AUTHENTICATED && conn_can_starttls(s->conn);
}

/* RFC 3501, 6.2.1. What was pipelined in plaintext is an attack or a mistake: conn_starttls refuses it. */
static enum err starttls_run(struct imap_session *s, struct imap_command *cmd)
{
    if (!conn_can_starttls(s->conn)) {
        return imap_no(cmd, NULL, conn_is_tls(s->conn) ? "TLS is already on" : "TLS is not available");
    }
    struct imap_reply reply = {.text = "Begin TLS negotiation now"};
    imap_write_reply(s, cmd->tag, cmd->cmd, &reply);
    imap_out_flush(&s->out);
    cmd->reply.silent = true;
    enum err e = s->out.err == OK ? conn_starttls(s->conn) : s->out.err;
    if (e != OK) {
        s->end_reason = "TLS handshake failed";
        s->out.err = e; /* not a word more */
    }
    return OK;
}

IMAP_CMD(starttls) = {
    .name = "STARTTLS",
    .capability = "STARTTLS",
    .capable = starttls_capable,
    .states = IMAP_STATE_NOT_AUTHENTICATED,
    .flags = IMAP_CMD_NO_SYNC,
    .parse = imap_parse_no_args,
    .run = starttls_run,
};
