/* What an answer says about the cluster. Refresh thread. */
#include <string.h>

#include "frontend/session/backend_internal.h"
#include "frontend/session/nodes_internal.h"
#include "proto/base/clock.h"
#include "proto/base/log.h"
#include "proto/base/mem.h"
#include "proto/base/metrics.h"

#define TOLD_MS 10000
#define WHY_BYTES_MAX 512

METRIC_COUNTER(metric_routes, "pillarbox_route_changes_total", "Shards that another node was seen to lead");

/* --- nodes --- */

static void open_failed(struct nodes *m, const Pb__NodeRow *row, enum err e, const struct buf *why)
{
    uint64_t now = clock_mono_ms(clock_system());
    if (m->open_told_ms != 0 && now - m->open_told_ms < TOLD_MS) {
        return;
    }
    m->open_told_ms = now;
    log_warn("frontend.node", "a node's addresses cannot be used", LOG_U64("node", row->node), LOG_STR("rpc", row->rpc),
             LOG_STR("events", row->events), LOG_SLICE("why", buf_slice(why)), LOG_ERR(e));
}

/* The slot with the row's own address, or the seed in this process, which needs none. */
static struct node *seed_of(struct nodes *m, const Pb__NodeRow *row)
{
    for (unsigned i = 0; i < m->n_slots; i++) {
        struct node *n = &m->nodes[i];
        if (node_state(n) != NODE_LIVE || n->listed) {
            continue;
        }
        if (strcmp(n->rpc, row->rpc) == 0 || (n->id == row->node && (row->rpc[0] == '\0' || node_is_inproc(n)))) {
            return n;
        }
    }
    return NULL;
}

/* Opens what is not open yet; what failed is tried again with the next answer. */
static void row_use(struct nodes *m, struct node *n, const Pb__NodeRow *row)
{
    struct buf why;
    enum err e = OK;
    buf_init(&why, WHY_BYTES_MAX);
    if (n == NULL) {
        e = row->rpc[0] == '\0' ? ERR_INVAL : node_open(m, row->rpc, &n, &why);
    }
    if (e == OK) {
        __atomic_store_n(&n->id, row->node, __ATOMIC_RELEASE);
        __atomic_store_n(&n->listed, true, __ATOMIC_RELEASE);
        e = node_subscribe(n, row->events[0] == '\0' ? m->events_url : row->events, &why);
    }
    if (e != OK) {
        open_failed(m, row, e, &why);
    }
    buf_fini(&why);
}

static struct node *listed_of(struct nodes *m, uint64_t id)
{
    for (unsigned i = 0; i < m->n_slots; i++) {
        struct node *n = &m->nodes[i];
        if (node_state(n) == NODE_LIVE && n->listed && n->id == id) {
            return n;
        }
    }
    return NULL;
}

static bool rpc_moved(const struct node *n, const Pb__NodeRow *row)
{
    return !node_is_inproc(n) && row->rpc[0] != '\0' && strcmp(n->rpc, row->rpc) != 0;
}

static bool events_moved(const struct node *n, const Pb__NodeRow *row)
{
    return n->events == NULL || (!node_is_inproc(n) && row->events[0] != '\0' && strcmp(n->events, row->events) != 0);
}

/* Ids are never used again, so what is removed stays so, whoever says it. A moved address is taken from the directory's
 * leader only: others may be behind. */
static void row_absorb(struct nodes *m, const Pb__NodeRow *row, bool authority)
{
    struct node *n = listed_of(m, row->node);
    if (row->removed) {
        if (n != NULL && !node_is_inproc(n)) {
            node_retire(n);
        }
        return;
    }
    if (n == NULL) {
        row_use(m, seed_of(m, row), row);
    } else if (authority && rpc_moved(n, row)) {
        node_retire(n);
        row_use(m, seed_of(m, row), row);
    } else if (n->events == NULL || (authority && events_moved(n, row))) {
        row_use(m, n, row);
    }
}

static void rows_absorb(struct nodes *m, const Pb__ReadMapResult *map)
{
    bool authority = map->n_leaders > 0 && map->node != 0 && map->leaders[0] == map->node;
    for (size_t i = 0; i < map->n_nodes; i++) {
        if (map->nodes[i]->node != 0) {
            row_absorb(m, map->nodes[i], authority);
        }
    }
    bool usable = false;
    for (unsigned i = 0; i < m->n_slots; i++) {
        usable = usable || (node_state(&m->nodes[i]) == NODE_LIVE && m->nodes[i].listed);
    }
    __atomic_store_n(&m->rows, usable, __ATOMIC_RELEASE);
    for (unsigned i = 0; usable && i < m->n_slots; i++) {
        if (node_state(&m->nodes[i]) == NODE_LIVE && !m->nodes[i].listed) {
            node_unsubscribe(&m->nodes[i]); /* a seed that only finds the others */
        }
    }
}

/* --- shards --- */

static bool table_make(struct nodes *m, const Pb__ReadMapResult *map)
{
    if (m->table != NULL || map->n_leaders == 0 || map->n_leaders > NODES_SHARDS_MAX) {
        return m->table != NULL;
    }
    uint32_t n = (uint32_t)map->n_leaders;
    struct route_table *t = mem_zalloc(sizeof(*t) + n * sizeof(t->shards[0]));
    if (t == NULL) {
        return false;
    }
    t->n = n;
    for (uint32_t i = 0; i < n; i++) {
        t->shards[i].slot = SLOT_NONE;
    }
    __atomic_store_n(&m->table, t, __ATOMIC_RELEASE);
    return true;
}

/* Within a term only one node can lead: an answer that knows it is better than one that does not. While nobody knows
 * the new leader, the old one may still be it, or name it. */
static uint64_t shard_absorb(struct shard_route *r, uint64_t term, uint64_t leader)
{
    if (term < r->term) {
        return r->term;
    }
    r->leader = leader != 0 ? leader : r->leader;
    return term;
}

static void shards_absorb(struct nodes *m, const Pb__ReadMapResult *map)
{
    struct route_table *t = m->table;
    for (uint32_t i = 0; i < t->n; i++) {
        struct shard_route *r = &t->shards[i];
        uint64_t term = r->term;
        if (i < map->n_leaders) {
            term = shard_absorb(r, i < map->n_terms ? map->terms[i] : 0, map->leaders[i]);
        }
        uint32_t slot = nodes_slot_of(m, r->leader);
        if (slot != r->slot) {
            __atomic_store_n(&r->slot, slot, __ATOMIC_RELEASE);
            metric_inc(&metric_routes);
            m->cfg.ops->on_leader(m->cfg.user, (struct shard_id){i});
        }
        __atomic_store_n(&r->term, term, __ATOMIC_RELEASE);
    }
}

static bool cluster_is_ours(struct nodes *m, const struct node *n, const Pb__ReadMapResult *map)
{
    if (map->cluster_id.len != sizeof(m->cluster.b)) {
        return true;
    }
    if (!m->cluster_known) {
        memcpy(m->cluster.b, map->cluster_id.data, sizeof(m->cluster.b));
        m->cluster_known = true;
    }
    bool ours = memcmp(m->cluster.b, map->cluster_id.data, sizeof(m->cluster.b)) == 0;
    if (!ours && !m->cluster_told) {
        m->cluster_told = true;
        log_error("frontend.cluster", "a node belongs to another cluster; its answers are ignored",
                  LOG_STR("rpc", n->rpc));
    }
    return ours;
}

void nodes_absorb(struct nodes *m, struct node *n, struct slice answer, struct arena *arena)
{
    ProtobufCAllocator alloc = backend_allocator(arena);
    const Pb__ReadMapResult *map = pb__read_map_result__unpack(&alloc, answer.n, answer.p);
    if (map != NULL && cluster_is_ours(m, n, map)) {
        if (!n->listed) {
            __atomic_store_n(&n->id, map->node, __ATOMIC_RELEASE);
        }
        if (map->n_nodes > 0) {
            rows_absorb(m, map);
        }
        if (table_make(m, map)) {
            shards_absorb(m, map);
        }
        __atomic_store_n(&n->knows_leader, map->n_leaders > 0 && map->leaders[0] != 0, __ATOMIC_RELEASE);
    }
    arena_reset(arena);
}
