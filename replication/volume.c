#include "replication/volume.h"

#include "proto/base/assert.h"
#include "proto/base/hash.h"
#include "proto/base/log.h"
#include "proto/base/mem.h"
#include "replication/copy.h"
#include "replication/group_run.h"
#include "replication/key.h"
#include "replication/volume_run.h"

#define LOG_ENTRIES_MAX_DEFAULT 1000
#define LOG_BYTES_MAX_DEFAULT ((uint64_t)64 << 20)
#define ELECTION_MS_DEFAULT 1000
#define HEARTBEAT_MS_DEFAULT 200
#define FORMAT_VERSION 1
#define VOLUME_ROW_BYTES 12

/* --- the volume's own rows --- */

enum err volume_row_put(struct volume *v, struct kv_txn *t)
{
    struct repl_key k = key_head(0, 'V');
    uint8_t row[VOLUME_ROW_BYTES];
    put_le32(row, FORMAT_VERSION);
    put_le32(row + 4, v->next_replica);
    put_le32(row + 8, crc32c(0, row, 8));
    return kv_put(t, key_slice(&k), slice_make(row, sizeof(row)));
}

static enum err corrupt(const char *what)
{
    log_error("volume.corrupt", "the volume cannot be opened", LOG_STR("row", what));
    return ERR_CORRUPT;
}

enum err volume_row_get(struct slice row, uint32_t *out_next)
{
    if (row.n != VOLUME_ROW_BYTES || get_le32(row.p + 8) != crc32c(0, row.p, 8)) {
        return ERR_CORRUPT;
    }
    if (get_le32(row.p) != FORMAT_VERSION) {
        return ERR_UNSUPPORTED;
    }
    *out_next = get_le32(row.p + 4);
    return OK;
}

static enum err load_volume_row(struct volume *v, struct kv_txn *t)
{
    struct repl_key k = key_head(0, 'V');
    struct slice row;
    enum err e = kv_get(t, key_slice(&k), &row);
    if (e == ERR_NOTFOUND) {
        v->next_replica = 1;
        v->row_dirty = true;
        return OK;
    }
    if (e != OK) {
        return e;
    }
    e = volume_row_get(row, &v->next_replica);
    if (e == ERR_CORRUPT) {
        return corrupt("0 'V' (volume row): checksum");
    }
    if (e == ERR_UNSUPPORTED) {
        log_error("volume.version", "the volume was written by another version", LOG_U64("format", get_le32(row.p)));
    }
    return e;
}

static enum err add_found(struct volume *v, struct volume_found found)
{
    if (v->n_found == v->found_capacity) {
        size_t capacity = v->found_capacity == 0 ? 64 : 2 * v->found_capacity;
        struct volume_found *bigger = mem_realloc(v->found, capacity * sizeof(*bigger));
        if (bigger == NULL) {
            return ERR_NOMEM;
        }
        v->found = bigger;
        v->found_capacity = capacity;
    }
    v->found[v->n_found++] = found;
    return OK;
}

static enum err find_replicas(struct volume *v, struct kv_txn *t)
{
    struct repl_key from = key_head(0, 'R');
    struct kv_cursor *c;
    struct slice key;
    struct slice row;
    enum err e = kv_cursor_open(t, &c);
    if (e != OK) {
        return e;
    }
    e = kv_cursor_seek(c, key_slice(&from), &key, &row);
    while (e == OK && key_under(key, 0, 'R')) {
        struct volume_found found = {.replica = row.n == 4 ? get_be32(row.p) : 0};
        if (key.n != KEY_HEAD_BYTES + 4 || found.replica == 0 || found.replica >= v->next_replica) {
            e = corrupt("0 'R' (replica of a shard)");
            break;
        }
        found.shard.v = get_be32(key.p + KEY_HEAD_BYTES);
        e = add_found(v, found);
        if (e == OK) {
            e = kv_cursor_next(c, &key, &row);
        }
    }
    kv_cursor_close(c);
    return e == ERR_NOTFOUND ? OK : e;
}

static enum err load_volume(struct volume *v)
{
    struct kv_txn *t;
    enum err e = kv_begin(v->cfg.kv, false, &t);
    if (e != OK) {
        return e;
    }
    e = load_volume_row(v, t);
    if (e == OK) {
        e = find_replicas(v, t);
    }
    kv_abort(t);
    return e;
}

enum err volume_open(const struct volume_config *cfg, struct volume **out)
{
    struct volume *v = mem_zalloc(sizeof(*v));
    if (v == NULL) {
        return ERR_NOMEM;
    }
    v->cfg = *cfg;
    v->limits.log_entries_max = cfg->log_entries_max == 0 ? LOG_ENTRIES_MAX_DEFAULT : cfg->log_entries_max;
    v->limits.log_bytes_max = cfg->log_bytes_max == 0 ? LOG_BYTES_MAX_DEFAULT : cfg->log_bytes_max;
    v->limits.log_age_ms = cfg->log_age_ms;
    v->limits.sole_entries_max = cfg->sole_entries_max == 0 ? v->limits.log_entries_max : cfg->sole_entries_max;
    v->limits.sole_bytes_max = cfg->sole_bytes_max == 0 ? v->limits.log_bytes_max : cfg->sole_bytes_max;
    v->limits.election_ms = cfg->election_ms == 0 ? ELECTION_MS_DEFAULT : cfg->election_ms;
    v->limits.heartbeat_ms = cfg->heartbeat_ms == 0 ? HEARTBEAT_MS_DEFAULT : cfg->heartbeat_ms;
    v->limits.lease_drift_percent = cfg->lease_drift_percent;
    v->limits.dead_retention_ms = cfg->dead_retention_ms;
    copy_turns_init(&v->copies, cfg->copy_bytes_per_s);
    v->entries_max = VOLUME_TURN_ENTRIES_MAX;
    v->purge_at_ms = UINT64_MAX;
    v->grid_ms = UINT64_MAX;
    v->garbage = true; /* what a copy left behind that a crash ended */
    list_init(&v->submit);
    list_init(&v->active);
    list_init(&v->batch);
    list_init(&v->upkeep);
    list_init(&v->starting);
    buf_init(&v->scratch, REPL_ENTRY_BYTES_MAX);
    buf_init(&v->message, REPL_MESSAGE_BYTES_MAX + REPL_ENTRY_BYTES_MAX);
    buf_init(&v->body, REPL_ENTRY_BYTES_MAX);
    buf_init(&v->spare.result, REPL_RESULT_BYTES_MAX);
    enum err e = load_volume(v);
    if (e != OK) {
        volume_close(v);
        return e;
    }
    *out = v;
    return OK;
}

void volume_close(struct volume *v)
{
    for (size_t i = 0; i < v->n_groups; i++) {
        group_free(v->groups[i]);
    }
    for (size_t i = 0; i < VOLUME_TABLE_PAGES; i++) {
        mem_free(v->table[i]);
    }
    for (size_t i = 0; i < v->n_slots; i++) {
        buf_fini(&v->slots[i].result);
    }
    mem_free(v->slots);
    mem_free(v->groups);
    mem_free(v->found);
    buf_fini(&v->scratch);
    buf_fini(&v->message);
    buf_fini(&v->body);
    buf_fini(&v->spare.result);
    mem_free(v);
}

const struct volume_found *volume_found(const struct volume *v, size_t *out_n)
{
    *out_n = v->n_found;
    return v->found;
}

/* --- replicas --- */

/* Readers look groups up while the volume's thread adds others: pages are published once and never move. */
struct group *volume_group(struct volume *v, struct shard_id shard)
{
    if (shard.v >= VOLUME_TABLE_PAGES * VOLUME_TABLE_PAGE_GROUPS) {
        return NULL;
    }
    struct group **page = __atomic_load_n(&v->table[shard.v / VOLUME_TABLE_PAGE_GROUPS], __ATOMIC_ACQUIRE);
    return page == NULL ? NULL : __atomic_load_n(&page[shard.v % VOLUME_TABLE_PAGE_GROUPS], __ATOMIC_ACQUIRE);
}

static enum err reserve_group(struct volume *v, struct shard_id shard)
{
    struct group ***page = &v->table[shard.v / VOLUME_TABLE_PAGE_GROUPS];
    if (*page == NULL) {
        struct group **fresh = mem_calloc(VOLUME_TABLE_PAGE_GROUPS, sizeof(*fresh));
        if (fresh == NULL) {
            return ERR_NOMEM;
        }
        __atomic_store_n(page, fresh, __ATOMIC_RELEASE);
    }
    if (v->n_groups == v->groups_capacity) {
        size_t capacity = v->groups_capacity == 0 ? 64 : 2 * v->groups_capacity;
        struct group **bigger = mem_realloc(v->groups, capacity * sizeof(*bigger));
        if (bigger == NULL) {
            return ERR_NOMEM;
        }
        v->groups = bigger;
        v->groups_capacity = capacity;
    }
    return OK;
}

static void publish_group(struct volume *v, struct group *g)
{
    struct group **page = v->table[g->shard.v / VOLUME_TABLE_PAGE_GROUPS];
    v->groups[v->n_groups++] = g;
    list_push_back(&v->starting, &g->start);
    __atomic_store_n(&page[g->shard.v % VOLUME_TABLE_PAGE_GROUPS], g, __ATOMIC_RELEASE);
}

static uint32_t found_replica(const struct volume *v, struct shard_id shard)
{
    for (size_t i = 0; i < v->n_found; i++) {
        if (v->found[i].shard.v == shard.v) {
            return v->found[i].replica;
        }
    }
    return 0;
}

static enum err load_group(struct volume *v, const struct group_config *cfg, enum group_origin origin,
                           struct group **out)
{
    struct kv_txn *t;
    struct buf why;
    enum err e = kv_begin(v->cfg.kv, false, &t);
    if (e != OK) {
        return e;
    }
    buf_init(&why, 512);
    e = group_load(cfg, t, origin, out, &why);
    kv_abort(t);
    if (e != OK) {
        log_error("replica.refused", "a replica cannot be opened", LOG_U64("shard", cfg->shard.v),
                  LOG_U64("replica", cfg->replica), LOG_SLICE("reason", buf_slice(&why)), LOG_ERR(e));
    }
    buf_fini(&why);
    return e;
}

static enum err open_replica(struct volume *v, struct shard_id shard, struct node_id node, const struct repl_fsm *fsm,
                             enum group_origin when_new)
{
    if (shard.v >= VOLUME_TABLE_PAGES * VOLUME_TABLE_PAGE_GROUPS || node.v == 0) {
        return ERR_INVAL;
    }
    if (volume_group(v, shard) != NULL) {
        return ERR_EXISTS;
    }
    enum err e = reserve_group(v, shard);
    if (e != OK) {
        return e;
    }
    uint32_t replica = found_replica(v, shard);
    bool fresh = replica == 0;
    struct group_config cfg = {
        .replica = fresh ? v->next_replica : replica, .shard = shard, .node = node, .limits = v->limits, .fsm = *fsm};
    struct group *g;
    e = load_group(v, &cfg, fresh ? when_new : GROUP_FROM_DISK, &g);
    if (e != OK) {
        return e;
    }
    if (fresh) {
        v->next_replica++;
        v->row_dirty = true;
    }
    publish_group(v, g);
    return OK;
}

enum err volume_replica_open(struct volume *v, struct shard_id shard, struct node_id node, const struct repl_fsm *fsm)
{
    return open_replica(v, shard, node, fsm, GROUP_FOUND);
}

enum err volume_replica_join(struct volume *v, struct shard_id shard, struct node_id node, const struct repl_fsm *fsm)
{
    return open_replica(v, shard, node, fsm, GROUP_JOIN);
}

/* --- control, on the volume's thread --- */

static struct group *running(struct volume *v, struct shard_id shard)
{
    struct group *g = volume_group(v, shard);
    return g != NULL && g->state == GROUP_RUNNING ? g : NULL;
}

enum err volume_transfer(struct volume *v, struct shard_id shard, struct node_id to)
{
    struct group *g = running(v, shard);
    if (g == NULL) {
        return ERR_NOT_LEADER;
    }
    enum err e = group_step_transfer(v, g, to, clock_mono_ms(v->cfg.clock));
    volume_end_reader(v);
    return e;
}

enum err volume_change(struct volume *v, struct shard_id shard, const struct raft_server_info *servers, size_t n)
{
    struct group *g = running(v, shard);
    if (g == NULL) {
        return ERR_NOT_LEADER;
    }
    buf_reset(&v->scratch);
    enum err e = n == 0 || n > RAFT_SERVERS_MAX ? ERR_INVAL : raft_configuration_put(servers, n, &v->scratch);
    if (e == OK) {
        e = group_step_change(v, g, buf_slice(&v->scratch), clock_mono_ms(v->cfg.clock));
    }
    volume_end_reader(v);
    return e;
}

enum err volume_status(struct volume *v, struct shard_id shard, struct volume_status *out)
{
    struct group *g = running(v, shard);
    if (g == NULL) {
        return ERR_NOTFOUND;
    }
    memset(out, 0, sizeof(*out));
    out->term = raft_driver_term(g->raft);
    out->leader = raft_driver_leader(g->raft);
    out->silent_ms = raft_driver_silent_ms(g->raft, clock_mono_ms(v->cfg.clock));
    out->serves = raft_driver_serves(g->raft);
    out->log_first = g->meta.log_first;
    out->log_last = g->meta.log_last;
    out->commit = raft_driver_commit_index(g->raft);
    out->applied = g->meta.applied;
    out->changing = raft_driver_changing(g->raft);
    out->n_servers = raft_driver_servers(g->raft, out->servers);
    for (size_t i = 0; i < out->n_servers; i++) {
        out->match[i] = raft_driver_match(g->raft, out->servers[i].node);
    }
    return OK;
}

void volume_pull(struct volume *v, struct volume_pull *p)
{
    struct group *g = running(v, p->shard);
    if (g == NULL) {
        p->done(p, ERR_NOT_LEADER, NULL);
    } else {
        copy_out_asked(v, g, p, clock_mono_ms(v->cfg.clock));
    }
}

void volume_pulls_end(struct volume *v)
{
    copy_out_backups_end(v);
}

/* --- for readers --- */

bool volume_leads(struct volume *v, struct shard_id shard, uint64_t *out_term)
{
    struct group *g = volume_group(v, shard);
    uint64_t term = g == NULL ? 0 : group_leads_term(g);
    if (term == 0) {
        return false;
    }
    *out_term = term;
    return true;
}

bool volume_read_begin(struct volume *v, struct shard_id shard, struct volume_read *out)
{
    struct group *g = volume_group(v, shard);
    return g != NULL && group_view_read(g, out);
}

static uint64_t read_atomic(struct volume *v, struct shard_id shard, size_t field)
{
    struct group *g = volume_group(v, shard);
    return g == NULL ? 0 : __atomic_load_n((uint64_t *)(void *)((char *)g + field), __ATOMIC_ACQUIRE);
}

uint64_t volume_applied(struct volume *v, struct shard_id shard)
{
    return read_atomic(v, shard, offsetof(struct group, applied));
}

uint64_t volume_term(struct volume *v, struct shard_id shard)
{
    return read_atomic(v, shard, offsetof(struct group, term));
}

struct node_id volume_leader(struct volume *v, struct shard_id shard)
{
    return (struct node_id){read_atomic(v, shard, offsetof(struct group, leader))};
}

enum err volume_state_prefix(struct volume *v, struct shard_id shard, uint8_t out_prefix[5])
{
    const struct group *g = volume_group(v, shard);
    if (g == NULL) {
        return ERR_NOTFOUND;
    }
    put_be32(out_prefix, __atomic_load_n(&g->replica, __ATOMIC_ACQUIRE));
    out_prefix[4] = 'S';
    return OK;
}

void volume_stats(const struct volume *v, struct volume_stats *out)
{
    out->turns = __atomic_load_n(&v->stats.turns, __ATOMIC_RELAXED);
    out->commits = __atomic_load_n(&v->stats.commits, __ATOMIC_RELAXED);
    out->entries = __atomic_load_n(&v->stats.entries, __ATOMIC_RELAXED);
    out->body_bytes = __atomic_load_n(&v->stats.body_bytes, __ATOMIC_RELAXED);
    out->full_refusals = __atomic_load_n(&v->stats.full_refusals, __ATOMIC_RELAXED);
    out->copy_bytes = __atomic_load_n(&v->stats.copy_bytes, __ATOMIC_RELAXED);
    out->elections = __atomic_load_n(&v->stats.elections, __ATOMIC_RELAXED);
    out->messages = __atomic_load_n(&v->stats.messages, __ATOMIC_RELAXED);
    out->messages_dropped = __atomic_load_n(&v->stats.messages_dropped, __ATOMIC_RELAXED);
    out->commit_us_total = __atomic_load_n(&v->stats.commit_us_total, __ATOMIC_RELAXED);
    out->above_watermark = __atomic_load_n(&v->above_watermark, __ATOMIC_RELAXED);
}
