/* Replicas that do not run: after one failed, and before it starts. One transaction raises the terms of all, then raft
 * starts on what is durable. */
#include "proto/base/bytes.h"
#include "proto/base/fault.h"
#include "proto/base/log.h"
#include "replication/volume_run.h"

#define RECOVERING_MAX 8 /* groups whose backlog is applied in one transaction, each at most its share of the bytes */

static const struct slice nothing = {NULL, 0};

void volume_answer(struct proposal *p, enum err status)
{
    p->done(p, status, nothing);
}

/* --- failure --- */

void volume_fail_waiting(struct group *g, enum err status)
{
    for (struct proposal *p = group_land(g); p != NULL; p = group_land(g)) {
        volume_answer(p, ERR_UNAVAILABLE);
    }
    for (struct proposal *p = group_pop(g); p != NULL; p = group_pop(g)) {
        volume_answer(p, status);
    }
}

void volume_switched(struct volume *v, struct group *g)
{
    uint8_t prefix[5];
    put_be32(prefix, g->replica);
    prefix[4] = 'S';
    if (g->fsm.moved != NULL) {
        g->fsm.moved(g->fsm.ctx, prefix);
    }
    v->garbage = true;
    volume_reload(v, g);
}

void volume_reload(struct volume *v, struct group *g)
{
    list_remove(&g->active);
    list_remove(&g->batch);
    list_remove(&g->upkeep);
    list_remove(&g->submit);
    v->garbage = v->garbage || g->copy_in != NULL;
    struct kv_txn *t = NULL;
    enum err e = kv_begin(v->cfg.kv, false, &t);
    if (e == OK) {
        e = group_reload(g, t);
        kv_abort(t);
    } else if (group_reload(g, NULL) != OK) {
        return;
    }
    volume_fail_waiting(g, ERR_UNAVAILABLE);
    list_remove(&g->start);
    if (e == OK) {
        list_push_back(&v->starting, &g->start);
    } else if (e == ERR_IO) {
        v->dead = true;
    } else {
        volume_quarantine(g);
    }
}

void volume_quarantine(struct group *g)
{
    log_error("replica.corrupt", "a row is corrupt: the shard stops here; verify the volume with ctl check",
              LOG_U64("shard", g->shard.v), LOG_U64("replica", g->replica), LOG_U64("applied", g->meta.applied));
    g->state = GROUP_FAILED;
    group_publish_stopped(g);
    list_remove(&g->active);
    list_remove(&g->upkeep);
    list_remove(&g->start);
    list_remove(&g->submit);
    volume_fail_waiting(g, ERR_UNAVAILABLE);
}

void volume_abort_batch(struct volume *v)
{
    for (struct list *it = list_pop_front(&v->batch); it != NULL; it = list_pop_front(&v->batch)) {
        group_aborted(LIST_ENTRY(it, struct group, batch));
    }
}

/* --- start --- */

static enum err write_starts(struct volume *v, struct kv_txn *t, struct group **out_bad)
{
    size_t entries_left = VOLUME_TURN_ENTRIES_MAX;
    unsigned recovering = 0;
    LIST_FOREACH (it, &v->starting) {
        struct group *g = LIST_ENTRY(it, struct group, start);
        bool complete = false;
        if (g->state != GROUP_LOADED) {
            continue;
        }
        uint64_t backlog = g->meta.log_last - g->meta.applied;
        recovering += backlog > 0;
        if (entries_left == 0 || recovering > RECOVERING_MAX) {
            break;
        }
        enum err e =
            group_start_write(g, t, entries_left, VOLUME_TURN_BYTES_MAX / RECOVERING_MAX, &v->scratch, &complete);
        if (e != OK) {
            *out_bad = g;
            return e;
        }
        list_push_back(&v->batch, &g->batch);
        g->taken = complete; /* remembered until the commit */
        entries_left -= backlog < entries_left ? (size_t)backlog : entries_left;
        if (entries_left > 0) {
            entries_left--;
        }
    }
    return v->row_dirty ? volume_row_put(v, t) : OK;
}

static void starts_committed(struct volume *v)
{
    v->row_dirty = false;
    for (struct list *it = list_pop_front(&v->batch); it != NULL; it = list_pop_front(&v->batch)) {
        struct group *g = LIST_ENTRY(it, struct group, batch);
        bool complete = g->taken != 0;
        g->taken = 0;
        group_start_committed(g, complete);
    }
}

static enum err commit_starts(struct volume *v)
{
    struct group *bad = NULL;
    struct kv_txn *t;
    enum err e = kv_begin(v->cfg.kv, true, &t);
    if (e != OK) {
        return e;
    }
    e = write_starts(v, t, &bad);
    if (e != OK) {
        kv_abort(t);
        if (bad != NULL) {
            group_aborted(bad);
        }
        volume_abort_batch(v);
        if (e == ERR_CORRUPT && bad != NULL) {
            volume_quarantine(bad);
            return OK;
        }
        return e;
    }
    fault_pass(FAULT_START_BEFORE);
    e = kv_commit(t);
    if (e != OK) {
        volume_abort_batch(v);
        return e;
    }
    fault_pass(FAULT_START_AFTER);
    volume_count(&v->stats.commits, 1);
    starts_committed(v);
    return OK;
}

/* What is durable starts to run. */
static enum err run_started(struct volume *v, uint64_t now_ms)
{
    struct kv_txn *t;
    enum err e = kv_begin(v->cfg.kv, false, &t);
    if (e != OK) {
        return e;
    }
    LIST_FOREACH_SAFE (it, &v->starting) {
        struct group *g = LIST_ENTRY(it, struct group, start);
        if (g->state != GROUP_DURABLE) {
            continue;
        }
        struct raft_driver_update u;
        e = group_start_raft(g, t, now_ms, (unsigned)rng_u64(v->cfg.rng), &u);
        if (e == ERR_CORRUPT) {
            volume_quarantine(g);
            e = OK;
            continue;
        }
        if (e != OK) {
            break;
        }
        list_remove(&g->start);
        list_push_back(&v->upkeep, &g->upkeep);
        v->grid_ms = now_ms < v->grid_ms ? now_ms : v->grid_ms;
        group_step_started(v, g, &u, now_ms);
    }
    kv_abort(t);
    return e;
}

static bool has_loaded(const struct volume *v)
{
    LIST_FOREACH (it, &v->starting) {
        if (LIST_ENTRY(it, struct group, start)->state == GROUP_LOADED) {
            return true;
        }
    }
    return false;
}

static void start_failed(struct volume *v, enum err e, uint64_t now_ms)
{
    log_error("volume.start", "replicas cannot start; trying again", LOG_ERR(e));
    v->pause_until_ms = now_ms + VOLUME_RETRY_MS;
    LIST_FOREACH (it, &v->starting) {
        volume_fail_waiting(LIST_ENTRY(it, struct group, start), ERR_UNAVAILABLE);
    }
}

void volume_start_groups(struct volume *v, uint64_t now_ms)
{
    enum err e = OK;
    if (now_ms < v->pause_until_ms) {
        return;
    }
    if (has_loaded(v)) {
        e = commit_starts(v);
    }
    if (e == OK) {
        e = run_started(v, now_ms);
    }
    if (e == ERR_IO) {
        v->dead = true;
    } else if (e != OK) {
        start_failed(v, e, now_ms);
    }
}
