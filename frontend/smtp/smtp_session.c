#include "frontend/smtp/smtp_session.h"

#include <string.h>

#include "proto/base/assert.h"

/* Recipients, their look-ups and the DELIVER requests of one transaction. */
#define TRANSACTION_BYTES_MAX (4 * 1024 * 1024)

void smtp_session_enter(struct smtp_session *s, enum smtp_state state)
{
    static const struct {
        enum smtp_state to;
        unsigned from;
    } legal[] = {
        {SMTP_STATE_START, SMTP_STATE_NONE | SMTP_STATES_ALL},
        {SMTP_STATE_READY, SMTP_STATES_ALL},
        {SMTP_STATE_MAIL, SMTP_STATE_READY},
        {SMTP_STATE_RCPT, SMTP_STATE_MAIL | SMTP_STATE_RCPT},
    };
    for (size_t i = 0; i < sizeof(legal) / sizeof(legal[0]); i++) {
        if (legal[i].to == state) {
            ASSERT(s->state == SMTP_STATE_NONE || (legal[i].from & (unsigned)s->state) != 0);
            s->state = state;
            return;
        }
    }
    UNREACHABLE();
}

void smtp_session_reset(struct smtp_session *s)
{
    memset(&s->envelope, 0, sizeof(s->envelope));
    arena_fini(&s->arena);
    arena_init(&s->arena, TRANSACTION_BYTES_MAX);
    s->envelope.arena = &s->arena;
    s->envelope.per_rcpt = s->role == SMTP_ROLE_LMTP;
    s->envelope.targets_max = s->cfg->recipients_max;
    if (s->state != SMTP_STATE_START && s->state != SMTP_STATE_NONE) {
        smtp_session_enter(s, SMTP_STATE_READY);
    }
}

void smtp_session_greet(struct smtp_session *s, struct slice helo, bool extended)
{
    ASSERT(helo.n <= SMTP_HELO_BYTES_MAX);
    memcpy(s->helo, helo.p, helo.n);
    s->helo[helo.n] = '\0';
    s->extended = extended;
    smtp_session_enter(s, SMTP_STATE_READY);
    smtp_session_reset(s);
}

void smtp_session_forget(struct smtp_session *s)
{
    s->helo[0] = '\0';
    s->extended = false;
    s->authenticated = false;
    memset(&s->account, 0, sizeof(s->account));
    smtp_session_enter(s, SMTP_STATE_START);
    smtp_session_reset(s);
}

enum err smtp_session_line(struct smtp_session *s, size_t bytes_max, struct slice *out_line, size_t *out_consumed)
{
    /* For the whole line: a byte now and then does not keep it open. */
    uint64_t until_ms = smtp_session_mono_ms(s) + s->cfg->command_ms;
    for (;;) {
        size_t used = 0;
        enum smtp_line_result r = smtp_line_next(&s->line, conn_peek(s->conn), bytes_max, out_line, &used);
        if (r == SMTP_LINE_OK) {
            *out_consumed = used;
            return OK;
        }
        conn_consume(s->conn, used);
        if (r == SMTP_LINE_LONG) {
            return ERR_LIMIT;
        }
        if (r != SMTP_LINE_MORE) {
            return ERR_PROTOCOL;
        }
        uint64_t now_ms = smtp_session_mono_ms(s);
        enum err err = now_ms < until_ms ? conn_read(s->conn, until_ms - now_ms) : ERR_TIMEOUT;
        if (err != OK) {
            return err == ERR_LIMIT ? ERR_CLOSED : err;
        }
    }
}

static struct clock *session_clock(const struct smtp_session *s)
{
    return s->cfg->clock != NULL ? s->cfg->clock : clock_system();
}

int64_t smtp_session_now_s(const struct smtp_session *s)
{
    return (int64_t)(clock_wall_ms(session_clock(s)) / 1000);
}

uint64_t smtp_session_mono_ms(const struct smtp_session *s)
{
    return clock_mono_ms(session_clock(s));
}

void smtp_session_id(struct smtp_session *s, char out[SMTP_ID_BYTES])
{
    static const char digits[] = "0123456789abcdef";
    uint64_t v = rng_u64(s->cfg->rng != NULL ? s->cfg->rng : rng_system());
    for (size_t i = 0; i < SMTP_ID_BYTES - 1; i++) {
        out[i] = digits[(v >> (4 * i)) & 15];
    }
    out[SMTP_ID_BYTES - 1] = '\0';
}

const char *smtp_role_name(enum smtp_role r)
{
    return r == SMTP_ROLE_MX ? "smtp" : r == SMTP_ROLE_SUBMISSION ? "submission" : "lmtp";
}

enum smtp_bare smtp_session_bare(const struct smtp_session *s)
{
    switch (s->role) {
    case SMTP_ROLE_MX:
        return s->cfg->bare_mx;
    case SMTP_ROLE_SUBMISSION:
        return s->cfg->bare_submission;
    case SMTP_ROLE_LMTP:
        return s->cfg->bare_lmtp;
    }
    UNREACHABLE();
}
