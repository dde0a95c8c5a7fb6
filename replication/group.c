#include "replication/group_run.h"

#include "proto/base/assert.h"
#include "proto/base/mem.h"
#include "replication/copy.h"
#include "replication/key.h"

#define LATE_BYTES_MAX ((size_t)8 << 20)

/* --- load --- */

static enum err explain(struct buf *why, const struct group_config *cfg, enum err e, const char *what)
{
    enum err ignored = buf_printf(why, "shard %u, replica %u: %s: %s", cfg->shard.v, cfg->replica, what, err_text(e));
    (void)ignored; /* a courtesy: the error says enough */
    return e;
}

/* The sole voter of a new group; its configuration entry is written by group_start_write. */
static void make_founder(struct group *g)
{
    g->fresh = true;
    g->sole = true;
    g->meta.node = g->node.v;
    g->meta.term = 1;
    g->meta.last_term = 1;
    g->meta.log_first = 1;
    g->meta.log_last = 1;
    g->meta.applied = 1;
}

/* Empty: everything comes from the group's leader. */
static void make_joiner(struct group *g)
{
    g->fresh = true;
    g->join = true;
    g->meta.node = g->node.v;
    g->meta.log_first = 1;
}

/* *out_sole: the last configuration has this node as its only voter. */
static enum err check_configurations(const struct group_config *cfg, const struct log_index *x, bool *out_sole)
{
    struct raft_server_info servers[RAFT_SERVERS_MAX];
    struct slice last = x->snapshot_configuration;
    size_t n = 0;
    enum err e = OK;
    for (size_t i = 0; e == OK && i < x->n_changes; i++) {
        last = x->changes[i].configuration;
        e = raft_configuration_decodes(last);
    }
    if (e == OK && last.n > 0) {
        e = raft_configuration_get(last, servers, &n);
    }
    *out_sole = e == OK && raft_configuration_is_sole(servers, n, cfg->node);
    return e;
}

/* First and last entry, term ranges, configurations. The whole log is `ctl check`'s to verify. */
static enum err check_log(const struct group_config *cfg, struct kv_txn *t, const struct repl_meta *m, bool *out_sole,
                          struct buf *why)
{
    struct log_index x;
    struct log_entry entry;
    struct buf scratch;
    buf_init(&scratch, REPL_ENTRY_BYTES_MAX);
    enum err e = log_index_load(t, cfg->replica, m, &x);
    if (e != OK) {
        e = explain(why, cfg, e, "term ranges or configurations");
    }
    if (e == OK) {
        e = check_configurations(cfg, &x, out_sole);
        if (e != OK) {
            e = explain(why, cfg, e, "configuration");
        }
    }
    bool empty = m->log_first > m->log_last;
    if (e == OK && !empty) {
        e = log_entry_get(t, cfg->replica, m->log_first, &entry, &scratch);
        e = e != OK ? explain(why, cfg, e == ERR_NOTFOUND ? ERR_CORRUPT : e, "first log entry") : OK;
    }
    if (e == OK && !empty) {
        e = log_entry_get(t, cfg->replica, m->log_last, &entry, &scratch);
        if (e == OK && entry.term != m->last_term) {
            e = ERR_CORRUPT;
        }
        e = e != OK ? explain(why, cfg, e == ERR_NOTFOUND ? ERR_CORRUPT : e, "last log entry") : OK;
    }
    log_index_fini(&x);
    buf_fini(&scratch);
    return e;
}

static enum err load_rows(struct group *g, const struct group_config *cfg, struct kv_txn *t, struct buf *why)
{
    enum err e = log_meta_get(t, g->replica, &g->meta);
    if (e != OK) {
        return explain(why, cfg, e == ERR_NOTFOUND ? ERR_CORRUPT : e, "meta row");
    }
    if (g->meta.node != cfg->node.v) {
        return explain(why, cfg, ERR_INVAL, "belongs to another node");
    }
    return check_log(cfg, t, &g->meta, &g->sole, why);
}

/* A sole voter's term is raised before it starts; what others vote on starts as it is. */
static enum group_state first_state(const struct group *g)
{
    return g->sole || g->fresh ? GROUP_LOADED : GROUP_DURABLE;
}

enum err group_load(const struct group_config *cfg, struct kv_txn *t, enum group_origin origin, struct group **out,
                    struct buf *why)
{
    const struct body_purge purge = BODY_PURGE_START;
    struct group *g = mem_zalloc(sizeof(*g));
    if (g == NULL) {
        return ERR_NOMEM;
    }
    g->replica = cfg->replica;
    g->shard = cfg->shard;
    g->node = cfg->node;
    g->fsm = cfg->fsm;
    g->limits = cfg->limits;
    g->purge = purge;
    g->purge_at_ms = UINT64_MAX;
    list_init(&g->active);
    list_init(&g->batch);
    list_init(&g->upkeep);
    list_init(&g->start);
    list_init(&g->submit);
    list_init(&g->copies);
    buf_init(&g->late, LATE_BYTES_MAX);
    buf_init(&g->change, REPL_ENTRY_BYTES_MAX);
    enum err e = OK;
    if (origin == GROUP_FOUND) {
        make_founder(g);
    } else if (origin == GROUP_JOIN) {
        make_joiner(g);
    } else {
        e = load_rows(g, cfg, t, why);
    }
    if (e != OK) {
        group_free(g);
        return e;
    }
    g->state = first_state(g);
    g->next = g->meta;
    *out = g;
    return OK;
}

/* What raft decided and the disk does not know. */
static void forget(struct group *g)
{
    raft_driver_free(g->raft);
    g->raft = NULL;
    copy_in_drop(g);
    copy_out_drop(g);
    group_pending_drop(g);
    g->cut_from = 0;
    g->hard_state = false;
    g->change_index = 0;
    g->written = 0;
    g->wrote_state = false;
    buf_reset(&g->late);
}

void group_free(struct group *g)
{
    forget(g);
    mem_free(g->pending);
    buf_fini(&g->late);
    buf_fini(&g->change);
    mem_free(g);
}

enum err group_reload(struct group *g, struct kv_txn *t)
{
    const struct group_config cfg = {.replica = g->replica, .shard = g->shard, .node = g->node};
    struct buf why;
    forget(g);
    g->next = g->meta;
    g->state = GROUP_FAILED;
    group_publish(g);
    if (t == NULL) {
        return OK;
    }
    buf_init(&why, 512);
    enum err e = load_rows(g, &cfg, t, &why);
    buf_fini(&why);
    if (e == OK) {
        g->next = g->meta;
        g->state = first_state(g);
    }
    return e;
}

/* --- start --- */

static enum err write_fresh(struct group *g, struct kv_txn *t, struct buf *scratch)
{
    struct repl_key k = key_shard(g->shard.v);
    const struct raft_server_info self = {.node = g->node, .role = RAFT_ROLE_VOTER};
    const struct raft_term_range range = {.first = 1, .term = 1};
    struct log_entry entry = {.index = 1, .term = 1, .type = REPL_ENTRY_CHANGE};
    uint8_t number[4];
    put_be32(number, g->replica);
    enum err e = kv_put(t, key_slice(&k), slice_make(number, sizeof(number)));
    if (e != OK || g->join) {
        return e;
    }
    buf_reset(scratch);
    e = raft_configuration_put(&self, 1, scratch);
    entry.data = buf_slice(scratch);
    if (e == OK) {
        e = log_entry_put(t, g->replica, &entry);
    }
    if (e == OK) {
        e = log_configuration_put(t, g->replica, 1, entry.data);
    }
    if (e == OK) {
        e = log_range_put(t, g->replica, range);
    }
    g->next.log_bytes = entry.data.n;
    return e;
}

/* Entries that are durable but not applied: a sole voter's are all committed. */
static enum err recover(struct group *g, struct kv_txn *t, size_t entries_max, size_t bytes_max, struct buf *scratch)
{
    struct group_slot nobody;
    buf_init(&nobody.result, REPL_RESULT_BYTES_MAX);
    enum err e = OK;
    for (size_t n = 0, bytes = 0; e == OK && g->next.applied < g->next.log_last && n < entries_max && bytes < bytes_max;
         n++) {
        struct log_entry entry;
        e = log_entry_get(t, g->replica, g->next.applied + 1, &entry, scratch);
        if (e == ERR_NOTFOUND) {
            e = ERR_CORRUPT;
        }
        if (e == OK) {
            e = group_apply(g, t, &entry, &nobody);
        }
        if (e == OK) {
            bytes += entry.data.n + entry.body_bytes;
        }
    }
    buf_fini(&nobody.result);
    return e;
}

/* A sole voter elects itself without raising its term, so a crash could give one (index, term) to two entries: we raise
 * it, and clear the vote, before every start. The barrier is the new term's first entry: the leader has committed an
 * entry of its own term from the first moment, and the library never allocates for a later entry of this term. */
static enum err write_term(struct group *g, struct kv_txn *t)
{
    struct repl_meta *m = &g->next;
    m->term++;
    m->vote = 0;
    m->log_last++;
    m->applied = m->log_last;
    m->last_term = m->term;
    const struct raft_term_range range = {.first = m->log_last, .term = m->term};
    const struct log_entry barrier = {.index = m->log_last, .term = m->term, .type = REPL_ENTRY_BARRIER};
    enum err e = log_range_put(t, g->replica, range);
    return e == OK ? log_entry_put(t, g->replica, &barrier) : e;
}

enum err group_start_write(struct group *g, struct kv_txn *t, size_t entries_max, size_t bytes_max, struct buf *scratch,
                           bool *out_complete)
{
    ASSERT(g->state == GROUP_LOADED);
    enum err e = g->fresh ? write_fresh(g, t, scratch) : recover(g, t, entries_max, bytes_max, scratch);
    bool complete = g->next.applied == g->next.log_last;
    if (e == OK && complete && g->sole) {
        e = write_term(g, t);
    }
    if (e == OK) {
        e = log_meta_put(t, g->replica, &g->next);
    }
    if (e == OK) {
        *out_complete = complete;
    }
    return e;
}

void group_tell_committed(struct group *g)
{
    if (g->applied_any && g->fsm.committed != NULL) {
        g->fsm.committed(g->fsm.ctx);
    }
    g->applied_any = false;
}

void group_start_committed(struct group *g, bool complete)
{
    g->meta = g->next;
    g->fresh = false;
    if (complete) {
        g->state = GROUP_DURABLE;
    }
    group_tell_committed(g);
}

static enum err start_driver(struct raft_driver *raft, struct group *g, struct kv_txn *t, uint64_t now_ms,
                             struct raft_driver_update *out)
{
    struct log_index x;
    enum err e = log_index_load(t, g->replica, &g->meta, &x);
    if (e == OK) {
        const struct raft_start start = {
            .now_ms = now_ms,
            .term = g->meta.term,
            .vote = g->meta.vote,
            .snapshot_index = g->meta.snapshot_index,
            .snapshot_term = g->meta.snapshot_term,
            .configuration_index = g->meta.snapshot_configuration,
            .configuration = x.snapshot_configuration,
            .log_first = g->meta.log_first,
            .log_last = g->meta.log_last,
            .ranges = x.ranges,
            .n_ranges = x.n_ranges,
            .changes = x.changes,
            .n_changes = x.n_changes,
            .applied = g->meta.applied,
            .floor_index = g->meta.floor_index,
            .floor_term = g->meta.floor_term,
        };
        e = raft_driver_start(raft, &start, out);
    }
    log_index_fini(&x);
    return e;
}

enum err group_start_raft(struct group *g, struct kv_txn *t, uint64_t now_ms, unsigned seed,
                          struct raft_driver_update *out)
{
    const struct raft_driver_config cfg = {
        .node = g->node,
        .seed = seed,
        .election_ms = g->limits.election_ms,
        .heartbeat_ms = g->limits.heartbeat_ms,
        .lease_drift_percent = g->limits.lease_drift_percent,
    };
    struct raft_driver *raft;
    ASSERT(g->state == GROUP_DURABLE);
    enum err e = raft_driver_new(&cfg, &raft);
    if (e != OK) {
        return e;
    }
    e = start_driver(raft, g, t, now_ms, out);
    if (e != OK) {
        raft_driver_free(raft);
        return e;
    }
    ASSERT(raft_driver_term(raft) == g->meta.term && raft_driver_last_index(raft) == g->meta.log_last);
    ASSERT(!g->sole || (raft_driver_leads(raft) && raft_driver_commit_index(raft) == g->meta.applied));
    g->raft = raft;
    g->state = GROUP_RUNNING;
    g->purge_due = true; /* what died before the restart */
    group_publish(g);
    return OK;
}
