/* The source's copies: whose turn it is, what has arrived, how they end. What they send is copy_rows.c's. */
#include "replication/copy_out_run.h"

#include "proto/base/mem.h"
#include "replication/copy.h"

#define COPIES_MAX 2         /* of one group */
#define COPIES_SENDING_MAX 4 /* of a node */
#define SILENCE_MS 30000

/* --- life --- */

static void stop_sending(struct copy_out *c)
{
    c->turns->sending -= c->sending;
    c->sending = false;
}

static void copy_free(struct copy_out *c)
{
    stop_sending(c);
    copy_rows_fini(c);
    list_remove(&c->turn);
    list_remove(&c->list);
    mem_free(c);
}

static struct copy_out *copy_new(struct volume *v, struct group *g, const struct repl_message *m)
{
    size_t n = 0;
    LIST_FOREACH_SAFE (it, &g->copies) {
        struct copy_out *c = LIST_ENTRY(it, struct copy_out, list);
        if (c->to.v == m->from.v) {
            copy_free(c); /* it has begun another one */
        } else {
            n++;
        }
    }
    struct copy_out *c = n < COPIES_MAX ? mem_zalloc(sizeof(*c)) : NULL;
    if (c == NULL) {
        return NULL; /* it pulls again */
    }
    c->turns = &v->copies;
    c->group = g;
    c->to = m->from;
    c->id = m->copy;
    c->attempt = m->attempt;
    list_init(&c->turn);
    copy_rows_init(c);
    list_push_back(&g->copies, &c->list);
    return c;
}

static struct copy_out *copy_find(struct volume *v, struct group *g, const struct repl_message *m)
{
    LIST_FOREACH (it, &g->copies) {
        struct copy_out *c = LIST_ENTRY(it, struct copy_out, list);
        if (c->to.v == m->from.v && c->id == m->copy) {
            return c;
        }
    }
    return m->sequence == 0 ? copy_new(v, g, m) : NULL;
}

void copy_turns_init(struct copy_turns *t, uint64_t bytes_per_s)
{
    copy_rate_init(&t->rate, bytes_per_s);
    list_init(&t->ready);
    list_init(&t->waiting);
    t->sending = 0;
}

/* --- sending, in turn --- */

static enum err send_rows(struct volume *v, const struct copy_out *c, struct repl_message *m)
{
    buf_reset(&v->message);
    m->type = REPL_MESSAGE_COPY_ROWS;
    m->shard = c->group->shard;
    m->from = c->group->node;
    m->to = c->to;
    m->copy = c->id;
    m->attempt = c->attempt;
    enum err e = repl_message_put(m, &v->message);
    if (e == OK) {
        volume_send(v, c->to, true, buf_slice(&v->message));
    }
    return e;
}

/* A batch, if the receiver takes one. Nothing comes after the last; when it is lost it is pulled again. */
static enum err send_next(struct volume *v, struct copy_out *c)
{
    struct repl_message m = {.last = false};
    struct kv_txn *t;
    enum err e = OK;
    if (c->next > c->upto || c->next >= c->done + COPY_BATCHES_OPEN) {
        return OK;
    }
    e = volume_reader(v, &t);
    if (e != OK || !copy_rows_build(c->group, c, t, &m, &e)) {
        return e;
    }
    if (e == OK) {
        e = send_rows(v, c, &m);
    }
    if (e != OK) {
        copy_rows_undo(c);
        return e;
    }
    copy_rate_take(&c->turns->rate, m.rows.n);
    volume_count(&v->stats.copy_bytes, m.rows.n);
    if (m.last) {
        stop_sending(c);
    } else {
        list_push_back(&c->turns->ready, &c->turn);
    }
    return OK;
}

/* Few at a time: each is over sooner, so that less is written behind its cursor. */
static void begin(struct copy_turns *t)
{
    while (t->sending < COPIES_SENDING_MAX && !list_empty(&t->waiting)) {
        struct copy_out *c = LIST_ENTRY(list_pop_front(&t->waiting), struct copy_out, turn);
        c->begun = c->sending = true;
        t->sending++;
        list_push_back(&t->ready, &c->turn);
    }
}

void copy_out_serve(struct volume *v, uint64_t now_ms)
{
    struct copy_turns *t = &v->copies;
    for (begin(t); !list_empty(&t->ready) && copy_rate_open(&t->rate, now_ms); begin(t)) {
        struct copy_out *c = LIST_ENTRY(list_pop_front(&t->ready), struct copy_out, turn);
        enum err e = send_next(v, c);
        if (c->overflow || (e != OK && e != ERR_NOMEM)) {
            copy_free(c);
        }
    }
}

uint64_t copy_out_wait_ms(const struct volume *v, uint64_t now_ms)
{
    return list_empty(&v->copies.ready) ? UINT64_MAX : copy_rate_wait_ms(&v->copies.rate, now_ms);
}

/* --- the receiver's word --- */

/* It gives up otherwise. */
static void tell_to_wait(struct volume *v, const struct copy_out *c)
{
    struct repl_message m = {.sequence = c->done};
    enum err e = send_rows(v, c, &m);
    (void)e; /* it pulls again */
}

void copy_out_pulled(struct volume *v, struct group *g, const struct repl_message *m, uint64_t now_ms)
{
    struct copy_out *c = copy_find(v, g, m);
    if (c == NULL || m->sequence < c->done || m->sequence >= c->next || (m->attempt != c->attempt && !m->again)) {
        return;
    }
    for (uint64_t s = c->done + 1; s <= m->sequence; s++) {
        copy_rows_arrived(c, s);
    }
    c->done = m->sequence;
    c->upto = m->upto;
    c->heard_ms = now_ms;
    if (m->attempt != c->attempt) {
        c->attempt = m->attempt;
        while (c->next > c->done + 1) {
            copy_rows_undo(c);
        }
    }
    if (list_empty(&c->turn)) {
        list_push_back(c->begun ? &c->turns->ready : &c->turns->waiting, &c->turn);
    }
    if (m->again && !c->begun) {
        tell_to_wait(v, c);
    }
}

void copy_out_tick(struct group *g, uint64_t now_ms)
{
    LIST_FOREACH_SAFE (it, &g->copies) {
        struct copy_out *c = LIST_ENTRY(it, struct copy_out, list);
        bool arrived = c->index != 0 && raft_driver_match(g->raft, c->to) >= c->index;
        if (arrived || now_ms > c->heard_ms + SILENCE_MS || c->overflow) {
            copy_free(c);
        }
    }
}

uint64_t copy_out_wants(const struct group *g, uint64_t first)
{
    uint64_t wanted = UINT64_MAX;
    LIST_FOREACH (it, &g->copies) {
        const struct copy_out *c = LIST_ENTRY(it, const struct copy_out, list);
        uint64_t next = c->index + 1;
        wanted = c->index != 0 && next >= first && next < wanted ? next : wanted;
    }
    return wanted;
}

void copy_out_drop(struct group *g)
{
    LIST_FOREACH_SAFE (it, &g->copies) {
        copy_free(LIST_ENTRY(it, struct copy_out, list));
    }
}
