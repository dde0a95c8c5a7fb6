#include "storage/node/moves.h"

#include <time.h>

#include "proto/base/log.h"
#include "proto/base/mem.h"
#include "proto/base/metrics.h"
#include "storage/apply/mover.h"
#include "storage/node/own_wait.h"

#define TICK_MS 250
#define PAUSE_MS 50
#define FENCED_REMOTE_MS 2000 /* clients wait: a leader that died is asked again elsewhere soon */
#define TURN_MS 5000          /* of an account that is only being copied */
#define BATCH 64
#define BATCH_BYTES (2u * 1024 * 1024)
#define RESULT_BYTES_MAX (64 * 1024)

METRIC_COUNTER_L(metric_done, "pillarbox_account_moves_total", "Accounts that left a shard", "result=\"moved\"");
METRIC_COUNTER_L(metric_aborted, "pillarbox_account_moves_total", "Accounts that left a shard", "result=\"given up\"");
METRIC_COUNTER(metric_bytes, "pillarbox_account_move_bytes_total", "Sent to other shards for accounts that move");
METRIC_HISTOGRAM(metric_fence, "pillarbox_account_move_fence_seconds", "How long an account that moves is not written");

struct moves {
    struct node *node;
    pthread_t thread;
    bool started;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool stop;
    bool busy[]; /* by shard: as of the last look, accounts move out of it */
};

/* A request under way. */
struct sent {
    struct mover_request request;
    struct own_step step;
    struct buf result;
};

/* An account in hand. */
struct turn {
    struct moves *moves;
    struct shard_id shard;
    struct mover mover;
    struct move_row row; /* as last seen */
    uint64_t fenced_ms;  /* wall clock, by the entry; 0: not, as far as this turn saw */
    bool told;
    struct own_wait wait;
    size_t n;
    struct sent at[BATCH];
};

static bool stopping(const struct moves *v)
{
    return __atomic_load_n(&v->stop, __ATOMIC_RELAXED);
}

/* Less when it is to stop. */
static void moves_pause(struct moves *v, uint64_t ms)
{
    struct timespec ts;
    uint64_t until_us = clock_perf_us() + ms * 1000;
    ts.tv_sec = (time_t)(until_us / 1000000);
    ts.tv_nsec = (long)(until_us % 1000000) * 1000;
    pthread_mutex_lock(&v->lock);
    if (!v->stop) {
        pthread_cond_clockwait(&v->wake, &v->lock, CLOCK_MONOTONIC, &ts);
    }
    pthread_mutex_unlock(&v->lock);
}

/* The state of a shard that this node leads: ERR_UNAVAILABLE when it does not. */
static enum err look(const struct moves *v, struct shard_id shard, struct store *out)
{
    uint64_t term;
    struct node *n = v->node;
    enum err e =
        volume_leads(n->volume, shard, &term) ? volume_state_prefix(n->volume, shard, out->prefix) : ERR_UNAVAILABLE;
    return e == OK ? kv_begin(n->kv, false, &out->t) : e;
}

/* --- one batch --- */

static void propose(struct turn *t, struct sent *s)
{
    const struct mover_request *r = &s->request;
    bool chunk = r->staged_index != 0;
    struct account_id none = {0};
    struct proposal_spec spec = {.shard = r->shard,
                                 .account = r->shard.v == 0 ? none : t->mover.account,
                                 .method = r->method,
                                 .request_id = r->own_id ? &r->request_id : NULL,
                                 .op = chunk ? slice_str("") : buf_slice(&r->op),
                                 .body = buf_slice(&r->body),
                                 .staged_index = r->staged_index,
                                 .staged_offset = r->staged_offset,
                                 .remote_ms = t->row.state == MOVE_COPYING ? 0 : FENCED_REMOTE_MS};
    buf_reset(&s->result);
    metric_add(&metric_bytes, (int64_t)(r->op.len + r->body.len));
    own_propose(t->moves->node, &spec, &t->wait, &s->step, &s->result);
}

/* As many requests as may be under way together. */
static enum err collect(struct turn *t, enum mover_next *next)
{
    struct store s;
    size_t bytes = 0;
    uint64_t now = clock_wall_ms(t->moves->node->clock);
    t->n = 0;
    enum err e = look(t->moves, t->shard, &s);
    if (e != OK) {
        return e;
    }
    *next = MOVER_SEND;
    while (e == OK && *next == MOVER_SEND && t->n < BATCH && bytes < BATCH_BYTES) {
        struct mover_request *r = &t->at[t->n].request;
        e = mover_next(&t->mover, &s, now, r, next);
        if (e == OK && *next == MOVER_SEND) {
            bytes += r->op.len + r->body.len;
            t->n++;
            *next = r->alone ? MOVER_WAIT : MOVER_SEND;
        }
    }
    if (e == OK && *next != MOVER_OVER) {
        e = move_get(&s, t->mover.account, &t->row);
    }
    kv_abort(s.t);
    return e;
}

/* Who takes over after the seal knows the time of that only. */
static void note_state(struct turn *t)
{
    uint64_t now = clock_wall_ms(t->moves->node->clock);
    bool sealed = t->row.state == MOVE_SEALED;
    if ((t->row.state == MOVE_FENCED || sealed) && t->fenced_ms == 0) {
        t->fenced_ms = t->row.state_ms;
    }
    if (sealed && t->mover.activated && !t->told) {
        uint64_t ms = now > t->fenced_ms ? now - t->fenced_ms : 0;
        metric_observe_us(&metric_fence, ms * 1000);
        log_info("move.fence", "an account goes on in its new shard", LOG_U64("account", t->mover.account.v),
                 LOG_U64("from", t->shard.v), LOG_U64("to", t->row.to), LOG_U64("fence_ms", ms));
        t->told = true;
    }
}

/* While sessions wait for it. */
static void note_failure(const struct turn *t, const struct sent *s)
{
    if (s->step.status != OK && t->row.state != MOVE_COPYING) {
        log_info("move.waits", "a step of a move has to be repeated", LOG_U64("account", t->mover.account.v),
                 LOG_U64("shard", s->request.shard.v), LOG_U64("method", s->request.method), LOG_ERR(s->step.status));
    }
}

/* False: a moment is to pass before the next one. */
static bool settle(struct turn *t)
{
    bool good = t->n > 0;
    for (size_t i = 0; i < t->n; i++) {
        struct sent *s = &t->at[i];
        note_failure(t, s);
        good = mover_answered(&t->mover, &s->request, s->step.status, buf_slice(&s->result),
                              clock_wall_ms(t->moves->node->clock)) &&
               good;
    }
    return good;
}

/* --- one account --- */

static void tell_end(const struct turn *t)
{
    bool moved = t->row.state == MOVE_SEALED;
    metric_inc(moved ? &metric_done : &metric_aborted);
    if (moved) {
        log_info("move.done", "an account has moved", LOG_U64("account", t->mover.account.v),
                 LOG_U64("from", t->shard.v), LOG_U64("to", t->row.to));
    } else {
        log_warn("move.given_up", "an account stays where it was: its fence took too long, or it was removed",
                 LOG_U64("account", t->mover.account.v), LOG_U64("from", t->shard.v), LOG_U64("to", t->row.to));
    }
}

/* Between batches: who is fenced is not left. */
static bool turn_over(const struct turn *t, uint64_t until_ms)
{
    return stopping(t->moves) || (t->row.state == MOVE_COPYING && clock_mono_ms(t->moves->node->clock) >= until_ms);
}

static enum err drive(struct turn *t)
{
    uint64_t until = clock_mono_ms(t->moves->node->clock) + TURN_MS;
    enum mover_next next = MOVER_SEND;
    while (!turn_over(t, until)) {
        enum err e = collect(t, &next);
        for (size_t i = 0; e == OK && i < t->n; i++) {
            propose(t, &t->at[i]);
        }
        if (e != OK) {
            return e;
        }
        own_wait_all(&t->wait);
        note_state(t);
        if (next == MOVER_OVER) {
            tell_end(t);
            return OK;
        }
        if (!settle(t)) {
            moves_pause(t->moves, PAUSE_MS);
        }
    }
    return OK;
}

static struct turn *turn_new(struct moves *v, struct shard_id shard, struct account_id a)
{
    struct turn *t = mem_zalloc(sizeof(*t));
    if (t == NULL) {
        return NULL;
    }
    t->moves = v;
    t->shard = shard;
    t->row.state = MOVE_COPYING;
    mover_init(&t->mover, shard, a, v->node->n_shards);
    own_wait_init(&t->wait);
    for (size_t i = 0; i < BATCH; i++) {
        mover_request_init(&t->at[i].request);
        buf_init(&t->at[i].result, RESULT_BYTES_MAX);
    }
    return t;
}

static void turn_free(struct turn *t)
{
    for (size_t i = 0; i < BATCH; i++) {
        mover_request_fini(&t->at[i].request);
        buf_fini(&t->at[i].result);
    }
    own_wait_fini(&t->wait);
    mem_free(t);
}

/* --- all of them --- */

static enum err find(const struct moves *v, struct shard_id shard, uint64_t from, struct account_id *out,
                     struct move_row *row)
{
    struct store s;
    enum err e = look(v, shard, &s);
    if (e == OK) {
        e = move_next(&s, from, out, row);
        kv_abort(s.t);
    }
    return e;
}

/* Those that are fenced first: what an earlier leader left in the middle. */
static enum err shard_pass(struct moves *v, struct shard_id shard, bool only_copying)
{
    struct account_id a = {0};
    struct move_row row;
    enum err e = OK;
    for (uint64_t from = 0; e == OK && !stopping(v); from = a.v + 1) {
        e = find(v, shard, from, &a, &row);
        if (e != OK || (row.state == MOVE_COPYING) != only_copying) {
            continue;
        }
        struct turn *t = turn_new(v, shard, a);
        if (t == NULL) {
            return ERR_NOMEM;
        }
        e = drive(t);
        turn_free(t);
    }
    return e == ERR_NOTFOUND ? OK : e;
}

/* One snapshot for all shards: most of the time there is nothing, and an idle node should cost nothing. */
static bool anything(struct moves *v)
{
    struct store s;
    struct account_id a;
    struct move_row row;
    uint64_t term;
    bool any = false;
    if (kv_begin(v->node->kv, false, &s.t) != OK) {
        return false; /* looked at again with the next tick */
    }
    for (uint32_t i = 1; i < v->node->n_shards; i++) {
        struct shard_id shard = {i};
        v->busy[i] = volume_leads(v->node->volume, shard, &term) &&
                     volume_state_prefix(v->node->volume, shard, s.prefix) == OK && move_next(&s, 0, &a, &row) == OK;
        any = any || v->busy[i];
    }
    kv_abort(s.t);
    return any;
}

static void pass(struct moves *v, bool only_copying)
{
    for (uint32_t i = 1; i < v->node->n_shards && !stopping(v); i++) {
        enum err e = v->busy[i] ? shard_pass(v, (struct shard_id){i}, only_copying) : OK;
        if (e != OK && e != ERR_UNAVAILABLE) {
            log_warn("move.retry", "moves of accounts wait for the next try", LOG_U64("shard", i), LOG_ERR(e));
        }
    }
}

static void *moves_run(void *arg)
{
    struct moves *v = arg;
    while (!stopping(v)) {
        if (anything(v)) {
            pass(v, false);
            pass(v, true);
        }
        moves_pause(v, TICK_MS);
    }
    return NULL;
}

enum err moves_new(struct node *n, struct moves **out)
{
    struct moves *v = mem_zalloc(sizeof(*v) + n->n_shards * sizeof(v->busy[0]));
    if (v == NULL) {
        return ERR_NOMEM;
    }
    v->node = n;
    pthread_mutex_init(&v->lock, NULL);
    pthread_cond_init(&v->wake, NULL);
    *out = v;
    return OK;
}

enum err moves_start(struct moves *v)
{
    if (pthread_create(&v->thread, NULL, moves_run, v) != 0) {
        return ERR_NOMEM;
    }
    v->started = true;
    return OK;
}

void moves_stop(struct moves *v)
{
    pthread_mutex_lock(&v->lock);
    __atomic_store_n(&v->stop, true, __ATOMIC_RELAXED);
    pthread_cond_signal(&v->wake);
    pthread_mutex_unlock(&v->lock);
    if (v->started) {
        pthread_join(v->thread, NULL);
    }
    pthread_cond_destroy(&v->wake);
    pthread_mutex_destroy(&v->lock);
}
