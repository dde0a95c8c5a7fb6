/* A running replica: its proposals, its part of the turn's transaction, and the upkeep between. */
#include "replication/group_run.h"

#include "proto/base/assert.h"
#include "proto/base/bytes.h"
#include "proto/base/fault.h"

#define PURGE_INTERVAL_MS 60000 /* between walks over bodies that wait for the undelete window */

/* --- proposals --- */

void group_push(struct group *g, struct proposal *p)
{
    p->node.next = NULL;
    if (g->tail == NULL) {
        g->head = p;
    } else {
        g->tail->node.next = &p->node;
    }
    g->tail = p;
}

static struct proposal *next_of(const struct proposal *p)
{
    return (struct proposal *)(void *)p->node.next; /* node is the first member */
}

struct proposal *group_pop(struct group *g)
{
    struct proposal *p = g->head;
    if (p != NULL) {
        g->head = next_of(p);
        if (g->head == NULL) {
            g->tail = NULL;
        }
    }
    return p;
}

#define ROWS_OVERHEAD_BYTES 512 /* log row, keys, the pages that an apply touches */

size_t group_cost(const struct proposal *p)
{
    return p->data.n + p->body.n + ROWS_OVERHEAD_BYTES;
}

size_t group_collect(struct group *g, size_t entries_max, size_t bytes_max)
{
    size_t bytes = 0;
    size_t n = 0;
    ASSERT(g->state == GROUP_RUNNING);
    if (entries_max > GROUP_TURN_ENTRIES_MAX) {
        entries_max = GROUP_TURN_ENTRIES_MAX;
    }
    for (const struct proposal *p = g->head; p != NULL && n < entries_max; p = next_of(p)) {
        size_t cost = group_cost(p);
        if (bytes + cost > bytes_max) {
            break;
        }
        bytes += cost;
        n++;
    }
    g->taken = n;
    return bytes;
}

/* --- the transaction --- */

/* A chunk of a staged body, outside the log. Its entry exists already (it reserved the index), and chunks come in
 * order; one that is there already is written again (a retry). */
static enum err write_staged(struct group *g, struct kv_txn *t, const struct proposal *p, enum err *out_status)
{
    uint8_t prefix[5];
    uint64_t stored = 0;
    bool dead = false;
    put_be32(prefix, g->replica);
    prefix[4] = 'S';
    *out_status = ERR_INVAL;
    if (p->staged_index > g->next.log_last || p->staged_offset % REPL_BODY_CHUNK_DATA != 0 || p->body.n == 0) {
        return OK;
    }
    enum err e = repl_body_bytes(t, prefix, p->staged_index, 0, &stored);
    if (e == OK) {
        e = body_is_dead(t, g->replica, p->staged_index, 0, &dead);
    }
    if (e != OK) {
        return e;
    }
    if (dead) {
        *out_status = ERR_STALE;
        return OK;
    }
    e = g->fsm.staged == NULL ? OK : g->fsm.staged(g->fsm.ctx, t, p->staged_index);
    if (e != OK) {
        *out_status = e;
        return e == ERR_FULL || e == ERR_NOMEM || e == ERR_CORRUPT || e == ERR_IO ? e : OK;
    }
    if (p->staged_offset > stored) {
        return OK;
    }
    /* Writing again must not leave a short chunk in the middle. */
    if (p->staged_offset + p->body.n < stored && p->body.n % REPL_BODY_CHUNK_DATA != 0) {
        return OK;
    }
    *out_status = OK;
    e = body_write(t, g->replica, p->staged_index, 0, p->staged_offset, p->body);
    return e == OK ? fault_hit(FAULT_STAGE_AFTER) : e;
}

static enum err write_entry(struct group *g, struct kv_txn *t, const struct proposal *p, struct buf *result)
{
    struct repl_meta *m = &g->next;
    const struct log_entry entry = {
        .index = m->log_last + 1,
        .term = m->term,
        .type = REPL_ENTRY_COMMAND,
        .body_bytes = (uint32_t)p->body.n,
        .data = p->data,
    };
    const struct repl_position pos = {.index = entry.index, .term = entry.term};
    enum err e = fault_hit(FAULT_LOG_BEFORE);
    if (e == OK) {
        e = log_entry_put(t, g->replica, &entry);
    }
    if (e == OK && p->body.n > 0) {
        e = body_write(t, g->replica, entry.index, 0, 0, p->body);
    }
    if (e == OK) {
        e = fault_hit(FAULT_LOG_AFTER);
    }
    if (e != OK) {
        return e;
    }
    g->applied_any = true;
    e = g->fsm.apply(g->fsm.ctx, t, pos, p->data, entry.body_bytes, result);
    if (e == OK) {
        e = fault_hit(FAULT_APPLY_AFTER);
    }
    if (e != OK) {
        return e;
    }
    m->log_last++;
    m->applied = m->log_last;
    m->log_bytes += p->data.n + p->body.n;
    g->appended++;
    return OK;
}

enum err group_write(struct group *g, struct kv_txn *t, struct group_slot *slots)
{
    const struct proposal *p = g->head;
    uint64_t kills_before = body_kills();
    ASSERT(g->state == GROUP_RUNNING && raft_driver_is_sole(g->raft));
    ASSERT(raft_driver_last_index(g->raft) == g->meta.log_last && g->meta.last_term == g->meta.term);
    g->appended = 0;
    for (size_t i = 0; i < g->taken; i++, p = next_of(p)) {
        struct group_slot *slot = &slots[i];
        slot->status = OK;
        buf_reset(&slot->result);
        enum err e = p->staged_index != 0 ? write_staged(g, t, p, &slot->status) : write_entry(g, t, p, &slot->result);
        if (e != OK) {
            return e;
        }
    }
    g->kills = body_kills() != kills_before;
    return g->appended > 0 ? log_meta_put(t, g->replica, &g->next) : OK;
}

static void check_trim(struct group *g)
{
    uint64_t entries = g->meta.log_last - g->meta.log_first + 1;
    uint64_t slack = g->limits.log_entries_max / 4;
    g->trim_due = entries > g->limits.log_entries_max + slack ||
                  (g->meta.log_bytes > g->limits.log_bytes_max && entries > 1) ||
                  (g->trim_due && entries > g->limits.log_entries_max);
}

static void tell_raft(struct group *g, uint64_t now_ms)
{
    if (g->appended > 0) {
        enum err e = raft_driver_append(g->raft, now_ms, g->meta.log_last + 1, g->appended);
        ASSERT(e == OK); /* nothing to allocate: the term's range exists since the barrier */
    }
    if (g->next.snapshot_index > g->meta.snapshot_index) {
        enum err e = raft_driver_compact(g->raft, now_ms, g->next.snapshot_index, g->next.snapshot_term,
                                         g->next.snapshot_configuration);
        ASSERT(e == OK);
    }
}

static void begin_purge(struct group *g)
{
    const struct body_purge from_start = BODY_PURGE_START;
    g->purge = from_start;
    g->purge_due = true;
    g->purge_at_ms = UINT64_MAX;
}

/* A finished walk sleeps until the first body is ripe; a death or a moved log head may make work earlier. */
static void schedule_purge(struct group *g, bool trimmed, uint64_t wall_ms)
{
    if (g->purge_done) {
        g->purge_done = false;
        g->purge_due = false;
        g->purge_at_ms = g->purge.ripe_ms;
        if (g->purge_at_ms != UINT64_MAX && g->purge_at_ms < wall_ms + PURGE_INTERVAL_MS) {
            g->purge_at_ms = wall_ms + PURGE_INTERVAL_MS;
        }
    }
    if (!g->kills && !trimmed) {
        return;
    }
    if (g->limits.dead_retention_ms == 0) {
        begin_purge(g);
    } else if (!g->purge_due) {
        uint64_t wait =
            g->limits.dead_retention_ms > PURGE_INTERVAL_MS ? g->limits.dead_retention_ms : PURGE_INTERVAL_MS;
        uint64_t at = wall_ms + (g->kills && !trimmed ? wait : PURGE_INTERVAL_MS);
        g->purge_at_ms = at < g->purge_at_ms ? at : g->purge_at_ms;
    }
}

void group_committed(struct group *g, uint64_t now_ms, uint64_t wall_ms)
{
    bool trimmed = g->next.log_first > g->meta.log_first;
    tell_raft(g, now_ms);
    g->meta = g->next;
    g->appended = 0;
    g->taken = 0;
    check_trim(g);
    schedule_purge(g, trimmed, wall_ms);
    g->kills = false;
    group_tell_committed(g);
}

void group_aborted(struct group *g)
{
    g->next = g->meta;
    g->appended = 0;
    g->taken = 0;
    g->kills = false;
    g->purge_done = false;
    if (g->applied_any && g->fsm.aborted != NULL) {
        g->fsm.aborted(g->fsm.ctx);
    }
    g->applied_any = false;
}

/* --- upkeep --- */

static uint64_t trim_target(const struct group *g)
{
    uint64_t entries = g->next.log_last - g->next.log_first + 1;
    uint64_t target = 0;
    if (entries > g->limits.log_entries_max) {
        target = g->next.log_last - g->limits.log_entries_max;
    } else if (g->next.log_bytes > g->limits.log_bytes_max) {
        target = g->next.log_first; /* entry by entry: the sizes are in the rows */
    }
    return target < g->next.log_last ? target : g->next.log_last - 1;
}

static enum err trim(struct group *g, struct kv_txn *t, size_t *rows_left, bool *changed)
{
    size_t rows = 0;
    while (*rows_left > 0) {
        uint64_t target = trim_target(g);
        if (target < g->next.log_first) {
            break;
        }
        enum err e = log_trim(t, g->replica, &g->next, target, *rows_left, &rows);
        if (e != OK) {
            return e;
        }
        *rows_left -= rows < *rows_left ? rows : *rows_left;
        *changed = true;
    }
    return OK;
}

enum err group_upkeep(struct group *g, struct kv_txn *t, uint64_t wall_ms, size_t *rows_left, bool *out_changed)
{
    bool trimmed = false;
    size_t deleted = 0;
    enum err e = OK;
    if (g->trim_due) {
        e = trim(g, t, rows_left, &trimmed);
        if (e == OK && trimmed) {
            e = log_meta_put(t, g->replica, &g->next);
        }
    }
    if (e == OK && g->purge_due && *rows_left > 0) {
        e = body_purge_step(t, g->replica, &g->purge, g->next.log_first, wall_ms, g->limits.dead_retention_ms,
                            rows_left, &deleted, &g->purge_done);
    }
    *out_changed = trimmed || deleted > 0;
    return e;
}

void group_check_due(struct group *g, uint64_t wall_ms)
{
    if (g->state == GROUP_RUNNING && !g->purge_due && wall_ms >= g->purge_at_ms) {
        begin_purge(g);
    }
}
