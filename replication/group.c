#include "replication/group_run.h"

#include "proto/base/assert.h"
#include "proto/base/mem.h"
#include "replication/key.h"

/* Timers of the library. A sole voter has nobody to hear from: its driver gets no timeouts at all. */
#define ELECTION_MS 2000
#define HEARTBEAT_MS 300

/* --- load --- */

static enum err explain(struct buf *why, const struct group_config *cfg, enum err e, const char *what)
{
    enum err ignored = buf_printf(why, "shard %u, replica %u: %s: %s", cfg->shard.v, cfg->replica, what, err_text(e));
    (void)ignored; /* a courtesy: the error says enough */
    return e;
}

static void make_fresh(struct group *g)
{
    g->fresh = true;
    g->meta.node = g->node.v;
    g->meta.term = 1;
    g->meta.last_term = 1;
    g->meta.log_first = 1;
    g->meta.log_last = 1; /* the configuration entry, written by group_start_write */
    g->meta.applied = 1;
}

static enum err check_configurations(const struct group_config *cfg, const struct log_index *x)
{
    struct slice last = x->snapshot_configuration;
    bool sole = false;
    if (x->n_changes > 0) {
        last = x->changes[x->n_changes - 1].configuration;
    }
    for (size_t i = 0; i < x->n_changes; i++) {
        if (raft_configuration_check(x->changes[i].configuration, cfg->node, &sole) != OK) {
            return ERR_CORRUPT;
        }
    }
    enum err e = raft_configuration_check(last, cfg->node, &sole);
    if (e != OK) {
        return e;
    }
    return sole ? OK : ERR_UNSUPPORTED;
}

/* First and last entry, term ranges, configurations. The whole log is `ctl check`'s to verify. */
static enum err check_log(const struct group_config *cfg, struct kv_txn *t, const struct repl_meta *m, struct buf *why)
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
        e = check_configurations(cfg, &x);
        if (e != OK) {
            e = explain(why, cfg, e, "configuration");
        }
    }
    if (e == OK) {
        e = log_entry_get(t, cfg->replica, m->log_first, &entry, &scratch);
        e = e != OK ? explain(why, cfg, e == ERR_NOTFOUND ? ERR_CORRUPT : e, "first log entry") : OK;
    }
    if (e == OK) {
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
    return check_log(cfg, t, &g->meta, why);
}

enum err group_load(const struct group_config *cfg, struct kv_txn *t, bool fresh, struct group **out, struct buf *why)
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
    g->state = GROUP_LOADED;
    g->purge = purge;
    g->purge_at_ms = UINT64_MAX;
    list_init(&g->active);
    list_init(&g->batch);
    list_init(&g->upkeep);
    list_init(&g->start);
    enum err e = OK;
    if (fresh) {
        make_fresh(g);
    } else {
        e = load_rows(g, cfg, t, why);
    }
    if (e != OK) {
        group_free(g);
        return e;
    }
    g->next = g->meta;
    *out = g;
    return OK;
}

void group_free(struct group *g)
{
    raft_driver_free(g->raft);
    mem_free(g);
}

/* --- start --- */

static enum err write_fresh(struct group *g, struct kv_txn *t, struct buf *scratch)
{
    struct repl_key k = key_shard(g->shard.v);
    const struct raft_term_range range = {.first = 1, .term = 1};
    struct log_entry entry = {.index = 1, .term = 1, .type = REPL_ENTRY_CHANGE};
    uint8_t number[4];
    put_be32(number, g->replica);
    buf_reset(scratch);
    enum err e = raft_configuration_sole(g->node, scratch);
    if (e == OK) {
        entry.data = buf_slice(scratch);
        e = kv_put(t, key_slice(&k), slice_make(number, sizeof(number)));
    }
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
    struct buf no_result;
    buf_init(&no_result, REPL_RESULT_BYTES_MAX);
    enum err e = OK;
    for (size_t n = 0, bytes = 0; e == OK && g->next.applied < g->next.log_last && n < entries_max && bytes < bytes_max;
         n++) {
        struct log_entry entry;
        e = log_entry_get(t, g->replica, g->next.applied + 1, &entry, scratch);
        if (e == ERR_NOTFOUND) {
            e = ERR_CORRUPT;
        }
        if (e == OK && entry.type == REPL_ENTRY_COMMAND) {
            const struct repl_position pos = {.index = entry.index, .term = entry.term};
            buf_reset(&no_result);
            g->applied_any = true;
            e = g->fsm.apply(g->fsm.ctx, t, pos, entry.data, entry.body_bytes, &no_result);
        }
        if (e == OK) {
            g->next.applied++;
            bytes += entry.data.n + entry.body_bytes;
        }
    }
    buf_fini(&no_result);
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
    if (e == OK && complete) {
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

static enum err start_driver(struct raft_driver *raft, struct group *g, struct kv_txn *t, uint64_t now_ms)
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
        };
        e = raft_driver_start(raft, &start);
    }
    log_index_fini(&x);
    return e;
}

enum err group_start_raft(struct group *g, struct kv_txn *t, uint64_t now_ms, unsigned seed)
{
    const struct raft_driver_config cfg = {
        .node = g->node, .seed = seed, .election_ms = ELECTION_MS, .heartbeat_ms = HEARTBEAT_MS};
    struct raft_driver *raft;
    ASSERT(g->state == GROUP_DURABLE);
    enum err e = raft_driver_new(&cfg, &raft);
    if (e != OK) {
        return e;
    }
    e = start_driver(raft, g, t, now_ms);
    if (e != OK) {
        raft_driver_free(raft);
        return e;
    }
    ASSERT(raft_driver_is_sole(raft) && raft_driver_term(raft) == g->meta.term);
    ASSERT(raft_driver_commit_index(raft) == g->meta.applied && raft_driver_last_index(raft) == g->meta.log_last);
    g->raft = raft;
    g->state = GROUP_RUNNING;
    g->purge_due = true; /* what died before the restart */
    __atomic_store_n(&g->leads_term, g->meta.term, __ATOMIC_RELEASE);
    return OK;
}
