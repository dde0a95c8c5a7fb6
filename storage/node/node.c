#include "storage/node/leaders.h"
#include "storage/node/leftovers.h"
#include "storage/node/node.h"

#include <stdio.h>

#include "proto/base/log.h"
#include "proto/base/mem.h"
#include "proto/base/metrics.h"
#include "storage/mailbox/read_cache.h"
#include "storage/method/pop3_locks.h"
#include "storage/node/courier.h"
#include "storage/node/moves.h"
#include "storage/node/linear.h"
#include "storage/node/node_internal.h"
#include "storage/node/node_table.h"
#include "storage/node/others.h"
#include "storage/node/peers.h"

#define CACHE_BYTES ((size_t)64 * 1024 * 1024)
#define URLS_MAX 16
METRIC_COUNTER_L(metric_reads, "pillarbox_rpc_requests_total", "RPC requests received", "kind=\"read\"");
METRIC_COUNTER_L(metric_writes, "pillarbox_rpc_requests_total", "RPC requests received", "kind=\"write\"");

/* --- requests, on the threads of rpc/server.h --- */

static void on_request(void *user, struct rpc_request *r)
{
    struct node *n = user;
    const struct method_info *info = method_info(r->head.method);
    if (info == NULL || r->head.shard.v >= n->n_shards) {
        rpc_request_reply(r, info == NULL ? ERR_UNSUPPORTED : ERR_NOTFOUND, 0, slice_str(""), slice_str(""));
        return;
    }
    metric_inc(info->write ? &metric_writes : &metric_reads);
    if (!info->write && storage_method_local(r->head.method)) {
        readers_submit(n->readers, r);
    } else if (!info->write || propose_needs_check(r)) { /* what is looked at must be the latest */
        linear_submit(n, r);
    } else {
        propose_request(n, r);
    }
}

/* --- shards --- */

static enum err shard_apply(void *ctx, struct kv_txn *txn, struct repl_position pos, struct slice data,
                            uint32_t body_bytes, struct buf *result)
{
    struct node_shard *s = ctx;
    return s->inner.apply(s->inner.ctx, txn, pos, data, body_bytes, result);
}

static void shard_committed(void *ctx)
{
    struct node_shard *s = ctx;
    s->inner.committed(s->inner.ctx);
    list_remove(&s->dirty);
    list_push_back(&s->node->dirty, &s->dirty);
    s->node->directory_changed = s->node->directory_changed || s->id.v == 0;
}

static void shard_moved(void *ctx, const uint8_t prefix[5])
{
    struct node_shard *s = ctx;
    storage_fsm_set_prefix(s->fsm, prefix);
    s->node->directory_changed = s->node->directory_changed || s->id.v == 0;
}

static void shard_aborted(void *ctx)
{
    struct node_shard *s = ctx;
    s->inner.aborted(s->inner.ctx);
}

static enum err shard_staged(void *ctx, struct kv_txn *txn, uint64_t index, uint32_t bytes)
{
    struct node_shard *s = ctx;
    return s->inner.staged(s->inner.ctx, txn, index, bytes);
}

static enum err shard_open(struct node *n, uint32_t number, uint64_t dedupe_ms)
{
    struct node_shard *s = &n->shards[number];
    struct storage_fsm_config cfg = {.shard = {number}, .dedupe_ms = dedupe_ms};
    struct repl_fsm fsm = {.ctx = s,
                           .apply = shard_apply,
                           .committed = shard_committed,
                           .aborted = shard_aborted,
                           .staged = shard_staged,
                           .moved = shard_moved};
    s->node = n;
    s->id.v = number;
    list_init(&s->dirty);
    enum err e = storage_fsm_new(&cfg, &s->fsm);
    if (e != OK) {
        return e;
    }
    storage_fsm_bind(s->fsm, &s->inner);
    e = n->identity.node.v == 1 ? volume_replica_open(n->volume, s->id, n->identity.node, &fsm)
                                : volume_replica_join(n->volume, s->id, n->identity.node, &fsm);
    uint8_t prefix[5];
    if (e == OK) {
        e = volume_state_prefix(n->volume, s->id, prefix);
    }
    if (e == OK) {
        storage_fsm_set_prefix(s->fsm, prefix);
    }
    return e;
}

static enum err shards_open(struct node *n, const struct node_config *cfg, struct buf *why)
{
    n->n_shards = n->identity.shards + 1;
    n->shards = mem_calloc(n->n_shards, sizeof(*n->shards));
    enum err e = n->shards == NULL ? ERR_NOMEM : node_store_check(n, why);
    for (uint32_t i = 0; e == OK && i < n->n_shards; i++) {
        e = shard_open(n, i, cfg->dedupe_ms);
    }
    return e;
}

/* --- what the read methods ask (storage/method/node_info.h) --- */

static void facts(void *ctx, struct node_facts *out)
{
    const struct node *n = ctx;
    struct volume_stats stats;
    volume_stats(n->volume, &stats);
    *out = (struct node_facts){
        .id = n->identity.node,
        .cluster_id = n->identity.cluster,
        .uptime_ms = clock_mono_ms(n->clock) - n->started_ms,
        .wall_ms = clock_wall_ms(n->clock),
        .shards = n->identity.shards,
        .level = level_known(n),
        .read_only = stats.above_watermark,
    };
}

static void shard_info(void *ctx, struct shard_id shard, struct node_shard_info *out)
{
    struct node *n = ctx;
    memset(out, 0, sizeof(*out));
    uint64_t term;
    out->leads = volume_leads(n->volume, shard, &term);
    (void)leaders_get(n->leaders, shard, &out->term);
    out->applied = volume_applied(n->volume, shard);
    out->here = volume_state_prefix(n->volume, shard, out->prefix) == OK;
}

static struct node_id shard_leader(void *ctx, struct shard_id shard)
{
    const struct node *n = ctx;
    return leaders_get(n->leaders, shard, NULL);
}

_Static_assert(RAFT_SERVERS_MAX <= NODE_GROUP_SERVERS_MAX, "a group fits into what is told of it");

static bool shard_group(void *ctx, struct shard_id shard, struct node_group_info *out)
{
    struct volume_status st;
    memset(out, 0, sizeof(*out));
    if (!placement_seen(ctx, shard, &st, &out->settled)) {
        return false;
    }
    out->term = st.term;
    out->log_first = st.log_first;
    out->log_last = st.log_last;
    out->leader = st.leader;
    out->n = st.n_servers;
    for (size_t i = 0; i < st.n_servers; i++) {
        out->servers[i].node = st.servers[i].node;
        out->servers[i].voter = st.servers[i].role == RAFT_ROLE_VOTER;
        out->servers[i].behind = st.log_last > st.match[i] ? st.log_last - st.match[i] : 0;
    }
    return true;
}

/* --- start and stop --- */

static enum err rpc_open(struct node *n, const struct node_config *cfg, struct buf *why)
{
    char socket[1100];
    const char *urls[URLS_MAX + 1];
    size_t count = 0;
    snprintf(socket, sizeof(socket), "ipc://%s/ctl.sock", n->data_dir);
    urls[count++] = socket;
    for (size_t i = 0; i < cfg->n_rpc_urls && count < URLS_MAX; i++) {
        urls[count++] = cfg->rpc_urls[i];
    }
    struct rpc_server_config rc = {.urls = urls,
                                   .n_urls = count,
                                   .pub_urls = cfg->pub_urls,
                                   .n_pub_urls = cfg->n_pub_urls,
                                   .user = n,
                                   .on_request = on_request,
                                   .tls = cfg->rpc_tls};
    return rpc_server_open(&rc, &n->rpc, why);
}

static enum err level_check(const struct node *n, struct buf *why)
{
    uint32_t level = node_table_cluster(n).level;
    if (level <= LEVEL_NOW) {
        return OK;
    }
    enum err e = buf_printf(why, "%s: the cluster is at level %u, this program knows %d: run a newer version",
                            n->data_dir, level, LEVEL_NOW);
    (void)e; /* a courtesy */
    return ERR_UNSUPPORTED;
}

static enum err parts_start(struct node *n, const struct node_config *cfg, struct buf *why)
{
    enum err e = node_dir_open(n->data_dir, cfg->shards, &n->identity, why);
    if (e == OK) {
        n->made = n->identity.made;
        e = node_store_open(n, cfg, why);
    }
    if (e == OK) {
        e = shards_open(n, cfg, why);
    }
    if (e == OK) {
        e = node_table_new(n, &n->table);
    }
    if (e == OK) {
        node_table_refresh(n);
        e = level_check(n, why);
    }
    if (e == OK) {
        e = read_cache_new(CACHE_BYTES, &n->cache);
    }
    if (e == OK) {
        e = pop3_locks_new(&n->pop3);
    }
    if (e == OK) {
        e = readers_open(n, cfg->readers == 0 ? 2 : cfg->readers, &n->readers);
    }
    if (e == OK) {
        e = linear_open(n);
    }
    if (e == OK) {
        e = away_new(cfg->replace_after_ms, &n->away);
    }
    if (e == OK) {
        e = leaders_new(n, &n->leaders);
    }
    if (e == OK) {
        e = leftovers_new(n, &n->leftovers);
    }
    if (e == OK) {
        e = others_open(n, cfg, &n->others);
    }
    if (e == OK) {
        e = placement_new(n, &n->placement);
    }
    if (e == OK) {
        e = courier_new(n, &n->courier);
    }
    if (e == OK) {
        e = moves_new(n, &n->moves);
    }
    if (e == OK) {
        e = peers_open(n, cfg, &n->peers, why);
        peers_follow_table(n->peers);
    }
    if (e == OK) {
        e = rpc_open(n, cfg, why); /* from here on requests come: what they reach is there, if not yet running */
    }
    if (e == OK) {
        e = writer_start(n);
    }
    if (e == OK) {
        upkeep_first(n);
    }
    if (e == OK) {
        e = courier_start(n->courier);
    }
    return e == OK ? moves_start(n->moves) : e;
}

/* Every part that was started, in reverse. */
static void parts_stop(struct node *n)
{
    if (n->rpc != NULL) {
        rpc_server_stop(n->rpc);
    }
    if (n->reads_rounds != NULL) {
        linear_stop(n);
    }
    if (n->readers != NULL) {
        readers_close(n->readers);
    }
    if (n->moves != NULL) {
        moves_stop(n->moves);
    }
    if (n->courier != NULL) {
        courier_stop(n->courier);
    }
    writer_stop(n);
    peers_stop(n->peers);
    linear_close(n);
    others_close(n->others);
    leaders_free(n->leaders);
    leftovers_free(n->leftovers);
    mem_free(n->away);
    if (n->rpc != NULL) {
        rpc_server_close(n->rpc);
    }
    if (n->courier != NULL) {
        courier_free(n->courier);
    }
    mem_free(n->moves);
    if (n->volume != NULL) {
        volume_close(n->volume);
    }
    peers_close(n->peers);
    if (n->placement != NULL) {
        placement_free(n->placement);
    }
    for (uint32_t i = 0; n->shards != NULL && i < n->n_shards; i++) {
        if (n->shards[i].fsm != NULL) {
            storage_fsm_free(n->shards[i].fsm);
        }
    }
    mem_free(n->shards);
    if (n->table != NULL) {
        node_table_free(n->table);
    }
    if (n->pop3 != NULL) {
        pop3_locks_free(n->pop3);
    }
    if (n->cache != NULL) {
        read_cache_free(n->cache);
    }
    if (n->kv != NULL) {
        kv_close(n->kv);
    }
    pthread_cond_destroy(&n->inbox_wake);
    pthread_mutex_destroy(&n->inbox_lock);
    mem_free(n);
}

static bool take(char *out, size_t n, const char *from)
{
    return snprintf(out, n, "%s", from == NULL ? "" : from) < (int)n;
}

static enum err names_take(struct node *n, const struct node_config *cfg)
{
    bool fits = take(n->data_dir, sizeof(n->data_dir), cfg->data_dir) &&
                take(n->peer_address, sizeof(n->peer_address), cfg->peer_address) &&
                take(n->rpc_address, sizeof(n->rpc_address), cfg->rpc_address) &&
                take(n->events_address, sizeof(n->events_address), cfg->events_address);
    return fits ? OK : ERR_LIMIT;
}

enum err node_start(const struct node_config *cfg, struct node **out, struct buf *why)
{
    struct node *n = mem_zalloc(sizeof(*n));
    if (n == NULL) {
        return ERR_NOMEM;
    }
    n->clock = clock_system();
    n->rng = rng_system();
    n->started_ms = clock_mono_ms(n->clock);
    n->reserve_bytes = cfg->reserve_bytes;
    n->level_max = cfg->level_max;
    n->undelete_retention_ms = cfg->undelete_retention_ms;
    n->info =
        (struct node_info){.ctx = n, .facts = facts, .shard = shard_info, .leader = shard_leader, .group = shard_group};
    n->hint_epoch = rng_u64(n->rng);
    queue_init(&n->inbox);
    queue_init(&n->received);
    queue_init(&n->pulls);
    list_init(&n->dirty);
    pthread_mutex_init(&n->inbox_lock, NULL);
    pthread_cond_init(&n->inbox_wake, NULL);
    enum err e = names_take(n, cfg);
    if (e != OK) {
        mem_free(n);
        return e;
    }
    e = parts_start(n, cfg, why);
    if (e != OK) {
        if (why->len == 0) {
            enum err ignored = buf_append_str(why, err_text(e));
            (void)ignored; /* a courtesy */
        }
        parts_stop(n);
        return e;
    }
    *out = n;
    return OK;
}

void node_stop(struct node *n)
{
    parts_stop(n);
}

bool node_ready(const struct node *n)
{
    for (uint32_t i = 0; i < n->n_shards; i++) {
        uint64_t term;
        uint64_t leader = leaders_get(n->leaders, n->shards[i].id, NULL).v;
        bool follows = leader != 0 && leader != n->identity.node.v;
        if (!follows && !volume_leads(n->volume, n->shards[i].id, &term)) {
            return false;
        }
    }
    return true;
}
