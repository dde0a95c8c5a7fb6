#include "frontend/pop3/pop3_session.h"
#include "proto/base/log.h"

static bool stls_offered(const struct pop3_session *s)
{
    return conn_can_starttls(s->conn);
}

/* RFC 2595, 4. Input sent ahead in the clear ends the session (conn_starttls). */
static enum err stls_run(struct pop3_session *s, struct slice args)
{
    (void)args;
    if (!conn_can_starttls(s->conn)) {
        return pop3_reply_bad(s, conn_is_tls(s->conn) ? "TLS is already on" : "TLS is not available");
    }
    if (conn_peek(s->conn).n > 0) {
        return pop3_reply_close(s, ERR_PROTOCOL);
    }
    enum err err = pop3_reply_ok(s, "begin TLS");
    if (err == OK) {
        err = conn_starttls(s->conn);
    }
    if (err != OK) {
        log_info("pop3.stls", "TLS handshake failed", LOG_STR("ip", conn_peer_ip(s->conn)), LOG_ERR(err));
    }
    s->user[0] = '\0';
    return err;
}

POP3_CMD(stls) = {
    .name = "STLS",
    .states = POP3_STATE_AUTHORIZATION,
    .args = POP3_ARGS_NONE,
    .usage = "syntax: STLS",
    .capability = "STLS",
    .offered = stls_offered,
    .run = stls_run,
};
