#include "storage/apply/common/event_log.h"

#include "proto/base/mem.h"

#define CAP_MIN 64

void event_log_init(struct event_log *l)
{
    memset(l, 0, sizeof(*l));
}

void event_log_fini(struct event_log *l)
{
    mem_free(l->events);
    event_log_init(l);
}

static void drop_first(struct event_log *l, size_t n)
{
    if (n == 0) {
        return;
    }
    memmove(l->events, l->events + n, (l->n - n) * sizeof(*l->events));
    l->n -= n;
    l->committed -= n;
    l->taken -= n < l->taken ? n : l->taken;
}

static enum err make_room(struct event_log *l)
{
    drop_first(l, l->taken);
    if (l->committed >= EVENT_LOG_MAX) {
        drop_first(l, EVENT_LOG_MAX / 2);
    }
    if (l->n < l->cap) {
        return OK;
    }
    size_t cap = l->cap < CAP_MIN ? CAP_MIN : l->cap * 2;
    struct storage_event *grown = mem_realloc(l->events, cap * sizeof(*grown));
    if (grown == NULL) {
        return ERR_NOMEM;
    }
    l->events = grown;
    l->cap = cap;
    return OK;
}

enum err event_log_push(struct event_log *l, const struct storage_event *ev)
{
    enum err e = make_room(l);
    if (e != OK) {
        return e;
    }
    if (l->n > l->committed) {
        struct storage_event *last = &l->events[l->n - 1];
        if (last->account.v == ev->account.v && last->mailbox.v == ev->mailbox.v) {
            *last = *ev;
            return OK;
        }
    }
    l->events[l->n++] = *ev;
    return OK;
}

void event_log_commit(struct event_log *l)
{
    l->committed = l->n;
}

void event_log_abort(struct event_log *l)
{
    l->n = l->committed;
}

const struct storage_event *event_log_take(struct event_log *l, size_t *out_n)
{
    const struct storage_event *first = l->events == NULL ? NULL : l->events + l->taken;
    *out_n = l->committed - l->taken;
    l->taken = l->committed;
    return first;
}
