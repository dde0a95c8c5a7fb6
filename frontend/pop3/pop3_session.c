#include "frontend/pop3/pop3_session.h"

#include "proto/base/assert.h"
#include "proto/base/log.h"
#include "proto/base/metrics.h"

METRIC_COUNTER(metric_logins, "pillarbox_pop3_logins_total", "POP3 logins");
METRIC_COUNTER(metric_login_failures, "pillarbox_pop3_login_failures_total", "POP3 logins that failed");
METRIC_COUNTER(metric_in_use, "pillarbox_pop3_in_use_total", "POP3 logins refused because the maildrop was locked");

void pop3_session_enter(struct pop3_session *s, enum pop3_state state)
{
    static const enum pop3_state before[] = {
        [POP3_STATE_AUTHORIZATION] = POP3_STATE_NONE,
        [POP3_STATE_TRANSACTION] = POP3_STATE_AUTHORIZATION,
        [POP3_STATE_UPDATE] = POP3_STATE_TRANSACTION,
    };
    ASSERT(state != POP3_STATE_NONE && s->state == before[state]);
    s->state = state;
}

uint64_t pop3_session_now_ms(const struct pop3_session *s)
{
    return clock_mono_ms(s->cfg->clock != NULL ? s->cfg->clock : clock_system());
}

bool pop3_session_auth_allowed(const struct pop3_session *s)
{
    return s->cfg->auth != NULL && auth_allowed(s->cfg->auth, s->conn);
}

enum err pop3_session_keep_lock(struct pop3_session *s)
{
    return pop3_lock_keep(&s->lock, s->cfg->backend, &s->account, pop3_session_now_ms(s), s->cfg->lock_renew_ms);
}

static enum err open_drop(struct pop3_session *s)
{
    struct backend *b = s->cfg->backend;
    enum err err = pop3_lock_take(&s->lock, b, &s->account, pop3_session_now_ms(s));
    if (err == OK) {
        err = pop3_drop_open(&s->drop, b, &s->account, s->cfg->messages_max);
    }
    if (err != OK) {
        pop3_lock_release(&s->lock, b, &s->account);
    }
    return err;
}

static enum err refuse_login(struct pop3_session *s, enum err why)
{
    metric_inc(why == ERR_LOCKED ? &metric_in_use : &metric_login_failures);
    log_info("pop3.login_failed", "login failed", LOG_STR("ip", conn_peer_ip(s->conn)), LOG_ERR(why));
    s->user[0] = '\0';
    if (why == ERR_AUTH && ++s->auth_failures >= s->cfg->auth_failures_max) {
        return pop3_reply_close(s, why);
    }
    return pop3_reply_err(s, why);
}

enum err pop3_session_login(struct pop3_session *s, struct slice user, struct slice password)
{
    enum err err = auth_login(s->cfg->auth, s->conn, user, password, &s->account);
    if (err == OK) {
        err = open_drop(s);
    }
    if (err != OK) {
        return refuse_login(s, err == ERR_NOTFOUND || err == ERR_STALE ? ERR_UNAVAILABLE : err);
    }
    metric_inc(&metric_logins);
    log_info("pop3.login", "logged in", LOG_STR("user", s->account.name), LOG_STR("ip", conn_peer_ip(s->conn)),
             LOG_U64("messages", s->drop.n), LOG_U64("octets", s->drop.octets));
    pop3_session_enter(s, POP3_STATE_TRANSACTION);
    s->active_ms = pop3_session_now_ms(s);
    /* The idle timer ticks for the lock; autologout counts ticks (pop3_server.c). */
    conn_set_idle_ms(s->conn, s->cfg->lock_renew_ms);
    return conn_printf(s->conn, "+OK maildrop has %u messages (%llu octets)\r\n", (unsigned)s->drop.n,
                       (unsigned long long)s->drop.octets);
}

enum err pop3_session_message(struct pop3_session *s, struct slice number, uint32_t *out_index, bool *out_found)
{
    uint64_t n = 0;
    *out_found = false;
    if (slice_u64(slice_trim(number), &n) != OK) {
        return pop3_reply_bad(s, "that is no message number");
    }
    if (n == 0 || n > s->drop.n || s->drop.deleted[n - 1] != 0) {
        return pop3_reply_bad(s, "no such message");
    }
    *out_index = (uint32_t)(n - 1);
    *out_found = true;
    return OK;
}
