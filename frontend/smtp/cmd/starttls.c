#include "frontend/smtp/smtp_session.h"
#include "proto/base/log.h"

static bool starttls_offered(const struct smtp_session *s)
{
    return conn_can_starttls(s->conn);
}

/* RFC 3207. Input sent ahead never reaches the handshake: dispatch refuses what is already here, conn_starttls what
 * comes until its reply is out. */
static enum err starttls_run(struct smtp_session *s, struct slice args)
{
    (void)args;
    if (conn_is_tls(s->conn)) {
        return smtp_reply(s, 503, "5.5.1", "TLS is already on");
    }
    if (!conn_can_starttls(s->conn)) {
        return smtp_reply(s, 502, "5.5.1", "TLS is not available");
    }
    if (conn_peek(s->conn).n > 0) {
        return smtp_reply_close(s, 554, "5.5.0", "protocol synchronization error");
    }
    enum err err = conn_write_str(s->conn, "220 2.0.0 go ahead\r\n");
    if (err == OK) {
        err = conn_starttls(s->conn);
    }
    if (err != OK) {
        log_info("smtp.starttls", "TLS handshake failed", LOG_STR("role", smtp_role_name(s->role)),
                 LOG_STR("ip", conn_peer_ip(s->conn)), LOG_ERR(err));
        return err;
    }
    smtp_session_forget(s);
    return OK;
}

SMTP_CMD(starttls) = {
    .name = "STARTTLS",
    .roles = SMTP_ROLES_ALL,
    .states = SMTP_STATE_READY,
    .args = SMTP_ARGS_NONE,
    .usage = "STARTTLS",
    .order = "EHLO first, and no transaction",
    .last = true,
    .keyword = "STARTTLS",
    .offered = starttls_offered,
    .run = starttls_run,
};
