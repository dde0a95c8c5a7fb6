#include "frontend/pop3/pop3_session.h"
#include "proto/base/log.h"
#include "proto/base/metrics.h"

METRIC_COUNTER(metric_deleted, "pillarbox_pop3_deleted_total", "Messages deleted by QUIT");

static uint64_t now_ms(void *user)
{
    return pop3_session_now_ms(user);
}

/* RFC 1939, 6: the update state. +OK says that every marked message is gone, durably. */
static enum err update(struct pop3_session *s)
{
    uint32_t marked = s->drop.n_deleted;
    pop3_session_enter(s, POP3_STATE_UPDATE);
    enum err err = pop3_drop_commit(&s->drop, s->cfg->backend, &s->account, &s->lock, now_ms, s);
    pop3_lock_release(&s->lock, s->cfg->backend, &s->account);
    metric_add(&metric_deleted, (int64_t)(marked - s->drop.n_deleted));
    log_info("pop3.quit", "session ended", LOG_STR("user", s->account.name), LOG_U64("marked", marked),
             LOG_U64("deleted", marked - s->drop.n_deleted), LOG_ERR(err));
    if (err == OK) {
        return pop3_reply_ok(s, "bye");
    }
    return conn_printf(s->conn, "-ERR %ssome marked messages were not deleted\r\n", pop3_status_of(err).code);
}

static enum err quit_run(struct pop3_session *s, struct slice args)
{
    (void)args;
    enum err err = s->state == POP3_STATE_TRANSACTION ? update(s) : pop3_reply_ok(s, "bye");
    return err == OK ? ERR_CLOSED : err;
}

POP3_CMD(quit) = {
    .name = "QUIT",
    .states = POP3_STATE_AUTHORIZATION | POP3_STATE_TRANSACTION,
    .args = POP3_ARGS_NONE,
    .usage = "syntax: QUIT",
    .run = quit_run,
};
