#include <string.h>

#include "frontend/smtp/smtp_session.h"
#include "proto/base/b64.h"
#include "proto/base/log.h"

/* RFC 4954, 4: base64 lines of up to 12,288 octets. */
#define AUTH_LINE_BYTES_MAX 12288

static bool auth_offered(const struct smtp_session *s)
{
    return s->cfg->auth != NULL && !s->authenticated && auth_allowed(s->cfg->auth, s->conn);
}

/* What a client sent may be a password: wiped before its memory goes back. */
static void wipe_fini(struct buf *b)
{
    if (b->base != NULL) {
        explicit_bzero(b->base, b->cap);
    }
    buf_fini(b);
}

/* "=" is an empty response (RFC 4954, 4). ERR_EXPIRED is not met here: ERR_CLOSED to ERR_TIMEOUT end the session,
 * ERR_INVAL is 501, ERR_PROTOCOL the client's "*". */
static enum err decode(struct slice text, struct buf *out)
{
    if (slice_eq_str(text, "*")) {
        return ERR_PROTOCOL;
    }
    return slice_eq_str(text, "=") ? OK : b64_decode(out, text);
}

/* One challenge and its response. *out_gone: the connection's own error, so that no reply makes sense. */
static enum err ask(struct smtp_session *s, const char *challenge, struct buf *out, bool *out_gone)
{
    struct slice line;
    size_t used = 0;
    enum err err = conn_printf(s->conn, "334 %s\r\n", challenge);
    if (err == OK) {
        conn_flush(s->conn);
        err = smtp_session_line(s, AUTH_LINE_BYTES_MAX, &line, &used);
    }
    if (err == ERR_LIMIT || err == ERR_PROTOCOL) {
        return ERR_INVAL;
    }
    *out_gone = err != OK;
    if (err != OK) {
        return err;
    }
    err = decode(line, out);
    conn_consume(s->conn, used);
    return err;
}

static enum err plain(struct smtp_session *s, struct slice initial, struct buf *message, bool *out_gone)
{
    struct slice user;
    struct slice password;
    enum err err = initial.n > 0 ? decode(initial, message) : ask(s, "", message, out_gone);
    if (err == OK) {
        err = auth_sasl_plain(buf_slice(message), &user, &password);
    }
    return err == OK ? auth_login(s->cfg->auth, s->conn, user, password, &s->account) : err;
}

/* LOGIN is no standard, but Outlook's only word: user and password in turn. */
static enum err login(struct smtp_session *s, struct slice initial, struct buf *user, bool *out_gone)
{
    struct buf password;
    buf_init(&password, AUTH_LINE_BYTES_MAX);
    enum err err = initial.n > 0 ? decode(initial, user) : ask(s, "VXNlcm5hbWU6", user, out_gone);
    if (err == OK) {
        err = ask(s, "UGFzc3dvcmQ6", &password, out_gone);
    }
    if (err == OK) {
        err = auth_login(s->cfg->auth, s->conn, buf_slice(user), buf_slice(&password), &s->account);
    }
    wipe_fini(&password);
    return err;
}

static enum err finish(struct smtp_session *s, enum err err)
{
    struct smtp_status st = smtp_status_of_auth(err);
    if (err == OK) {
        s->authenticated = true;
        log_info("smtp.login", "logged in", LOG_STR("role", smtp_role_name(s->role)), LOG_STR("user", s->account.name),
                 LOG_STR("ip", conn_peer_ip(s->conn)));
        return smtp_reply_status(s, st);
    }
    memset(&s->account, 0, sizeof(s->account));
    if (err == ERR_PROTOCOL) {
        return smtp_reply(s, 501, "5.7.0", "authentication cancelled");
    }
    smtp_metric_add(s->role, SMTP_METRIC_AUTH_FAILURES, 1);
    log_info("smtp.login_failed", "login failed", LOG_STR("role", smtp_role_name(s->role)),
             LOG_STR("ip", conn_peer_ip(s->conn)), LOG_ERR(err));
    if (st.code == 535 && ++s->auth_failures >= s->cfg->auth_failures_max) {
        return smtp_reply_close(s, 421, "4.7.0", "too many failed logins");
    }
    return smtp_reply_status(s, st);
}

static enum err auth_run(struct smtp_session *s, struct slice args)
{
    struct slice mechanism = slice_sub(args, 0, slice_find(args, ' '));
    struct slice initial = slice_trim(slice_sub(args, mechanism.n, args.n));
    if (s->authenticated) {
        return smtp_reply(s, 503, "5.5.1", "already authenticated");
    }
    if (!auth_offered(s)) {
        return smtp_reply(s, 538, "5.7.11", "encryption required: STARTTLS first");
    }
    bool is_plain = slice_ieq_str(mechanism, "PLAIN");
    if (!is_plain && !slice_ieq_str(mechanism, "LOGIN")) {
        return smtp_reply(s, 504, "5.5.4", "unknown mechanism");
    }
    bool gone = false;
    struct buf first;
    buf_init(&first, AUTH_LINE_BYTES_MAX);
    enum err err = is_plain ? plain(s, initial, &first, &gone) : login(s, initial, &first, &gone);
    wipe_fini(&first);
    return gone ? err : finish(s, err);
}

/* RFC 4954 */
SMTP_CMD(auth) = {
    .name = "AUTH",
    .roles = SMTP_ROLE_SUBMISSION,
    .states = SMTP_STATE_READY,
    .args = SMTP_ARGS_REQUIRED,
    .usage = "AUTH mechanism",
    .order = "EHLO first, and no transaction",
    .last = true,
    .keyword = "AUTH PLAIN LOGIN",
    .offered = auth_offered,
    .run = auth_run,
};
