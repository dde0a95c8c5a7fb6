#include "replication/reads.h"

#include "proto/base/mem.h"
#include "replication/reads_run.h"

enum err repl_reads_new(const struct repl_reads_config *cfg, struct repl_reads **out)
{
    struct repl_reads *r = mem_zalloc(sizeof(*r));
    if (r == NULL) {
        return ERR_NOMEM;
    }
    r->cfg = *cfg;
    r->deadline_ms = UINT64_MAX;
    list_init(&r->waiting);
    list_init(&r->applying);
    pthread_mutex_init(&r->lock, NULL);
    pthread_cond_init(&r->quiet, NULL);
    *out = r;
    return OK;
}

/* --- what is called without the lock --- */

static void out_init(struct reads_out *out)
{
    list_init(&out->done);
    list_init(&out->letters);
}

/* Gives the lock back and calls. */
static void unlock(struct repl_reads *r, struct reads_out *out)
{
    bool calls = !list_empty(&out->done) || !list_empty(&out->letters);
    r->n_flushing += calls;
    pthread_mutex_unlock(&r->lock);
    if (!calls) {
        return;
    }
    for (struct list *it = list_pop_front(&out->letters); it != NULL; it = list_pop_front(&out->letters)) {
        struct reads_letter *l = LIST_ENTRY(it, struct reads_letter, node);
        r->cfg.send(r->cfg.ctx, l->to, slice_make(l->bytes, l->n));
        mem_free(l);
    }
    for (struct list *it = list_pop_front(&out->done); it != NULL; it = list_pop_front(&out->done)) {
        struct repl_read *read = LIST_ENTRY(it, struct repl_read, node);
        read->done(read, read->status);
    }
    pthread_mutex_lock(&r->lock);
    if (--r->n_flushing == 0) {
        pthread_cond_broadcast(&r->quiet);
    }
    pthread_mutex_unlock(&r->lock);
}

/* --- what becomes of a read --- */

void reads_finish(struct repl_reads *r, struct repl_read *read, enum err status, struct reads_out *out)
{
    read->status = status;
    list_remove(&read->node);
    list_push_back(&out->done, &read->node);
    r->n_reads--;
    r->deadline_ms = r->n_reads == 0 ? UINT64_MAX : r->deadline_ms;
}

void reads_wait(struct repl_reads *r, struct repl_read *read)
{
    list_push_back(&r->waiting, &read->node);
    r->n_waiting++;
}

static bool is_applied(struct repl_reads *r, const struct repl_read *read)
{
    return volume_applied(r->cfg.volume, read->shard) >= read->at.index;
}

/* Whoever applies calls repl_reads_tick afterwards, which waits for the lock: nothing slips in between. */
static void finish_when_applied(struct repl_reads *r, struct repl_read *read, struct reads_out *out)
{
    if (is_applied(r, read)) {
        reads_finish(r, read, OK, out);
    } else {
        list_push_back(&r->applying, &read->node);
    }
}

void reads_confirmed(struct repl_reads *r, struct repl_read *read, struct reads_out *out)
{
    struct volume_read now;
    list_remove(&read->node);
    if (!volume_read_begin(r->cfg.volume, read->shard, &now)) {
        reads_finish(r, read, ERR_NOT_LEADER, out);
    } else if (now.term != read->at.term || now.configuration != read->at.configuration) {
        read->at = now;
        reads_wait(r, read);
    } else {
        finish_when_applied(r, read, out);
    }
}

/* The time is from after the read began: if the lease held then, nobody else had acknowledged anything before. */
static bool needs_nobody(const struct repl_read *read, uint64_t now_ms)
{
    return read->at.alone || now_ms < read->at.lease_ms;
}

void repl_reads_begin(struct repl_reads *r, struct repl_read *read, uint64_t now_ms)
{
    struct reads_out out;
    if (!volume_read_begin(r->cfg.volume, read->shard, &read->at)) {
        read->done(read, ERR_NOT_LEADER);
        return;
    }
    if (now_ms >= read->deadline_ms) {
        read->done(read, ERR_UNAVAILABLE);
        return;
    }
    bool sure = needs_nobody(read, now_ms);
    if (sure && is_applied(r, read)) {
        read->done(read, OK);
        return;
    }
    out_init(&out);
    list_init(&read->node);
    pthread_mutex_lock(&r->lock);
    r->n_reads++;
    r->deadline_ms = read->deadline_ms < r->deadline_ms ? read->deadline_ms : r->deadline_ms;
    if (r->stopped) {
        reads_finish(r, read, ERR_UNAVAILABLE, &out);
    } else if (sure) {
        finish_when_applied(r, read, &out);
    } else {
        reads_wait(r, read);
        reads_round_start(r, now_ms, &out);
    }
    unlock(r, &out);
}

/* --- frames --- */

void repl_reads_ping(struct repl_reads *r, struct node_id from, struct slice frame)
{
    struct reads_frame f;
    if (reads_frame_get(frame, &f) != OK || f.kind != READS_FRAME_PING) {
        return;
    }
    uint8_t *answer = mem_alloc(frame.n);
    if (answer == NULL) {
        return; /* it is asked again */
    }
    f.kind = READS_FRAME_PONG;
    reads_frame_put_head(answer, &f);
    for (size_t i = 0; i < f.n; i++) {
        struct reads_frame_row row = reads_frame_row(&f, i);
        row.term = volume_term(r->cfg.volume, row.shard);
        reads_frame_put_row(answer, i, row);
    }
    r->cfg.send(r->cfg.ctx, from, slice_make(answer, frame.n));
    mem_free(answer);
}

void repl_reads_pong(struct repl_reads *r, struct node_id from, struct slice frame, uint64_t now_ms)
{
    struct reads_frame f;
    struct reads_out out;
    if (reads_frame_get(frame, &f) != OK || f.kind != READS_FRAME_PONG || f.life != r->cfg.life) {
        return;
    }
    out_init(&out);
    pthread_mutex_lock(&r->lock);
    reads_round_pong(r, from, &f, &out);
    reads_round_start(r, now_ms, &out);
    unlock(r, &out);
}

/* --- time --- */

static void expire_list(struct repl_reads *r, struct list *reads, uint64_t now_ms, struct reads_out *out)
{
    LIST_FOREACH_SAFE (it, reads) {
        struct repl_read *read = LIST_ENTRY(it, struct repl_read, node);
        if (now_ms >= read->deadline_ms) {
            r->n_waiting -= reads == &r->waiting;
            reads_finish(r, read, ERR_UNAVAILABLE, out);
        } else if (read->deadline_ms < r->deadline_ms) {
            r->deadline_ms = read->deadline_ms;
        }
    }
}

static void expire(struct repl_reads *r, uint64_t now_ms, struct reads_out *out)
{
    if (now_ms < r->deadline_ms) {
        return;
    }
    r->deadline_ms = UINT64_MAX;
    expire_list(r, &r->waiting, now_ms, out);
    expire_list(r, &r->applying, now_ms, out);
    for (size_t i = 0; i < ROUNDS_MAX; i++) {
        struct reads_round *round = &r->rounds[i];
        for (size_t k = 0; k < round->n_votes; k++) {
            expire_list(r, &round->votes[k].reads, now_ms, out);
        }
    }
    reads_round_sweep(r);
}

static uint64_t sooner(uint64_t wait, uint64_t at_ms, uint64_t now_ms)
{
    uint64_t left = at_ms > now_ms ? at_ms - now_ms : 0;
    return left < wait ? left : wait;
}

static uint64_t wait_ms(const struct repl_reads *r, uint64_t now_ms)
{
    uint64_t wait = r->n_reads == 0 ? UINT64_MAX : sooner(UINT64_MAX, r->deadline_ms, now_ms);
    for (size_t i = 0; i < ROUNDS_MAX; i++) {
        if (r->rounds[i].number != 0) {
            wait = sooner(wait, r->rounds[i].again_ms, now_ms);
        }
    }
    if (!list_empty(&r->waiting)) {
        uint64_t next = (r->last != NULL ? r->last->sent_ms : now_ms) + ROUND_NEXT_MS;
        wait = sooner(wait, next > now_ms ? next : now_ms + ROUND_NEXT_MS, now_ms);
    }
    return wait;
}

uint64_t repl_reads_tick(struct repl_reads *r, uint64_t now_ms)
{
    struct reads_out out;
    out_init(&out);
    pthread_mutex_lock(&r->lock);
    LIST_FOREACH_SAFE (it, &r->applying) {
        struct repl_read *read = LIST_ENTRY(it, struct repl_read, node);
        if (is_applied(r, read)) {
            reads_finish(r, read, OK, &out);
        }
    }
    expire(r, now_ms, &out);
    reads_round_again(r, now_ms, &out);
    reads_round_start(r, now_ms, &out);
    uint64_t wait = wait_ms(r, now_ms);
    unlock(r, &out);
    return wait;
}

void repl_reads_stop(struct repl_reads *r)
{
    struct reads_out out;
    out_init(&out);
    pthread_mutex_lock(&r->lock);
    r->stopped = true;
    expire_list(r, &r->waiting, UINT64_MAX, &out);
    expire_list(r, &r->applying, UINT64_MAX, &out);
    for (size_t i = 0; i < ROUNDS_MAX; i++) {
        struct reads_round *round = &r->rounds[i];
        for (size_t k = 0; k < round->n_votes; k++) {
            expire_list(r, &round->votes[k].reads, UINT64_MAX, &out);
        }
        reads_round_free(r, round);
    }
    unlock(r, &out);
    pthread_mutex_lock(&r->lock);
    while (r->n_flushing > 0) {
        pthread_cond_wait(&r->quiet, &r->lock);
    }
    pthread_mutex_unlock(&r->lock);
}

void repl_reads_free(struct repl_reads *r)
{
    if (r != NULL) {
        repl_reads_stop(r);
        pthread_cond_destroy(&r->quiet);
        pthread_mutex_destroy(&r->lock);
        mem_free(r);
    }
}
