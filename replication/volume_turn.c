#include "proto/base/assert.h"
#include "proto/base/bytes.h"
#include "proto/base/fault.h"
#include "proto/base/log.h"
#include "proto/base/mem.h"
#include "replication/copy.h"
#include "replication/volume_run.h"

#define UPKEEP_IDLE_MS 50 /* upkeep waits this long for a turn that commits anyway */
#define WAIT_MS_MAX 60000
#define WATERMARK_MS 1000       /* between looks at the free space */
#define UPKEEP_ROWS_BASE 512    /* rows trimmed or purged a turn, */
#define UPKEEP_ROWS_PER_ENTRY 3 /* plus so many for each entry of it: upkeep keeps pace with the load */
#define PEERS_RETRY_MS 100      /* after a failed transaction of a group of several servers */
#define SLOT_KEEP_BYTES 4096    /* result buffers larger than this are given back */

static const struct slice nothing = {NULL, 0};

void volume_answer(struct proposal *p, enum err status)
{
    p->done(p, status, nothing);
}

/* --- inbox --- */

static enum err admit(const struct volume *v, const struct proposal *p, const struct group *g)
{
    if (g == NULL) {
        return ERR_NOT_LEADER;
    }
    if (g->state == GROUP_FAILED) {
        return ERR_UNAVAILABLE;
    }
    if (p->data.n > REPL_ENTRY_BYTES_MAX || p->body.n > REPL_ENTRY_BYTES_MAX - p->data.n) {
        return ERR_LIMIT;
    }
    if (p->grows && v->above_watermark) {
        return ERR_FULL;
    }
    return OK;
}

void volume_activate(struct volume *v, struct group *g)
{
    if (g->state == GROUP_RUNNING && list_empty(&g->active) && group_has_work(g)) {
        list_push_back(&v->active, &g->active);
    }
}

static void take_inbox(struct volume *v, struct proposal *list)
{
    while (list != NULL) {
        struct proposal *p = list;
        struct shard_id shard = {.v = p->shard};
        list = (struct proposal *)(void *)p->node.next;
        struct group *g = volume_group(v, shard);
        enum err e = admit(v, p, g);
        if (e != OK) {
            volume_count(&v->stats.full_refusals, e == ERR_FULL);
            volume_answer(p, e);
            continue;
        }
        group_push(g, p);
        if (g->state == GROUP_RUNNING && !group_is_alone(g) && list_empty(&g->submit)) {
            list_push_back(&v->submit, &g->submit);
        }
        volume_activate(v, g);
    }
}

/* --- peers --- */

static void take_message(struct volume *v, struct repl_received *r, struct slice bytes, uint64_t now_ms)
{
    struct repl_message m;
    struct group *g = NULL;
    if (repl_message_get(bytes, &m) == OK) {
        g = volume_group(v, m.shard);
    }
    if (g == NULL || g->state != GROUP_RUNNING || m.to.v != g->node.v || m.from.v == g->node.v) {
        volume_count(&v->stats.messages_dropped, 1);
        return;
    }
    volume_count(&v->stats.messages, 1);
    group_step_received(v, g, &m, r, now_ms);
}

static void take_received(struct volume *v, struct repl_received *list, uint64_t now_ms)
{
    while (list != NULL) {
        struct repl_received *r = list;
        struct reader rest = reader_make(r->bytes);
        list = (struct repl_received *)(void *)r->node.next; /* node is the first member */
        r->refs = 1;
        while (reader_left(&rest) > 0) {
            struct slice bytes = reader_bytes(&rest, reader_le32(&rest));
            take_message(v, r, bytes, now_ms);
        }
        group_received_unref(r);
    }
}

/* Groups that got proposals hand them to raft, each what came for it in one go. */
static void submit_all(struct volume *v, uint64_t now_ms)
{
    for (struct list *it = list_pop_front(&v->submit); it != NULL; it = list_pop_front(&v->submit)) {
        struct group *g = LIST_ENTRY(it, struct group, submit);
        if (g->state == GROUP_RUNNING && !group_is_alone(g)) {
            group_step_submit(v, g, now_ms);
        }
    }
}

static void look_at_timers(struct volume *v, uint64_t now_ms)
{
    if (now_ms < v->grid_ms) {
        return;
    }
    v->grid_ms = UINT64_MAX;
    for (size_t i = 0; i < v->n_groups; i++) {
        struct group *g = v->groups[i];
        if (g->state == GROUP_RUNNING && !group_is_alone(g)) {
            group_step_timeout(v, g, now_ms);
            v->grid_ms = now_ms - now_ms % VOLUME_GRID_MS + VOLUME_GRID_MS;
        }
    }
}

static void end_reader(struct volume *v)
{
    if (v->reader != NULL) {
        kv_abort(v->reader);
        v->reader = NULL;
    }
}

/* --- watermark --- */

static uint64_t free_bytes(struct volume *v)
{
    struct kv_stat st;
    kv_stat(v->cfg.kv, &st);
    uint64_t growable = st.map_bytes > st.file_bytes ? st.map_bytes - st.file_bytes : 0;
    if (v->cfg.disk_free != NULL) {
        uint64_t disk = v->cfg.disk_free(v->cfg.disk_ctx);
        growable = disk < growable ? disk : growable;
    }
    return growable + (st.file_bytes > st.used_bytes ? st.file_bytes - st.used_bytes : 0);
}

static void look_at_watermark(struct volume *v, uint64_t now_ms)
{
    if (v->cfg.reserve_bytes == 0 || (now_ms < v->watermark_at_ms && v->bytes_since_look < v->cfg.reserve_bytes / 4)) {
        return;
    }
    bool above = free_bytes(v) < v->cfg.reserve_bytes;
    if (above != v->above_watermark) {
        log_warn("volume.watermark", above ? "the disk is nearly full: what grows is refused" : "space is free again",
                 LOG_U64("reserve_bytes", v->cfg.reserve_bytes));
    }
    __atomic_store_n(&v->above_watermark, above, __ATOMIC_RELAXED);
    v->watermark_at_ms = now_ms + WATERMARK_MS;
    v->bytes_since_look = 0;
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
    __atomic_store_n(&g->leads_term, 0, __ATOMIC_RELEASE);
    list_remove(&g->active);
    list_remove(&g->upkeep);
    list_remove(&g->start);
    list_remove(&g->submit);
    volume_fail_waiting(g, ERR_UNAVAILABLE);
}

/* --- the transaction --- */

void volume_abort_batch(struct volume *v)
{
    for (struct list *it = list_pop_front(&v->batch); it != NULL; it = list_pop_front(&v->batch)) {
        group_aborted(LIST_ENTRY(it, struct group, batch));
    }
}

struct turn {
    uint64_t now_ms;
    uint64_t wall_ms;
    size_t entries; /* proposals in the transaction */
    size_t bytes;
    bool upkeep;       /* wanted */
    bool changed;      /* there is something to commit */
    bool cleaned;      /* no replica to delete is left */
    struct group *bad; /* the group whose rows failed */
};

static enum err grow_slots(struct volume *v, size_t n)
{
    if (n <= v->n_slots) {
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
        enum err e =
            group_upkeep(g, copy_out_watch(g, &spy, t), turn->wall_ms, &rows_left, &changed);
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
        return e;
    }
    return OK;
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
    e = kv_commit(t);
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

/* The only proposal of the transaction does not fit by itself. */
static void refuse_first(struct volume *v, enum err e)
{
    struct group *g = LIST_ENTRY(v->active.next, struct group, active);
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

static void run_turn(struct volume *v, struct turn *turn)
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

/* --- timers --- */

/* Groups are looked through only when a walk over dead bodies is due: a sole voter has no other timers. */
static void scan_due(struct volume *v, const struct turn *turn)
{
    if (turn->wall_ms < v->purge_at_ms) {
        return;
    }
    v->purge_at_ms = UINT64_MAX;
    for (size_t i = 0; i < v->n_groups; i++) {
        struct group *g = v->groups[i];
        group_check_due(g, turn->wall_ms);
        v->purge_at_ms = g->purge_at_ms < v->purge_at_ms ? g->purge_at_ms : v->purge_at_ms;
        if (group_wants_upkeep(g) && list_empty(&g->upkeep)) {
            list_push_back(&v->upkeep, &g->upkeep);
        }
    }
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* Until the next group may be served. */
static uint64_t active_wait_ms(const struct volume *v, const struct turn *turn)
{
    uint64_t wait = WAIT_MS_MAX;
    LIST_FOREACH (it, &v->active) {
        const struct group *g = LIST_ENTRY(it, struct group, active);
        wait = least(wait, g->retry_at_ms > turn->now_ms ? g->retry_at_ms - turn->now_ms : 0);
    }
    return wait;
}

static uint64_t wait_ms(const struct volume *v, const struct turn *turn)
{
    uint64_t wait = active_wait_ms(v, turn);
    if (!list_empty(&v->starting) || !list_empty(&v->upkeep) || v->garbage) {
        uint64_t pause = v->pause_until_ms > turn->now_ms ? v->pause_until_ms - turn->now_ms : 0;
        uint64_t idle = list_empty(&v->starting) ? UPKEEP_IDLE_MS : 0;
        wait = least(wait, pause > idle ? pause : idle);
    }
    if (v->grid_ms != UINT64_MAX) {
        wait = least(wait, v->grid_ms > turn->now_ms ? v->grid_ms - turn->now_ms : 0);
    }
    return least(wait, v->purge_at_ms > turn->wall_ms ? v->purge_at_ms - turn->wall_ms : 0);
}

uint64_t volume_turn(struct volume *v, struct proposal *list, struct repl_received *received)
{
    struct turn turn = {.now_ms = clock_mono_ms(v->cfg.clock), .wall_ms = clock_wall_ms(v->cfg.clock)};
    if (v->dead) {
        return WAIT_MS_MAX;
    }
    volume_count(&v->stats.turns, 1);
    look_at_watermark(v, turn.now_ms);
    take_received(v, received, turn.now_ms); /* before timeouts: a heartbeat may wait there */
    take_inbox(v, list);
    submit_all(v, turn.now_ms);
    look_at_timers(v, turn.now_ms);
    end_reader(v);
    if (!list_empty(&v->starting)) {
        volume_start_groups(v, turn.now_ms);
        end_reader(v);
    }
    if (!v->dead) {
        scan_due(v, &turn);
        run_turn(v, &turn);
    }
    end_reader(v); /* what followed the commit may have read */
    return v->dead ? WAIT_MS_MAX : wait_ms(v, &turn);
}
