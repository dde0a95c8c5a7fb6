/* The source's copies: whose turn it is, what has arrived, how they end. What they send is copy_rows.c's. */
#include "replication/copy_out_run.h"

#include "proto/base/mem.h"
#include "replication/copy.h"

#define COPIES_MAX 2         /* of one group */
#define COPIES_SENDING_MAX 4 /* of a node */
#define SILENCE_MS 30000
#define BACKUP_SILENCE_MS 10000 /* its receiver asks again at once, or is gone */
#define BACKUP_TICK_MS 1000

/* --- life --- */

static bool is_backup(const struct copy_out *c)
{
    return c->to.v == 0;
}

static void answer(struct copy_out *c, enum err status, const struct volume_batch *batch)
{
    struct volume_pull *p = c->pull;
    c->pull = NULL;
    if (p != NULL) {
        p->done(p, status, batch);
    }
}

static void stop_sending(struct copy_out *c)
{
    c->turns->sending -= c->sending;
    c->sending = false;
}

static void copy_free(struct copy_out *c)
{
    answer(c, ERR_STALE, NULL);
    stop_sending(c);
    copy_rows_fini(c);
    list_remove(&c->backup);
    list_remove(&c->turn);
    list_remove(&c->list);
    mem_free(c);
}

static struct copy_out *copy_new(struct volume *v, struct group *g, struct node_id to, uint64_t id)
{
    struct copy_out *c = mem_zalloc(sizeof(*c));
    if (c == NULL) {
        return NULL;
    }
    c->turns = &v->copies;
    c->group = g;
    c->to = to;
    c->id = id;
    list_init(&c->turn);
    list_init(&c->backup);
    copy_rows_init(c);
    list_push_back(&g->copies, &c->list);
    return c;
}

/* NULL: it pulls again. */
static struct copy_out *server_copy_new(struct volume *v, struct group *g, const struct repl_message *m)
{
    size_t n = 0;
    LIST_FOREACH_SAFE (it, &g->copies) {
        struct copy_out *c = LIST_ENTRY(it, struct copy_out, list);
        if (c->to.v == m->from.v) {
            copy_free(c); /* it has begun another one */
        } else {
            n += !is_backup(c);
        }
    }
    struct copy_out *c = n < COPIES_MAX ? copy_new(v, g, m->from, m->copy) : NULL;
    if (c != NULL) {
        c->attempt = m->attempt;
    }
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
    return m->sequence == 0 ? server_copy_new(v, g, m) : NULL;
}

void copy_turns_init(struct copy_turns *t, uint64_t bytes_per_s)
{
    copy_rate_init(&t->rate, bytes_per_s);
    list_init(&t->ready);
    list_init(&t->waiting);
    list_init(&t->backups);
    t->sending = 0;
}

/* --- sending, in turn --- */

static enum err hand_rows(struct volume *v, struct copy_out *c, const struct repl_message *m)
{
    const struct volume_batch batch = {.sequence = m->sequence,
                                       .rows = m->rows,
                                       .last = m->last,
                                       .index = m->index,
                                       .term = m->index_term,
                                       .wall_ms = clock_wall_ms(v->cfg.clock)};
    answer(c, OK, &batch);
    return OK;
}

static enum err send_rows(struct volume *v, struct copy_out *c, struct repl_message *m)
{
    if (is_backup(c)) {
        return hand_rows(v, c, m);
    }
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
        if (e != OK) {
            answer(c, e, NULL);
        }
        if (c->overflow || (e != OK && e != ERR_NOMEM)) {
            copy_free(c);
        }
    }
}

uint64_t copy_out_wait_ms(const struct volume *v, uint64_t now_ms)
{
    uint64_t tick = list_empty(&v->copies.backups) ? UINT64_MAX : BACKUP_TICK_MS;
    uint64_t rate = list_empty(&v->copies.ready) ? UINT64_MAX : copy_rate_wait_ms(&v->copies.rate, now_ms);
    return rate < tick ? rate : tick;
}

/* --- the receiver's word --- */

/* It gives up otherwise. */
static void tell_to_wait(struct volume *v, struct copy_out *c)
{
    struct repl_message m = {.sequence = c->done};
    enum err e = send_rows(v, c, &m);
    (void)e; /* it pulls again */
}

static void take_turn(struct copy_out *c)
{
    if (list_empty(&c->turn)) {
        list_push_back(c->begun ? &c->turns->ready : &c->turns->waiting, &c->turn);
    }
}

static void undo_open(struct copy_out *c)
{
    while (c->next > c->done + 1) {
        copy_rows_undo(c);
    }
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
        undo_open(c);
    }
    take_turn(c);
    if (m->again && !c->begun) {
        tell_to_wait(v, c);
    }
}

void copy_out_tick(struct group *g, uint64_t now_ms)
{
    LIST_FOREACH_SAFE (it, &g->copies) {
        struct copy_out *c = LIST_ENTRY(it, struct copy_out, list);
        if (is_backup(c)) {
            continue;
        }
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

/* --- backups --- */

/* The one of the group; NULL. */
static struct copy_out *backup_of(const struct group *g)
{
    LIST_FOREACH (it, &g->copies) {
        struct copy_out *c = LIST_ENTRY(it, struct copy_out, list);
        if (is_backup(c)) {
            return c;
        }
    }
    return NULL;
}

/* The copy that the pull belongs to, made if it begins one. */
static enum err backup_find(struct volume *v, struct group *g, const struct volume_pull *p, struct copy_out **out)
{
    struct copy_out *c = backup_of(g);
    if (c != NULL && c->id != p->copy && p->arrived == 0 && c->index != 0) {
        copy_free(c); /* that one is through */
        c = NULL;
    }
    if (c != NULL && c->id != p->copy) {
        return p->arrived == 0 ? ERR_LOCKED : ERR_STALE;
    }
    if (c == NULL && p->arrived != 0) {
        return ERR_STALE;
    }
    if (c == NULL) {
        c = copy_new(v, g, (struct node_id){0}, p->copy);
        if (c == NULL) {
            return ERR_NOMEM;
        }
        list_push_back(&v->copies.backups, &c->backup);
    }
    *out = c;
    return p->arrived < c->done || p->arrived >= c->next ? ERR_STALE : OK;
}

void copy_out_asked(struct volume *v, struct group *g, struct volume_pull *p, uint64_t now_ms)
{
    struct copy_out *c;
    enum err e = backup_find(v, g, p, &c);
    if (e != OK) {
        p->done(p, e, NULL);
        return;
    }
    answer(c, ERR_STALE, NULL);
    c->pull = p;
    for (uint64_t s = c->done + 1; s <= p->arrived; s++) {
        copy_rows_arrived(c, s);
    }
    c->done = p->arrived;
    c->upto = p->arrived + 1;
    c->heard_ms = now_ms;
    undo_open(c); /* its answer was lost */
    take_turn(c);
}

void copy_out_backups_tick(struct volume *v, uint64_t now_ms)
{
    LIST_FOREACH_SAFE (it, &v->copies.backups) {
        struct copy_out *c = LIST_ENTRY(it, struct copy_out, backup);
        if (c->overflow || (c->pull == NULL && now_ms > c->heard_ms + BACKUP_SILENCE_MS)) {
            copy_free(c);
        }
    }
}

void copy_out_backups_end(struct volume *v)
{
    LIST_FOREACH_SAFE (it, &v->copies.backups) {
        struct copy_out *c = LIST_ENTRY(it, struct copy_out, backup);
        answer(c, ERR_SHUTDOWN, NULL);
        copy_free(c);
    }
}
