#include <string.h>

#include "frontend/net/fiber.h"
#include "frontend/smtp/smtp.h"
#include "frontend/smtp/smtp_session.h"
#include "proto/base/log.h"

/* Longest command line we ever read, whatever is configured; AUTH's own lines have their limit in cmd/auth.c. */
#define LINE_BYTES_CAP 8192
#define IN_BYTES_MAX (64 * 1024)

void smtp_server_config_init(struct smtp_server_config *cfg)
{
    memset(cfg, 0, sizeof(*cfg));
    cfg->hostname = "localhost";
    cfg->line_bytes_max = 2048;
    cfg->recipients_max = 1000;
    cfg->message_bytes_max = UINT64_C(50) * 1024 * 1024;
    cfg->body_budget_bytes = UINT64_C(256) * 1024 * 1024;
    cfg->errors_soft = 10;
    cfg->errors_hard = 20;
    cfg->error_delay_ms = 1000;
    cfg->auth_failures_max = 5;
    cfg->command_ms = 300 * 1000;
    cfg->data_read_ms = 180 * 1000;
    cfg->data_deadline_ms = 60 * 60 * 1000;
    cfg->data_grace_ms = 60 * 1000;
    cfg->data_rate_min = 500;
    cfg->received_max = 50;
    cfg->bare_mx = SMTP_BARE_REJECT;
    cfg->bare_submission = SMTP_BARE_NORMALIZE;
    cfg->bare_lmtp = SMTP_BARE_KEEP;
    cfg->pipelining_strict = true;
    cfg->detail_folders = true;
    smtp_metrics_register();
}

static enum smtp_role role_of(struct conn *c)
{
    const struct conn_proto *p = conn_proto(c);
    return p == &smtp_proto ? SMTP_ROLE_MX : p == &submission_proto ? SMTP_ROLE_SUBMISSION : SMTP_ROLE_LMTP;
}

/* RFC 5321, 3.1: the client waits for the banner. Who does not is no mail server. */
static enum err pregreet(struct smtp_session *s)
{
    if (s->role == SMTP_ROLE_MX && s->cfg->greet_delay_ms > 0) {
        fiber_sleep(s->cfg->greet_delay_ms);
    }
    if (conn_peek(s->conn).n == 0) {
        return OK;
    }
    log_info("smtp.pregreet", "input before the banner", LOG_STR("role", smtp_role_name(s->role)),
             LOG_STR("ip", conn_peer_ip(s->conn)));
    return smtp_reply_close(s, 554, "5.5.0", "protocol synchronization error");
}

static enum err server_open(struct conn *c, void *session)
{
    struct smtp_session *s = session;
    s->conn = c;
    s->cfg = conn_user(c);
    s->role = role_of(c);
    conn_set_idle_ms(c, s->cfg->command_ms);
    smtp_metric_add(s->role, SMTP_METRIC_CONNECTIONS, 1);
    smtp_session_enter(s, SMTP_STATE_START);
    smtp_session_reset(s);
    if (conn_draining(c)) {
        return smtp_reply_close(s, 421, "4.3.2", "shutting down");
    }
    enum err err = pregreet(s);
    if (err != OK) {
        return err;
    }
    return conn_printf(c, "220 %s %s ready\r\n", s->cfg->hostname, s->role == SMTP_ROLE_LMTP ? "LMTP" : "ESMTP");
}

/* The first byte of a command is a letter. Anything else is another protocol (TLS on a plaintext port, a web form's
 * body, PROXY in binary): no use in waiting for its line end. */
static bool is_foreign(struct slice in)
{
    uint8_t c = in.n > 0 ? ascii_lower(in.p[0]) : 'a';
    return (c < 'a' || c > 'z') && c != '\r' && c != '\n';
}

static enum err run_line(struct smtp_session *s, enum smtp_line_result r, struct slice line)
{
    if (r == SMTP_LINE_LONG) {
        return smtp_reply(s, 500, "5.5.6", "line too long");
    }
    if (r == SMTP_LINE_BARE_CR || (r == SMTP_LINE_BARE_LF && smtp_session_bare(s) == SMTP_BARE_REJECT)) {
        return smtp_reply(s, 500, "5.5.2", "lines end in CR LF");
    }
    if (line.n == 0) {
        return smtp_reply(s, 500, "5.5.2", "empty line");
    }
    return smtp_dispatch(s, line);
}

/* One command, or *out_more = false when there is no complete line. The line is copied: a view of the input does not
 * survive the command's first conn call. */
static enum err one_line(struct smtp_session *s, bool *out_more)
{
    char copy[LINE_BYTES_CAP];
    struct slice in = conn_peek(s->conn);
    struct slice line = slice_make(NULL, 0);
    size_t used = 0;
    size_t max = s->cfg->line_bytes_max < sizeof(copy) ? s->cfg->line_bytes_max : sizeof(copy);
    if (!s->line.skipping && is_foreign(in)) {
        return smtp_reply_close(s, 221, "2.7.0", "this is no mail command");
    }
    enum smtp_line_result r = smtp_line_next(&s->line, in, max, &line, &used);
    *out_more = r != SMTP_LINE_MORE;
    if (line.n > 0) {
        memcpy(copy, line.p, line.n);
    }
    conn_consume(s->conn, used);
    return *out_more ? run_line(s, r, slice_make(copy, line.n)) : OK;
}

/* The idle timer starts again with every byte; a client that sends one a minute meets this. */
static bool dawdles(struct smtp_session *s, bool unfinished)
{
    uint64_t now = smtp_session_mono_ms(s);
    if (!unfinished) {
        s->line_ms = 0;
    } else if (s->line_ms == 0) {
        s->line_ms = now;
    }
    return unfinished && now - s->line_ms > s->cfg->command_ms;
}

static enum err server_input(struct conn *c, void *session)
{
    struct smtp_session *s = session;
    bool more = true;
    enum err err = OK;
    while (err == OK && more && conn_peek(c).n > 0) {
        err = one_line(s, &more);
        if (err == OK && conn_draining(c)) {
            return smtp_reply_close(s, 421, "4.3.2", "shutting down");
        }
    }
    if (err == OK && dawdles(s, s->line.skipping || conn_peek(c).n > 0)) {
        return smtp_reply_close(s, 421, "4.4.2", "timeout, closing");
    }
    return err;
}

static enum err server_event(struct conn *c, void *session, enum conn_event ev)
{
    struct smtp_session *s = session;
    (void)c;
    switch (ev) {
    case CONN_EVENT_TIMEOUT:
        return smtp_reply_close(s, 421, "4.4.2", "timeout, closing");
    case CONN_EVENT_DRAIN:
        return smtp_reply_close(s, 421, "4.3.2", "shutting down");
    case CONN_EVENT_NOTIFY:
        return OK;
    }
    return OK;
}

static void server_close(struct conn *c, void *session)
{
    struct smtp_session *s = session;
    (void)c;
    arena_fini(&s->arena);
}

#define SMTP_PROTO(proto_name, proto_alpn)                                                                             \
    {                                                                                                                  \
        .name = (proto_name), .alpn = (proto_alpn), .session_bytes = sizeof(struct smtp_session),                      \
        .in_bytes_max = IN_BYTES_MAX, .idle_ms = 300 * 1000, .open = server_open, .input = server_input,               \
        .event = server_event, .close = server_close,                                                                  \
    }

const struct conn_proto smtp_proto = SMTP_PROTO("smtp", "smtp");
const struct conn_proto submission_proto = SMTP_PROTO("submission", "smtp");
const struct conn_proto lmtp_proto = SMTP_PROTO("lmtp", NULL);
