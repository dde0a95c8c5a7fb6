#include "storage/node/leaders.h"

#include "proto/base/assert.h"
#include "proto/base/mem.h"
#include "proto/schema/read.pb-c.h"
#include "storage/mailbox/pb.h"
#include "storage/node/node_table.h"
#include "storage/node/others.h"

#define ASK_MS 2000
#define VALID_MS 5000
#define LEVEL_VALID_MS 20000 /* each node is asked once in as many seconds as there are nodes */
#define ARENA_BYTES ((size_t)1 << 20)

struct heard {
    struct node_id leader;
    uint64_t term;
    uint64_t until_ms;
};

struct level {
    struct node_id node;
    uint8_t level;
    uint64_t until_ms;
};

struct leaders {
    struct node *node;
    pthread_mutex_t lock; /* heard, levels, asking */
    struct level levels[DIR_NODES_LIVE_MAX];
    bool asking;
    struct rpc_call call;
    size_t turn; /* who is asked next */
    struct heard heard[];
};

enum err leaders_new(struct node *n, struct leaders **out)
{
    struct leaders *l = mem_zalloc(sizeof(*l) + n->n_shards * sizeof(l->heard[0]));
    if (l == NULL) {
        return ERR_NOMEM;
    }
    l->node = n;
    ASSERT(pthread_mutex_init(&l->lock, NULL) == 0);
    *out = l;
    return OK;
}

void leaders_free(struct leaders *l)
{
    if (l == NULL) {
        return;
    }
    ASSERT(!l->asking);
    ASSERT(pthread_mutex_destroy(&l->lock) == 0);
    mem_free(l);
}

static void take(struct leaders *l, const Pb__ReadMapResult *map)
{
    uint64_t until = clock_mono_ms(l->node->clock) + VALID_MS;
    size_t n = map->n_leaders < map->n_terms ? map->n_leaders : map->n_terms;
    n = n < l->node->n_shards ? n : l->node->n_shards;
    for (size_t i = 0; i < n; i++) {
        struct heard *h = &l->heard[i];
        if (map->leaders[i] != 0 && map->terms[i] >= h->term) {
            *h = (struct heard){{map->leaders[i]}, map->terms[i], until};
        }
    }
}

/* The oldest word gives way. */
static void take_level(struct leaders *l, const Pb__ReadMapResult *map)
{
    struct level *at = &l->levels[0];
    for (size_t i = 0; i < DIR_NODES_LIVE_MAX; i++) {
        struct level *v = &l->levels[i];
        if (v->node.v == map->node) {
            at = v;
            break;
        }
        at = v->until_ms < at->until_ms ? v : at;
    }
    uint32_t level = map->level != 0 ? map->level : LEVEL_FIRST;
    *at = (struct level){.node = {map->node},
                         .level = level < UINT8_MAX ? (uint8_t)level : UINT8_MAX,
                         .until_ms = clock_mono_ms(l->node->clock) + LEVEL_VALID_MS};
}

static void answered(struct rpc_call *call)
{
    struct leaders *l = call->user;
    struct arena arena;
    ProtobufCMessage *map;
    arena_init(&arena, ARENA_BYTES);
    bool good = call->status == OK && call->reply.head.status == OK &&
                pb_unpack(&pb__read_map_result__descriptor, call->reply.meta, &arena, &map) == OK;
    ASSERT(pthread_mutex_lock(&l->lock) == 0);
    if (good) {
        take(l, (const Pb__ReadMapResult *)(const void *)map);
        take_level(l, (const Pb__ReadMapResult *)(const void *)map);
    }
    l->asking = false;
    ASSERT(pthread_mutex_unlock(&l->lock) == 0);
    rpc_reply_fini(&call->reply);
    arena_fini(&arena);
}

/* Members hear of their leader five times a second. */
static bool misses_any(const struct leaders *l)
{
    for (uint32_t i = 0; i < l->node->n_shards; i++) {
        if (volume_leader(l->node->volume, l->node->shards[i].id).v == 0) {
            return true;
        }
    }
    return false;
}

/* Each member of the cluster in turn. 0: there is none but this node. */
static struct node_id next_to_ask(struct leaders *l)
{
    struct node_table_row rows[DIR_NODES_ROWS_MAX];
    size_t n = node_table_list(l->node, rows, DIR_NODES_ROWS_MAX);
    for (size_t i = 0; i < n; i++) {
        const struct node_table_row *r = &rows[l->turn++ % n];
        if (!r->removed && r->claimed && r->id.v != l->node->identity.node.v) {
            return r->id;
        }
    }
    return (struct node_id){0};
}

void leaders_tick(struct leaders *l)
{
    struct node_id to = misses_any(l) || level_is_due(l->node) ? next_to_ask(l) : (struct node_id){0};
    if (to.v == 0) {
        return;
    }
    ASSERT(pthread_mutex_lock(&l->lock) == 0);
    bool busy = l->asking;
    l->asking = true;
    ASSERT(pthread_mutex_unlock(&l->lock) == 0);
    if (busy) {
        return;
    }
    l->call = (struct rpc_call){.head = {.method = METHOD_MAP,
                                         .request_id = rng_u128(l->node->rng),
                                         .issue_ms = clock_wall_ms(l->node->clock),
                                         .budget_ms = ASK_MS},
                                .timeout_ms = ASK_MS,
                                .done = answered,
                                .user = l};
    if (others_send_to(l->node->others, to, &l->call) != OK) {
        ASSERT(pthread_mutex_lock(&l->lock) == 0);
        l->asking = false;
        ASSERT(pthread_mutex_unlock(&l->lock) == 0);
    }
}

struct node_id leaders_get(struct leaders *l, struct shard_id shard, uint64_t *out_term)
{
    const struct node *n = l->node;
    struct node_id own = volume_leader(n->volume, shard);
    uint64_t own_term = volume_term(n->volume, shard);
    struct heard h = {.term = 0};
    if (shard.v < n->n_shards) {
        ASSERT(pthread_mutex_lock(&l->lock) == 0);
        h = l->heard[shard.v];
        ASSERT(pthread_mutex_unlock(&l->lock) == 0);
    }
    bool other =
        own.v == 0 && h.term >= own_term && h.leader.v != n->identity.node.v && clock_mono_ms(n->clock) < h.until_ms;
    if (out_term != NULL) {
        *out_term = other ? h.term : own_term;
    }
    return other ? h.leader : own;
}

uint8_t leaders_level(struct leaders *l, struct node_id node)
{
    uint8_t level = 0;
    ASSERT(pthread_mutex_lock(&l->lock) == 0);
    for (size_t i = 0; i < DIR_NODES_LIVE_MAX; i++) {
        const struct level *v = &l->levels[i];
        if (v->node.v == node.v && clock_mono_ms(l->node->clock) < v->until_ms) {
            level = v->level;
        }
    }
    ASSERT(pthread_mutex_unlock(&l->lock) == 0);
    return level;
}
