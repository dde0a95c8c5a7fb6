/* A group of several servers: what raft decided waits here until a transaction makes it durable, and that transaction.
 * Stepping raft is group_step.c's. */
#include "proto/base/assert.h"
#include "proto/base/bytes.h"
#include "proto/base/mem.h"
#include "proto/base/plant.h"
#include "replication/copy.h"
#include "replication/group_run.h"

/* --- entries that wait for the disk --- */

void group_received_unref(struct repl_received *r)
{
    ASSERT(r->refs > 0);
    if (--r->refs == 0) {
        r->release(r);
    }
}

static size_t pending_bytes(const struct group_pending *p)
{
    return p->entry.head.data.n + p->entry.body.n;
}

static void pending_fini(struct group *g, struct group_pending *p)
{
    g->pending_bytes -= pending_bytes(p);
    if (p->received != NULL) {
        group_received_unref(p->received);
    }
    mem_free(p->own);
}

void group_pending_drop(struct group *g)
{
    while (g->n_pending > 0) {
        pending_fini(g, &g->pending[--g->n_pending]);
    }
}

void group_pending_cut(struct group *g, uint64_t from)
{
    while (g->n_pending > 0 && g->pending[g->n_pending - 1].entry.head.index >= from) {
        pending_fini(g, &g->pending[--g->n_pending]);
    }
    if (from <= g->meta.log_last && (g->cut_from == 0 || from < g->cut_from)) {
        ASSERT(from > g->meta.applied);
        g->cut_from = from;
    }
}

enum err group_pending_add(struct group *g, const struct group_pending *p)
{
    uint64_t before = g->n_pending > 0   ? g->pending[g->n_pending - 1].entry.head.index
                      : g->cut_from != 0 ? g->cut_from - 1
                                         : g->meta.log_last;
    ASSERT(p->entry.head.index == before + 1);
    if (g->n_pending == g->pending_capacity) {
        size_t capacity = g->pending_capacity == 0 ? 32 : 2 * g->pending_capacity;
        struct group_pending *more = mem_realloc(g->pending, capacity * sizeof(*more));
        if (more == NULL) {
            return ERR_NOMEM;
        }
        g->pending = more;
        g->pending_capacity = capacity;
    }
    g->pending[g->n_pending++] = *p;
    g->pending_bytes += pending_bytes(p);
    return OK;
}

/* Copies what refers to proposals. */
enum err group_pending_own(struct group *g)
{
    for (size_t i = 0; i < g->n_pending; i++) {
        struct group_pending *p = &g->pending[i];
        size_t data = p->entry.head.data.n;
        if (p->received != NULL || p->own != NULL || data + p->entry.body.n == 0) {
            continue;
        }
        p->own = mem_alloc(data + p->entry.body.n);
        if (p->own == NULL) {
            return ERR_NOMEM;
        }
        memcpy(p->own, p->entry.head.data.p, data);
        p->entry.head.data.p = p->own;
        if (p->entry.body.n > 0) {
            memcpy(p->own + data, p->entry.body.p, p->entry.body.n);
            p->entry.body.p = p->own + data;
        }
    }
    return OK;
}

static void pending_written(struct group *g, size_t n)
{
    if (n == 0) {
        return; /* there may never have been any */
    }
    for (size_t i = 0; i < n; i++) {
        pending_fini(g, &g->pending[i]);
    }
    g->n_pending -= n;
    memmove(g->pending, g->pending + n, g->n_pending * sizeof(g->pending[0]));
}

/* --- proposals in raft's log --- */

void group_fly(struct group *g, uint64_t first, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct proposal *p = group_pop(g);
        p->index = first + i;
        p->node.next = NULL;
        if (g->flight_tail == NULL) {
            g->flight_head = p;
        } else {
            g->flight_tail->node.next = &p->node;
        }
        g->flight_tail = p;
        g->n_flights++;
        g->flight_bytes += group_cost(p);
    }
}

struct proposal *group_land(struct group *g)
{
    struct proposal *p = g->flight_head;
    if (p != NULL) {
        g->flight_head = (struct proposal *)(void *)p->node.next; /* node is the first member */
        g->flight_tail = g->flight_head == NULL ? NULL : g->flight_tail;
        g->n_flights--;
        g->flight_bytes -= group_cost(p);
    }
    return p;
}

/* --- the transaction --- */

uint64_t group_target(const struct group *g)
{
    if (g->copy_in != NULL) {
        return g->meta.applied; /* what raft takes for committed is the copy's; the log here may be another one */
    }
    uint64_t last = g->n_pending > 0   ? g->pending[g->n_pending - 1].entry.head.index
                    : g->cut_from != 0 ? g->cut_from - 1
                                       : g->meta.log_last;
    uint64_t commit = raft_driver_commit_index(g->raft);
    return commit < last ? commit : last;
}

bool group_has_work(const struct group *g)
{
    if (group_is_alone(g)) {
        return g->head != NULL;
    }
    return !group_is_durable(g) || group_target(g) > g->meta.applied || copy_in_waits(g);
}

#define APPLY_ENTRY_BYTES 2048 /* of pages that an entry's apply touches, roughly */

bool group_peers_collect(struct group *g, size_t entries_max, size_t bytes_max, size_t *out_bytes)
{
    uint64_t target = group_target(g);
    uint64_t applies = target > g->meta.applied ? target - g->meta.applied : 0;
    size_t bytes = g->pending_bytes + g->n_pending * 512 + copy_in_bytes(g);
    ASSERT(g->state == GROUP_RUNNING);
    if (bytes > bytes_max || g->n_pending > entries_max) {
        return false;
    }
    uint64_t room = (bytes_max - bytes) / APPLY_ENTRY_BYTES;
    applies = applies < room ? applies : room;
    applies = applies < entries_max - g->n_pending ? applies : entries_max - g->n_pending;
    g->taken = (size_t)applies;
    *out_bytes = bytes + (size_t)applies * APPLY_ENTRY_BYTES;
    return applies > 0 || !group_is_durable(g) || copy_in_waits(g);
}

/* Whether what waits is left for a later transaction though this one applies it: never, but for a planted bug. */
static bool puts_off_log(const struct group *g)
{
    bool all = planted(PLANT_EARLY_APPLY) && g->n_pending > 0 && g->cut_from == 0;
    for (size_t i = 0; all && i < g->n_pending; i++) {
        const struct repl_entry *e = &g->pending[i].entry;
        all = e->body.n == 0 && e->head.type == REPL_ENTRY_COMMAND && e->head.index <= group_target(g);
    }
    return all;
}

static enum err write_state(struct group *g, struct kv_txn *t)
{
    struct repl_meta *m = &g->next;
    enum err e = OK;
    if (g->hard_state) {
        m->term = raft_driver_term(g->raft);
        m->vote = raft_driver_vote(g->raft);
    }
    if (g->cut_from != 0) {
        e = log_truncate(t, g->replica, m, g->cut_from);
    }
    size_t n = puts_off_log(g) ? 0 : g->n_pending;
    for (size_t i = 0; e == OK && i < n; i++) {
        e = group_append(g, t, &g->pending[i].entry);
    }
    g->written = n;
    g->wrote_state = true;
    return e;
}

/* The entry to apply next: a waiting proposal's bytes, or the log's. */
static enum err next_entry(struct group *g, struct kv_txn *t, const struct proposal *flight, struct log_entry *out,
                           struct buf *scratch)
{
    uint64_t index = g->next.applied + 1;
    if (flight != NULL && flight->index == index) {
        struct repl_entry entry;
        group_entry_of((struct proposal *)(uintptr_t)flight, index, raft_driver_term(g->raft), &entry);
        *out = entry.head;
        return OK;
    }
    if (planted(PLANT_EARLY_APPLY) && g->n_pending > 0 && index >= g->pending[0].entry.head.index) {
        *out = g->pending[index - g->pending[0].entry.head.index].entry.head;
        return OK;
    }
    enum err e = log_entry_get(t, g->replica, index, out, scratch);
    return e == ERR_NOTFOUND ? ERR_CORRUPT : e;
}

/* What the library must hear after the commit. */
static enum err note_change(struct group *g, const struct log_entry *entry)
{
    if (entry->type != REPL_ENTRY_CHANGE) {
        return OK;
    }
    buf_reset(&g->change);
    g->change_index = entry->index;
    return buf_append_slice(&g->change, entry->data);
}

static enum err apply_committed(struct group *g, struct kv_txn *t, struct group_slot *slots, struct group_slot *spare,
                                struct buf *scratch)
{
    const struct proposal *flight = g->flight_head;
    uint64_t target = group_target(g);
    enum err e = OK;
    while (e == OK && g->applied_now < g->taken && g->next.applied < target) {
        bool mine = flight != NULL && flight->index == g->next.applied + 1;
        struct log_entry entry;
        e = next_entry(g, t, flight, &entry, scratch);
        if (e == OK) {
            e = group_apply(g, t, &entry, mine ? &slots[g->answers] : spare);
        }
        if (e == OK) {
            e = note_change(g, &entry);
        }
        if (e == OK) {
            g->applied_now++;
            g->answers += mine;
            flight = mine ? (struct proposal *)(void *)flight->node.next : flight;
        }
    }
    return e;
}

enum err group_peers_write(struct group *g, struct kv_txn *t, struct group_slot *slots, struct group_slot *spare,
                           struct buf *scratch)
{
    enum err e = write_state(g, t);
    g->applied_now = 0;
    g->answers = 0;
    if (e == OK) {
        e = apply_committed(g, t, slots, spare, scratch);
    }
    return e == OK ? log_meta_put(t, g->replica, &g->next) : e;
}

void group_peers_written(struct group *g)
{
    pending_written(g, g->written);
    g->written = 0;
    g->wrote_state = false;
    g->hard_state = false;
    g->cut_from = 0;
}
