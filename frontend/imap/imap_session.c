#include "frontend/imap/imap_session.h"

#include "frontend/imap/imap_metrics.h"
#include "frontend/imap/imap_sync.h"
#include "frontend/net/fiber.h"
#include "frontend/net/loop.h"
#include "proto/base/assert.h"
#include "proto/base/log.h"
#include "proto/base/mem.h"

#define IN_BYTES_MAX ((size_t)128 * 1024)
/* Literals of a command whose announcement is checked against the grammar before it is answered: APPEND's message is at
 * most the second. A bound, because each check reads the command from its start. */
#define LITERALS_CHECKED 2
#define IDLE_SYNC_TRIES 10

const struct imap_limits imap_limits_default = {
    .line_bytes_max = (size_t)64 * 1024,
    .prelogin_bytes_max = (size_t)8 * 1024,
    .message_bytes_max = (uint64_t)50 * 1024 * 1024,
    .depth_max = 100,
    .set_ranges_max = 20000,
    .errors_max = 20,
    .auth_failures_max = 5,
};

#define DEFAULT(field, value) (field) = (field) == 0 ? (value) : (field)

void imap_server_config_defaults(struct imap_server_config *cfg)
{
    const struct imap_limits *d = &imap_limits_default;
    DEFAULT(cfg->limits.line_bytes_max, d->line_bytes_max);
    DEFAULT(cfg->limits.prelogin_bytes_max, d->prelogin_bytes_max);
    DEFAULT(cfg->limits.message_bytes_max, d->message_bytes_max);
    DEFAULT(cfg->limits.depth_max, d->depth_max);
    DEFAULT(cfg->limits.set_ranges_max, d->set_ranges_max);
    DEFAULT(cfg->limits.errors_max, d->errors_max);
    DEFAULT(cfg->limits.auth_failures_max, d->auth_failures_max);
    DEFAULT(cfg->login_ms, 60000);
    DEFAULT(cfg->idle_ms, 30 * 60000);
    DEFAULT(cfg->literal_ms, 2 * 60000);
}

void imap_session_enter(struct imap_session *s, enum imap_state state)
{
    static const unsigned predecessors[] = {
        [IMAP_STATE_NOT_AUTHENTICATED] = 0,
        [IMAP_STATE_AUTHENTICATED] = IMAP_STATES_ALL,
        [IMAP_STATE_SELECTED] = IMAP_STATE_AUTHENTICATED,
        [IMAP_STATE_LOGOUT] = IMAP_STATES_ALL,
    };
    ASSERT((predecessors[state] & (unsigned)s->state) != 0);
    s->state = state;
}

static enum err sink(void *user, struct slice bytes)
{
    return conn_write_slice(user, bytes);
}

/* The end of every callback: hands over the output and gives memory back. */
static enum err finish(struct imap_session *s)
{
    imap_out_flush(&s->out);
    imap_out_release(&s->out);
    if (s->out.err != OK) {
        return s->out.err;
    }
    return s->ended ? ERR_CLOSED : OK;
}

static enum err on_open(struct conn *c, void *session)
{
    struct imap_session *s = session;
    s->conn = c;
    s->cfg = conn_user(c);
    s->state = IMAP_STATE_NOT_AUTHENTICATED;
    s->opened_ms = loop_now_ms(conn_loop(c));
    s->end_reason = "disconnected";
    imap_frame_init(&s->frame, s->cfg->limits.prelogin_bytes_max);
    imap_out_init(&s->out, sink, c);
    arena_init(&s->arena, IMAP_ARENA_BYTES_MAX);
    imap_metrics_init();
    imap_metrics_session(1);
    conn_set_idle_ms(c, s->cfg->login_ms);
    const char *capabilities = imap_capabilities(s, &s->arena);
    struct imap_reply greeting = {.code = capabilities, .text = "Pillarbox ready"};
    imap_write_reply(s, slice_make(NULL, 0), NULL, &greeting);
    arena_reset(&s->arena);
    return finish(s);
}

/* A literal that does not fit, or that a wrong command announces, is answered now and skipped. */
static void refuse_literal(struct imap_session *s, struct slice tag, const char *reason)
{
    if (!s->frame.literal_sync && s->frame.literal_bytes > 2 * s->cfg->limits.message_bytes_max) {
        imap_bye(s, "Literal is too large", "limit");
        return;
    }
    imap_dispatch_bad(s, tag, reason);
    imap_frame_refuse(&s->frame);
}

static void accept_literal(struct imap_session *s)
{
    if (s->frame.literal_sync) {
        imap_out_str(&s->out, "+ OK\r\n");
    }
    imap_frame_accept(&s->frame);
}

static void on_literal(struct imap_session *s)
{
    struct slice text = buf_slice(&s->frame.text);
    bool fits = s->frame.literal_bytes <= s->frame.text.limit_bytes - text.n;
    if (s->line != NULL) {
        refuse_literal(s, slice_make(NULL, 0), "Unexpected literal");
        return;
    }
    if (s->frame.literals > LITERALS_CHECKED && fits) {
        accept_literal(s);
        return;
    }
    /* An empty literal leaves nothing to miss: its command looks complete, or wrong, until the rest of the line is
     * there.
     */
    bool empty = s->frame.literal_bytes == 0;
    struct imap_command cmd;
    enum imap_parsed parsed = imap_command_parse(text, s->state, &s->cfg->limits, &s->arena, &cmd);
    if (parsed == IMAP_PARSED_OK && (cmd.cmd->flags & IMAP_CMD_STREAM) != 0) {
        imap_dispatch_parsed(s, &cmd); /* it has taken the literal and its line's end */
        imap_frame_detach(&s->frame);
    } else if (parsed == IMAP_PARSED_BAD && !empty) {
        refuse_literal(s, cmd.tag, cmd.reply.text);
    } else if (!fits) {
        refuse_literal(s, cmd.tag, "Literal is too large");
    } else {
        accept_literal(s);
    }
    arena_reset(&s->arena);
}

/* The tag of a command that was cut. */
static void on_too_long(struct imap_session *s)
{
    struct imap_cursor c;
    struct slice tag = slice_make(NULL, 0);
    imap_cursor_init(&c, buf_slice(&s->frame.text), &s->arena, &s->cfg->limits);
    (void)imap_parse_tag(&c, &tag);
    imap_dispatch_bad(s, tag, "Command line is too long");
    imap_frame_next(&s->frame);
}

static enum err on_line(struct imap_session *s)
{
    struct slice text = buf_slice(&s->frame.text);
    bool secret = s->state == IMAP_STATE_NOT_AUTHENTICATED;
    enum err e = OK;
    if (s->line != NULL) {
        e = s->line(s, text);
        arena_reset(&s->arena);
    } else if (text.n > 0) {
        imap_dispatch(s, text);
    }
    if (secret && s->frame.text.base != NULL) {
        explicit_bzero(s->frame.text.base, s->frame.text.cap); /* it may have held a password */
    }
    imap_frame_next(&s->frame);
    return e;
}

static enum err on_frame(struct imap_session *s, enum imap_frame_status status)
{
    switch (status) {
    case IMAP_FRAME_MORE:
        return OK;
    case IMAP_FRAME_LITERAL:
        on_literal(s);
        return OK;
    case IMAP_FRAME_TOO_LONG:
        on_too_long(s);
        return OK;
    case IMAP_FRAME_DONE:
        return on_line(s);
    }
    UNREACHABLE();
}

static void check_ends(struct imap_session *s)
{
    uint64_t now = loop_now_ms(conn_loop(s->conn));
    if (s->state == IMAP_STATE_NOT_AUTHENTICATED && now - s->opened_ms > 3 * s->cfg->login_ms) {
        imap_bye(s, "Log in sooner", "login timeout");
    } else if (conn_draining(s->conn) && imap_frame_idle(&s->frame)) {
        imap_bye(s, "Server is shutting down", "drain");
    }
}

static enum err on_input(struct conn *c, void *session)
{
    struct imap_session *s = session;
    while (!s->ended && s->out.err == OK) {
        struct slice in = conn_peek(c);
        if (in.n == 0) {
            break;
        }
        size_t n;
        enum imap_frame_status status;
        enum err e = imap_frame_feed(&s->frame, in, &n, &status);
        if (e != OK) {
            return e;
        }
        conn_consume(c, n);
        s->bytes_in += n;
        e = on_frame(s, status);
        if (e != OK) {
            return e;
        }
        check_ends(s);
    }
    return finish(s);
}

/* While idling only. Storage that cannot be asked now, as without a quorum, wakes the session when it can. For any
 * other reason the client must not be left stale: it has to come back. */
static void on_notify(struct imap_session *s)
{
    if (!s->idling || s->view == NULL || backend_watch_modseq(s->watch) == s->watch_seen) {
        return;
    }
    for (unsigned i = 0; i < IDLE_SYNC_TRIES && !s->ended; i++) {
        enum err e = imap_sync(s, true);
        if (e == OK) {
            return;
        }
        if (e == ERR_UNAVAILABLE || e == ERR_TIMEOUT || e == ERR_OVERLOAD) {
            backend_watch_again(s->watch);
            return;
        }
        fiber_sleep(500);
    }
    imap_bye(s, "[UNAVAILABLE] Temporarily unavailable, try again later", "unavailable");
}

static enum err on_event(struct conn *c, void *session, enum conn_event ev)
{
    struct imap_session *s = session;
    (void)c;
    switch (ev) {
    case CONN_EVENT_TIMEOUT:
        imap_bye(s, "Autologout; idle for too long", "timeout");
        break;
    case CONN_EVENT_NOTIFY:
        on_notify(s);
        arena_reset(&s->arena);
        break;
    case CONN_EVENT_DRAIN:
        imap_bye(s, "Server is shutting down", "drain");
        break;
    }
    return finish(s);
}

static void log_end(const struct imap_session *s)
{
    uint64_t ms = loop_now_ms(conn_loop(s->conn)) - s->opened_ms;
    if (s->account.id.v == 0) {
        log_debug("imap.end", "closed before login", LOG_STR("ip", conn_peer_ip(s->conn)),
                  LOG_STR("reason", s->end_reason), LOG_U64("conn", conn_id(s->conn)));
        return;
    }
    log_info("imap.end", "session ended", LOG_STR("user", s->account.name), LOG_STR("ip", conn_peer_ip(s->conn)),
             LOG_STR("reason", s->end_reason), LOG_U64("commands", s->commands), LOG_U64("bytes_in", s->bytes_in),
             LOG_U64("bytes_out", s->out.total), LOG_U64("ms", ms), LOG_U64("conn", conn_id(s->conn)));
}

static void on_close(struct conn *c, void *session)
{
    struct imap_session *s = session;
    if (s->conn == NULL) {
        return; /* never opened: the TLS handshake failed */
    }
    (void)c;
    log_end(s);
    imap_metrics_session(-1);
    if (s->view != NULL) {
        if (s->watch != NULL) {
            backend_watch_remove(s->watch);
        }
        imap_view_fini(s->view);
        mem_free(s->view);
    }
    if (s->pending != NULL) {
        buf_fini(&s->pending->user);
        mem_free(s->pending);
    }
    imap_frame_fini(&s->frame);
    imap_out_release(&s->out);
    arena_fini(&s->arena);
}

const struct conn_proto imap_proto = {
    .name = "imap",
    .alpn = "imap",
    .session_bytes = sizeof(struct imap_session),
    .in_bytes_max = IN_BYTES_MAX,
    .idle_ms = 60000,
    .open = on_open,
    .input = on_input,
    .event = on_event,
    .close = on_close,
};
