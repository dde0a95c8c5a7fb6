/* A running replica: its proposals, its part of the turn's transaction, and the upkeep between. */
#include "replication/group_run.h"

#include "proto/base/assert.h"
#include "proto/base/bytes.h"
#include "proto/base/fault.h"
#include "replication/copy.h"

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

void group_entry_of(struct proposal *p, uint64_t index, uint64_t term, struct repl_entry *out)
{
    memset(out, 0, sizeof(*out));
    out->head.index = index;
    out->head.term = term;
    out->head.type = p->staged_index != 0 ? REPL_ENTRY_CHUNK : REPL_ENTRY_COMMAND;
    out->head.body_bytes = (uint32_t)p->body.n;
    out->head.data = p->data;
    out->body = p->body;
    if (p->staged_index != 0) {
        const struct body_piece piece = {.staged = p->staged_index, .offset = p->staged_offset};
        body_piece_put(&piece, p->piece);
        out->head.data = slice_make(p->piece, sizeof(p->piece));
    }
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

enum err group_append(struct group *g, struct kv_txn *t, const struct repl_entry *entry)
{
    struct repl_meta *m = &g->next;
    uint16_t ordinal = entry->head.type == REPL_ENTRY_CHUNK ? REPL_ORDINAL_PIECE : 0;
    const struct raft_term_range range = {.first = entry->head.index, .term = entry->head.term};
    enum err e = fault_hit(FAULT_LOG_BEFORE);
    ASSERT(entry->head.index == m->log_last + 1 && entry->head.term >= m->last_term);
    if (e == OK && (entry->head.term != m->last_term || m->log_first > m->log_last)) {
        e = log_range_put(t, g->replica, range);
    }
    if (e == OK) {
        e = log_entry_put(t, g->replica, &entry->head);
    }
    if (e == OK && entry->body.n > 0) {
        e = body_write(t, g->replica, entry->head.index, ordinal, 0, entry->body);
    }
    if (e == OK && entry->head.type == REPL_ENTRY_CHANGE) {
        e = log_configuration_put(t, g->replica, entry->head.index, entry->head.data);
    }
    if (e == OK) {
        e = fault_hit(entry->head.type == REPL_ENTRY_CHUNK ? FAULT_STAGE_AFTER : FAULT_LOG_AFTER);
    }
    if (e == OK) {
        m->log_last++;
        m->last_term = entry->head.term;
        m->log_bytes += entry->head.data.n + entry->body.n;
    }
    return e;
}

/* Whether a piece is to be kept, and what its proposer hears. The state machine counts only what adds to the body. */
static enum err judge_chunk(struct group *g, struct kv_txn *t, const struct body_piece *piece, uint32_t bytes,
                            bool *out_keep, enum err *out_status)
{
    bool adds;
    enum err e = body_piece_place(t, g->replica, piece, bytes, &adds, out_status);
    if (e != OK) {
        return e;
    }
    enum err said = g->fsm.staged == NULL ? OK : g->fsm.staged(g->fsm.ctx, t, piece->staged, adds ? bytes : 0);
    if (said == ERR_FULL || said == ERR_NOMEM || said == ERR_CORRUPT || said == ERR_IO) {
        return said;
    }
    *out_keep = adds && said == OK;
    *out_status = said == OK ? *out_status : said;
    return OK;
}

/* A piece of a staged body. Its reservation is an entry before it. */
static enum err apply_chunk(struct group *g, struct kv_txn *t, const struct log_entry *entry, enum err *out_status)
{
    struct body_piece piece;
    bool keep = false;
    enum err e = body_piece_get(entry->data, &piece);
    *out_status = ERR_INVAL;
    if (e == OK && piece.staged != 0 && piece.staged < entry->index && entry->body_bytes > 0) {
        e = judge_chunk(g, t, &piece, entry->body_bytes, &keep, out_status);
    }
    if (e != OK || entry->body_bytes == 0) {
        return e;
    }
    if (keep) {
        return body_piece_store(t, g->replica, entry->index, &piece, entry->body_bytes);
    }
    uint8_t prefix[5];
    put_be32(prefix, g->replica);
    prefix[4] = 'S';
    return repl_body_kill(t, prefix, entry->index, REPL_ORDINAL_PIECE, 0);
}

enum err group_apply(struct group *g, struct kv_txn *t, const struct log_entry *entry, struct group_slot *slot)
{
    const struct repl_position pos = {.index = entry->index, .term = entry->term};
    uint64_t kills_before = body_kills();
    enum err e = OK;
    ASSERT(entry->index == g->next.applied + 1);
    slot->status = OK;
    buf_reset(&slot->result);
    if (entry->type == REPL_ENTRY_COMMAND) {
        g->applied_any = true;
        e = g->fsm.apply(g->fsm.ctx, t, pos, entry->data, entry->body_bytes, &slot->result);
    } else if (entry->type == REPL_ENTRY_CHUNK) {
        e = apply_chunk(g, t, entry, &slot->status);
    }
    if (e == OK) {
        e = fault_hit(FAULT_APPLY_AFTER);
    }
    g->kills = g->kills || body_kills() != kills_before;
    if (e == OK) {
        g->next.applied++;
    }
    return e;
}

enum err group_write(struct group *g, struct kv_txn *t, struct group_slot *slots)
{
    struct proposal *p = g->head;
    ASSERT(g->state == GROUP_RUNNING && raft_driver_is_sole(g->raft));
    ASSERT(raft_driver_last_index(g->raft) == g->meta.log_last && g->meta.last_term == g->meta.term);
    g->appended = 0;
    for (size_t i = 0; i < g->taken; i++, p = next_of(p)) {
        struct repl_entry entry;
        group_entry_of(p, g->next.log_last + 1, g->next.term, &entry);
        enum err e = group_append(g, t, &entry);
        if (e == OK) {
            e = group_apply(g, t, &entry.head, &slots[i]);
        }
        if (e != OK) {
            return e;
        }
        g->appended++;
    }
    return g->appended > 0 ? log_meta_put(t, g->replica, &g->next) : OK;
}

static void tell_compacted(struct group *g, uint64_t now_ms)
{
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
    if (g->appended > 0) {
        enum err e = raft_driver_append(g->raft, now_ms, g->meta.log_last + 1, g->appended);
        ASSERT(e == OK); /* nothing to allocate: the term's range exists since the barrier */
    }
    tell_compacted(g, now_ms);
    g->meta = g->next;
    g->appended = 0;
    g->taken = 0;
    g->applied_now = 0;
    group_check_trim(g, now_ms);
    schedule_purge(g, trimmed, wall_ms);
    g->kills = false;
    group_publish(g);
    group_tell_committed(g);
}

void group_aborted(struct group *g)
{
    g->next = g->meta;
    copy_in_aborted(g);
    g->appended = 0;
    g->taken = 0;
    g->applied_now = 0;
    g->written = 0;
    g->wrote_state = false;
    g->answers = 0;
    g->change_index = 0;
    g->kills = false;
    g->purge_done = false;
    if (g->applied_any && g->fsm.aborted != NULL) {
        g->fsm.aborted(g->fsm.ctx);
    }
    g->applied_any = false;
}

/* --- upkeep --- */

enum err group_upkeep(struct group *g, struct kv_txn *t, uint64_t now_ms, uint64_t wall_ms, size_t *rows_left,
                      bool *out_changed)
{
    bool trimmed = false;
    size_t deleted = 0;
    enum err e = OK;
    if (group_may_trim(g)) {
        e = group_trim(g, t, now_ms, rows_left, &trimmed);
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
