/* The turn's transaction: which groups are in it, what it writes, and what follows its success or failure. */
#include "proto/base/fault.h"
#include "proto/base/mem.h"
#include "replication/copy.h"
#include "replication/volume_run.h"

#define UPKEEP_ROWS_BASE 512    /* rows trimmed or purged a turn, */
#define UPKEEP_ROWS_PER_ENTRY 3 /* plus so many for each entry of it: upkeep keeps pace with the load */
#define PEERS_RETRY_MS 100      /* after a failed transaction of a group of several servers */
#define SLOT_KEEP_BYTES 4096    /* result buffers larger than this are given back */

static enum err grow_slots(struct volume *v, size_t n)
{
    if (n <= v->n_slots && v->slots != NULL) { /* a batch without answers points there too */
        return OK;
    }
    size_t bigger_n = v->n_slots == 0 ? 64 : v->n_slots;
    while (bigger_n < n) {
        bigger_n *= 2;
    }
    struct group_slot *bigger = mem_realloc(v->slots, bigger_n * sizeof(*bigger));
    if (bigger == NULL) {
        return ERR_NOMEM;
    }
    for (size_t i = v->n_slots; i < bigger_n; i++) {
        buf_init(&bigger[i].result, REPL_RESULT_BYTES_MAX);
    }
    v->slots = bigger;
    v->n_slots = bigger_n;
    return OK;
}

/* A group of several servers writes all that waits or nothing; one that is alone in the transaction may exceed it. */
static bool collect_group(struct volume *v, struct turn *turn, struct group *g, size_t *out_bytes)
{
    size_t entries_left = v->entries_max - turn->entries;
    if (turn->now_ms < g->retry_at_ms) {
        return false;
    }
    if (group_is_alone(g)) {
        *out_bytes = group_collect(g, entries_left, VOLUME_TURN_BYTES_MAX - turn->bytes);
        return g->taken > 0;
    }
    bool first = list_empty(&v->batch);
    return group_peers_collect(g, first ? VOLUME_TURN_ENTRIES_MAX : entries_left,
                               first ? SIZE_MAX / 2 : VOLUME_TURN_BYTES_MAX - turn->bytes, out_bytes);
}

static void collect(struct volume *v, struct turn *turn)
{
    LIST_FOREACH_SAFE (it, &v->active) {
        struct group *g = LIST_ENTRY(it, struct group, active);
        size_t bytes = 0;
        if (!group_has_work(g)) {
            list_remove(&g->active);
            continue;
        }
        if (!collect_group(v, turn, g, &bytes)) {
            if (turn->now_ms < g->retry_at_ms) {
                continue;
            }
            break; /* the transaction is full: this group is first next time */
        }
        g->slot = turn->entries;
        turn->entries += g->taken;
        turn->bytes += bytes;
        list_push_back(&v->batch, &g->batch);
    }
}

static enum err write_batch(struct volume *v, struct kv_txn *t, struct turn *turn)
{
    LIST_FOREACH (it, &v->batch) {
        struct group *g = LIST_ENTRY(it, struct group, batch);
        struct kv_spy spy;
        struct kv_txn *watched = copy_out_watch(g, &spy, t);
        enum err e = group_is_alone(g) ? group_write(g, watched, &v->slots[g->slot])
                                       : group_peers_write(g, watched, &v->slots[g->slot], &v->spare, &v->scratch);
        if (e == OK && copy_in_waits(g)) {
            e = copy_in_write(v, g, t);
        }
        if (e != OK) {
            turn->bad = g;
            return e;
        }
        turn->changed = true;
    }
    return OK;
}

static enum err write_upkeep(struct volume *v, struct kv_txn *t, struct turn *turn)
{
    size_t rows_left = UPKEEP_ROWS_BASE + UPKEEP_ROWS_PER_ENTRY * turn->entries;
    LIST_FOREACH (it, &v->upkeep) {
        struct group *g = LIST_ENTRY(it, struct group, upkeep);
        bool changed = false;
        if (rows_left == 0) {
            break;
        }
        if (list_empty(&g->batch)) {
            list_push_back(&v->batch, &g->batch);
        }
        struct kv_spy spy;
        enum err e = group_upkeep(g, copy_out_watch(g, &spy, t), turn->now_ms, turn->wall_ms, &rows_left, &changed);
        if (e != OK) {
            turn->bad = g;
            return e;
        }
        turn->changed = turn->changed || changed;
    }
    if (v->garbage && rows_left > 0) {
        bool changed = false;
        bool done = false;
        enum err e = copy_garbage_step(v, t, &rows_left, &changed, &done);
        turn->changed = turn->changed || changed;
        turn->cleaned = done;
        if (e != OK) {
            return e;
        }
    }
    return fault_hit(FAULT_UPKEEP_AFTER);
}

static enum err write_turn(struct volume *v, struct turn *turn)
{
    struct kv_txn *t;
    enum err e = kv_begin(v->cfg.kv, true, &t);
    if (e != OK) {
        return e;
    }
    e = write_batch(v, t, turn);
    if (e == OK && turn->upkeep) {
        e = write_upkeep(v, t, turn);
    }
    if (e == OK && turn->changed) {
        turn->bad = NULL;
        e = fault_hit(FAULT_COMMIT_BEFORE);
    }
    if (e != OK || !turn->changed) {
        v->garbage = v->garbage && !(e == OK && turn->cleaned);
        kv_abort(t);
        return e;
    }
    uint64_t from_us = clock_perf_us();
    e = kv_commit_durable(t);
    if (e == OK) {
        volume_count(&v->stats.commits, 1);
        volume_count(&v->stats.commit_us_total, clock_perf_us() - from_us);
        fault_pass(FAULT_COMMIT_AFTER);
    }
    return e;
}

static void answer_group(struct volume *v, struct group *g, size_t n, bool alone)
{
    for (size_t i = 0; i < n; i++) {
        struct group_slot *slot = &v->slots[g->slot + i];
        struct proposal *p = alone ? group_pop(g) : group_land(g);
        volume_count(&v->stats.entries, p->staged_index == 0);
        volume_count(&v->stats.body_bytes, slot->status == OK ? p->body.n : 0);
        fault_pass(FAULT_REPLY_BEFORE);
        p->done(p, slot->status, buf_slice(&slot->result));
        fault_pass(FAULT_REPLY_AFTER);
        if (slot->result.cap > SLOT_KEEP_BYTES) {
            buf_reset(&slot->result);
            buf_shrink(&slot->result);
        }
    }
}

/* First raft and the state machines, then the answers: whoever is answered finds everything in place. */
static void turn_committed(struct volume *v, const struct turn *turn)
{
    LIST_FOREACH_SAFE (it, &v->batch) {
        struct group *g = LIST_ENTRY(it, struct group, batch);
        size_t answers = group_is_alone(g) ? g->taken : g->answers;
        g->was_alone = group_is_alone(g);
        group_committed(g, turn->now_ms, turn->wall_ms);
        g->answers = answers; /* still to be given */
        v->purge_at_ms = g->purge_at_ms < v->purge_at_ms ? g->purge_at_ms : v->purge_at_ms;
        list_remove(&g->upkeep);
        if (group_wants_upkeep(g)) {
            list_push_back(&v->upkeep, &g->upkeep);
        }
    }
    for (struct list *it = list_pop_front(&v->batch); it != NULL; it = list_pop_front(&v->batch)) {
        struct group *g = LIST_ENTRY(it, struct group, batch);
        size_t answers = g->answers;
        g->answers = 0;
        answer_group(v, g, answers, g->was_alone);
        list_remove(&g->active);
        if (!g->was_alone) {
            group_step_committed(v, g, turn->now_ms);
        }
        if (g->state == GROUP_RUNNING && !group_is_alone(g) && g->head != NULL) {
            group_step_submit(v, g, turn->now_ms); /* what the bound on uncommitted entries held back */
        }
        volume_activate(v, g);
    }
    v->garbage = v->garbage && !turn->cleaned;
    v->bytes_since_look += turn->bytes;
    if (turn->entries > 0 && v->entries_max < VOLUME_TURN_ENTRIES_MAX) {
        v->entries_max = 2 * v->entries_max < VOLUME_TURN_ENTRIES_MAX ? 2 * v->entries_max : VOLUME_TURN_ENTRIES_MAX;
    }
}

/* The only proposal of the transaction does not fit by itself. Groups of several servers that wait for another try may
 * stand before its group. */
static void refuse_first(struct volume *v, enum err e)
{
    struct group *g = NULL;
    LIST_FOREACH (it, &v->active) {
        struct group *x = LIST_ENTRY(it, struct group, active);
        if (g == NULL && group_is_alone(x) && x->head != NULL) {
            g = x;
        }
    }
    if (g == NULL) {
        return;
    }
    struct proposal *p = group_pop(g);
    list_remove(&g->active);
    volume_activate(v, g);
    volume_count(&v->stats.full_refusals, e == ERR_FULL);
    volume_answer(p, e == ERR_FULL ? ERR_FULL : ERR_OVERLOAD);
}

/* Raft has these entries already: they cannot be refused, only tried again. */
static void put_off(struct volume *v, const struct turn *turn, struct group *only)
{
    for (size_t i = 0; i < v->n_groups; i++) {
        struct group *g = v->groups[i];
        if (!group_is_alone(g) && !list_empty(&g->active) && (only == NULL || only == g)) {
            g->retry_at_ms = turn->now_ms + PEERS_RETRY_MS;
        }
    }
}

static bool peers_wait(const struct volume *v, const struct turn *turn)
{
    LIST_FOREACH (it, &v->active) {
        const struct group *g = LIST_ENTRY(it, struct group, active);
        if (!group_is_alone(g) && turn->now_ms >= g->retry_at_ms) {
            return true;
        }
    }
    return false;
}

/* Nothing changed on disk. Upkeep is put off first; then the batch is halved until the proposal that does not fit
 * stands alone. */
static void turn_aborted(struct volume *v, const struct turn *turn, enum err e)
{
    volume_abort_batch(v);
    if (e == ERR_IO) {
        v->dead = true;
        return;
    }
    if (e == ERR_CORRUPT && turn->bad != NULL) {
        volume_quarantine(turn->bad);
        return;
    }
    if (turn->upkeep) {
        v->pause_until_ms = turn->now_ms + VOLUME_RETRY_MS;
    } else if (turn->bad != NULL && !group_is_alone(turn->bad)) {
        put_off(v, turn, turn->bad);
    } else if (peers_wait(v, turn)) {
        put_off(v, turn, NULL);
    } else if (turn->entries > 1) {
        v->entries_max = turn->entries / 2;
    } else {
        refuse_first(v, e);
    }
}

void volume_turn_commit(struct volume *v, struct turn *turn)
{
    turn->upkeep = (!list_empty(&v->upkeep) || v->garbage) && turn->now_ms >= v->pause_until_ms;
    collect(v, turn);
    if (list_empty(&v->batch) && !turn->upkeep) {
        return;
    }
    enum err e = grow_slots(v, turn->entries);
    if (e == OK) {
        e = write_turn(v, turn);
    }
    if (e == OK) {
        turn_committed(v, turn);
    } else {
        turn_aborted(v, turn, e);
    }
}
