#include <string.h>

#include "frontend/pop3/pop3.h"
#include "frontend/pop3/pop3_session.h"
#include "proto/base/log.h"
#include "proto/base/metrics.h"

#define LINE_BYTES_CAP 4096
#define IN_BYTES_MAX (32 * 1024)

METRIC_COUNTER(metric_connections, "pillarbox_pop3_connections_total", "POP3 connections");

void pop3_server_config_init(struct pop3_server_config *cfg)
{
    memset(cfg, 0, sizeof(*cfg));
    cfg->hostname = "localhost";
    cfg->line_bytes_max = 1024;
    cfg->errors_max = 20;
    cfg->auth_failures_max = 5;
    cfg->messages_max = 1000000;
    cfg->lock_renew_ms = 20 * 1000;
    cfg->login_ms = 60 * 1000;
    cfg->idle_ms = 600 * 1000;
    metric_register(&metric_connections);
}

static enum err server_open(struct conn *c, void *session)
{
    struct pop3_session *s = session;
    s->conn = c;
    s->cfg = conn_user(c);
    s->active_ms = pop3_session_now_ms(s);
    conn_set_idle_ms(c, s->cfg->login_ms);
    metric_inc(&metric_connections);
    pop3_session_enter(s, POP3_STATE_AUTHORIZATION);
    if (conn_draining(c)) {
        return pop3_reply_close(s, ERR_SHUTDOWN);
    }
    return conn_printf(c, "+OK %s ready\r\n", s->cfg->hostname);
}

/* One command, or *out_more = false when there is no complete line. The line is copied (a view of the input does not
 * survive the command's first conn call) and wiped: it may have held a password. */
static enum err one_line(struct pop3_session *s, bool *out_more)
{
    char copy[LINE_BYTES_CAP];
    struct slice line = slice_make(NULL, 0);
    size_t used = 0;
    size_t max = s->cfg->line_bytes_max < sizeof(copy) ? s->cfg->line_bytes_max : sizeof(copy);
    enum pop3_line_result r = pop3_line_next(&s->line, conn_peek(s->conn), max, &line, &used);
    if (line.n > 0) {
        memcpy(copy, line.p, line.n);
    }
    conn_consume(s->conn, used);
    *out_more = r != POP3_LINE_MORE;
    if (r != POP3_LINE_OK) {
        return r == POP3_LINE_LONG ? pop3_reply_bad(s, "line too long") : OK;
    }
    enum err err = pop3_dispatch(s, slice_make(copy, line.n));
    explicit_bzero(copy, line.n);
    return err;
}

/* A byte now and then keeps the idle timer quiet, but not this. */
static bool dawdles(const struct pop3_session *s)
{
    uint64_t limit_ms = s->state == POP3_STATE_AUTHORIZATION ? s->cfg->login_ms : s->cfg->idle_ms;
    return pop3_session_now_ms(s) - s->active_ms > limit_ms;
}

static enum err server_input(struct conn *c, void *session)
{
    struct pop3_session *s = session;
    bool more = true;
    enum err err = dawdles(s) ? ERR_TIMEOUT : OK;
    while (err == OK && more && conn_peek(c).n > 0) {
        err = one_line(s, &more);
        if (err == OK && conn_draining(c)) {
            return pop3_reply_close(s, ERR_SHUTDOWN);
        }
    }
    return err;
}

/* A tick of the idle timer. RFC 1939, 3: autologout closes without a response and without deleting. */
static enum err tick(struct pop3_session *s)
{
    if (s->state != POP3_STATE_TRANSACTION) {
        return ERR_TIMEOUT;
    }
    if (pop3_session_now_ms(s) - s->active_ms >= s->cfg->idle_ms) {
        log_info("pop3.autologout", "idle session ended", LOG_STR("user", s->account.name));
        return ERR_TIMEOUT;
    }
    enum err err =
        pop3_lock_keep(&s->lock, s->cfg->backend, &s->account, pop3_session_now_ms(s), s->cfg->lock_renew_ms / 2);
    return err == OK ? OK : pop3_reply_close(s, err);
}

static enum err server_event(struct conn *c, void *session, enum conn_event ev)
{
    struct pop3_session *s = session;
    (void)c;
    switch (ev) {
    case CONN_EVENT_TIMEOUT:
        return tick(s);
    case CONN_EVENT_DRAIN:
        return pop3_reply_close(s, ERR_SHUTDOWN);
    case CONN_EVENT_NOTIFY:
        return OK;
    }
    return OK;
}

/* The session is over, by QUIT or by a cut: a lock that is still held is given back at once, so that the user's next
 * session does not find it. */
static void server_close(struct conn *c, void *session)
{
    struct pop3_session *s = session;
    if (s->cfg != NULL) {
        pop3_lock_release_later(&s->lock, s->cfg->backend, &s->account, conn_loop(c));
    }
    pop3_ahead_drop(s);
    pop3_drop_fini(&s->drop);
}

const struct conn_proto pop3_proto = {
    .name = "pop3",
    .alpn = "pop3",
    .session_bytes = sizeof(struct pop3_session),
    .in_bytes_max = IN_BYTES_MAX,
    .idle_ms = 60 * 1000,
    .open = server_open,
    .input = server_input,
    .event = server_event,
    .close = server_close,
};
