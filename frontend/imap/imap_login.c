#include "frontend/imap/imap_login.h"

#include "frontend/imap/imap_metrics.h"
#include "frontend/net/loop.h"
#include "proto/base/log.h"

bool imap_login_allowed(const struct imap_session *s)
{
    return auth_allowed(s->cfg->auth, s->conn);
}

static void refuse(struct imap_session *s, struct slice user, const char *mechanism, enum err e, struct imap_reply *out)
{
    struct imap_error text = imap_error_of(e, IMAP_ABOUT_LOGIN);
    *out = (struct imap_reply){.status = IMAP_STATUS_NO, .code = text.code, .text = text.text};
    imap_metrics_login(false);
    log_info("imap.login_failed", "login refused", LOG_SLICE("user", user), LOG_STR("ip", conn_peer_ip(s->conn)),
             LOG_STR("mechanism", mechanism), LOG_U64("conn", conn_id(s->conn)), LOG_ERR(e));
    s->auth_failures += e == ERR_AUTH ? 1 : 0;
    if (s->auth_failures >= s->cfg->limits.auth_failures_max) {
        imap_bye(s, "Too many failed logins", "failed logins");
    }
}

void imap_login(struct imap_session *s, struct slice user, struct slice password, const char *mechanism,
                struct arena *arena, struct imap_reply *out_reply)
{
    if (!imap_login_allowed(s)) {
        *out_reply = (struct imap_reply){
            .status = IMAP_STATUS_NO, .code = "PRIVACYREQUIRED", .text = "Passwords are accepted over TLS only"};
        return;
    }
    uint64_t start_ms = loop_now_ms(conn_loop(s->conn));
    struct account_ref account;
    enum err e = auth_login(s->cfg->auth, s->conn, user, password, &account);
    if (e != OK) {
        refuse(s, user, mechanism, e, out_reply);
        return;
    }
    s->account = account;
    imap_session_enter(s, IMAP_STATE_AUTHENTICATED);
    imap_frame_limit(&s->frame, s->cfg->limits.line_bytes_max);
    conn_set_idle_ms(s->conn, s->cfg->idle_ms);
    imap_metrics_login(true);
    log_info("imap.login", "logged in", LOG_STR("user", account.name), LOG_STR("ip", conn_peer_ip(s->conn)),
             LOG_STR("mechanism", mechanism), LOG_STR("tls", conn_tls_description(s->conn)),
             LOG_U64("ms", loop_now_ms(conn_loop(s->conn)) - start_ms), LOG_U64("conn", conn_id(s->conn)));
    *out_reply =
        (struct imap_reply){.status = IMAP_STATUS_OK, .code = imap_capabilities(s, arena), .text = "Logged in"};
}
