#include "frontend/session/nodes_internal.h"
#include "proto/base/metrics.h"

#define HOPS_MAX 3 /* hints followed without a pause */

METRIC_COUNTER(metric_not_leader, "pillarbox_route_not_leader_total",
               "Storage calls that went to a node that does not lead the shard");

static const struct shard_route *route_of(const struct nodes *m, struct shard_id shard)
{
    const struct route_table *t = __atomic_load_n(&m->table, __ATOMIC_ACQUIRE);
    return t != NULL && shard.v < t->n ? &t->shards[shard.v] : NULL;
}

uint32_t nodes_shards(const struct nodes *m)
{
    const struct route_table *t = __atomic_load_n(&m->table, __ATOMIC_ACQUIRE);
    return t == NULL ? 0 : t->n;
}

static uint64_t shard_term(const struct nodes *m, struct shard_id shard)
{
    const struct shard_route *r = route_of(m, shard);
    return r == NULL ? 0 : __atomic_load_n(&r->term, __ATOMIC_ACQUIRE);
}

static uint32_t shard_slot(const struct nodes *m, struct shard_id shard)
{
    const struct shard_route *r = route_of(m, shard);
    return r == NULL ? SLOT_NONE : __atomic_load_n(&r->slot, __ATOMIC_ACQUIRE);
}

bool nodes_may_lead(const struct nodes *m, unsigned slot, struct shard_id shard)
{
    uint32_t s = shard_slot(m, shard);
    return s == slot || s == SLOT_NONE;
}

static void node_release(struct node *n)
{
    (void)__atomic_sub_fetch(&n->users, 1, __ATOMIC_SEQ_CST);
}

static bool node_hold(struct node *n)
{
    (void)__atomic_add_fetch(&n->users, 1, __ATOMIC_SEQ_CST);
    if (node_state(n) == NODE_LIVE) {
        return true;
    }
    node_release(n);
    return false;
}

static bool take_slot(struct nodes *m, struct node_route *r, uint32_t slot, bool doubtful)
{
    if (slot >= NODES_MAX || (r->tried >> slot & 1) != 0) {
        return false;
    }
    struct node *n = &m->nodes[slot];
    if (!node_hold(n)) {
        return false;
    }
    bool circuit = __atomic_load_n(&n->circuit, __ATOMIC_ACQUIRE);
    if (!node_routable(n) || !rpc_client_connected(n->client) || (circuit && !doubtful)) {
        node_release(n);
        return false;
    }
    r->slot = slot;
    r->client = n->client;
    r->doubtful = circuit;
    return true;
}

static bool take_any(struct nodes *m, struct node_route *r, bool doubtful)
{
    unsigned used = nodes_used(m);
    unsigned first = __atomic_fetch_add(&m->turn, 1, __ATOMIC_RELAXED);
    for (unsigned i = 0; i < used; i++) {
        if (take_slot(m, r, (first + i) % used, doubtful)) {
            return true;
        }
    }
    return false;
}

enum err nodes_take(struct nodes *m, struct node_route *r)
{
    uint64_t term = shard_term(m, r->shard);
    uint32_t leader = shard_slot(m, r->shard);
    if (term != r->term) {
        r->tried = 0; /* what they said was about another leadership */
        r->term = term;
    }
    if ((r->hint != 0 && take_slot(m, r, r->hint - 1, false)) || take_slot(m, r, leader, false) ||
        take_any(m, r, false) || take_slot(m, r, leader, true) || take_any(m, r, true)) {
        r->hint = 0;
        return OK;
    }
    r->tried = 0;
    r->hint = 0;
    nodes_poke(m);
    return ERR_UNAVAILABLE;
}

void nodes_give(struct nodes *m, struct node_route *r)
{
    r->client = NULL;
    node_release(&m->nodes[r->slot]);
}

/* A hint to a node that was tried already is not followed at once; but it may be tried again after the pause. */
static bool hint_follow(struct nodes *m, struct node_route *r, uint64_t hint)
{
    uint32_t slot = nodes_slot_of(m, hint);
    if (slot == SLOT_NONE || slot == r->slot) {
        return false;
    }
    if ((r->tried >> slot & 1) != 0 || r->hops >= HOPS_MAX) {
        r->tried &= ~(UINT64_C(1) << slot);
        return false;
    }
    r->hint = slot + 1;
    r->hops++;
    return true;
}

bool nodes_failed(struct nodes *m, struct node_route *r, enum err e, uint64_t hint)
{
    r->hint = 0;
    if (e == ERR_OVERLOAD) {
        return false; /* the right one, later */
    }
    if (e == ERR_NOT_LEADER) {
        metric_inc(&metric_not_leader);
    }
    nodes_poke(m);
    r->tried |= UINT64_C(1) << r->slot;
    if (e == ERR_NOT_LEADER && hint_follow(m, r, hint)) {
        return true;
    }
    r->hops = 0;
    return false;
}

bool nodes_alone(const struct nodes *m)
{
    return nodes_used(m) <= 1;
}

bool nodes_lost(const struct nodes *m, const struct node_route *r)
{
    const struct node *n = &m->nodes[r->slot];
    if (node_state(n) != NODE_LIVE || (!r->doubtful && __atomic_load_n(&n->circuit, __ATOMIC_ACQUIRE))) {
        return true;
    }
    uint64_t term = shard_term(m, r->shard); /* before the slot, which is then no older */
    uint32_t leader = shard_slot(m, r->shard);
    return term > r->term && leader != SLOT_NONE && leader != r->slot;
}

bool nodes_ready(const struct nodes *m)
{
    unsigned used = nodes_used(m);
    struct nodes *held = (struct nodes *)m; /* only the user count changes */
    for (unsigned i = 0; i < used; i++) {
        struct node *n = &held->nodes[i];
        if (!node_hold(n)) {
            continue;
        }
        bool good = __atomic_load_n(&n->knows_leader, __ATOMIC_ACQUIRE) &&
                    !__atomic_load_n(&n->circuit, __ATOMIC_ACQUIRE) && rpc_client_connected(n->client);
        node_release(n);
        if (good) {
            return true;
        }
    }
    return false;
}

void nodes_poke(struct nodes *m)
{
    if (__atomic_exchange_n(&m->poked, true, __ATOMIC_ACQ_REL)) {
        return;
    }
    (void)pthread_mutex_lock(&m->lock);
    (void)pthread_cond_signal(&m->wake);
    (void)pthread_mutex_unlock(&m->lock);
}
