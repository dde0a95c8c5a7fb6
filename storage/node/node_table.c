#include "storage/node/node_table.h"

#include <stdio.h>

#include "proto/base/hash.h"
#include "proto/base/log.h"
#include "proto/base/mem.h"
#include "storage/node/node_internal.h"

#define ARENA_BYTES ((size_t)4 << 20)

struct content {
    size_t n;
    struct dir_cluster cluster;
    struct node_table_row rows[DIR_NODES_ROWS_MAX]; /* compared as a whole: what is not used is zero */
};

struct node_table {
    pthread_mutex_t refresh; /* one reads at a time, so that an older snapshot never wins; held before `lock` */
    pthread_mutex_t lock;
    uint64_t generation;
    uint8_t level; /* now.cluster.level; atomic */
    struct content now;
    struct content fresh; /* of who refreshes */
    size_t pins_bytes;
    struct node_table_pin *pins; /* by shard */
    struct node_table_pin *fresh_pins;
};

enum err node_table_new(struct node *n, struct node_table **out)
{
    struct node_table *t = mem_zalloc(sizeof(*t));
    if (t == NULL) {
        return ERR_NOMEM;
    }
    t->pins_bytes = n->n_shards * sizeof(t->pins[0]);
    t->pins = mem_zalloc(t->pins_bytes);
    t->fresh_pins = mem_zalloc(t->pins_bytes);
    if (t->pins == NULL || t->fresh_pins == NULL) {
        mem_free(t->fresh_pins);
        mem_free(t->pins);
        mem_free(t);
        return ERR_NOMEM;
    }
    t->now.cluster = (struct dir_cluster){.level = LEVEL_FIRST, .replicas = DIR_REPLICAS_MAX};
    t->level = LEVEL_FIRST;
    pthread_mutex_init(&t->refresh, NULL);
    pthread_mutex_init(&t->lock, NULL);
    *out = t;
    return OK;
}

void node_table_free(struct node_table *t)
{
    pthread_mutex_destroy(&t->refresh);
    pthread_mutex_destroy(&t->lock);
    mem_free(t->fresh_pins);
    mem_free(t->pins);
    mem_free(t);
}

static bool copy(char out[DIR_NODE_ADDRESS_BYTES_MAX + 1], const char *from)
{
    int n = snprintf(out, DIR_NODE_ADDRESS_BYTES_MAX + 1, "%s", from);
    return n >= 0 && n <= DIR_NODE_ADDRESS_BYTES_MAX;
}

static enum err rows_take(const struct dir_nodes *from, struct node_table_row *out)
{
    for (size_t i = 0; i < from->n; i++) {
        const Pb__NodeRow *r = from->rows[i];
        struct node_table_row *to = &out[i];
        memset(to, 0, sizeof(*to)); /* compared as a whole */
        to->id.v = r->node;
        to->removed = r->removed;
        to->claimed = r->claim.len > 0;
        to->draining = r->draining;
        to->away = r->away;
        to->zone = hash_stable(r->zone, strlen(r->zone));
        if (!copy(to->peer, r->peer) || !copy(to->rpc, r->rpc) || !copy(to->events, r->events)) {
            return ERR_CORRUPT;
        }
    }
    return OK;
}

static void pins_take(const struct node *n, const struct dir_pins *from, struct node_table_pin *out)
{
    memset(out, 0, n->n_shards * sizeof(*out));
    for (size_t i = 0; i < from->n; i++) {
        const Pb__ShardRow *r = from->rows[i];
        if (r->shard >= n->n_shards) {
            continue; /* pinned in vain */
        }
        struct node_table_pin *to = &out[r->shard];
        to->n = r->n_nodes;
        memcpy(to->nodes, r->nodes, r->n_nodes * sizeof(to->nodes[0]));
        to->leader = r->leader;
    }
}

static enum err rows_read(struct node *n, struct store *s, struct arena *arena, struct content *out,
                          struct node_table_pin *out_pins)
{
    struct dir_nodes rows;
    struct dir_pins pins;
    memset(out, 0, sizeof(*out));
    enum err e = dir_nodes_get(s, arena, &rows);
    if (e == OK) {
        e = rows_take(&rows, out->rows);
        out->n = rows.n;
    }
    if (e == OK) {
        e = dir_cluster_get(s, arena, &out->cluster);
    }
    if (e == OK) {
        e = dir_pins_get(s, arena, &pins);
    }
    if (e == OK) {
        pins_take(n, &pins, out_pins);
    }
    return e;
}

static enum err directory_read(struct node *n, struct content *out, struct node_table_pin *out_pins)
{
    struct arena arena;
    struct store s;
    enum err e = kv_begin(n->kv, false, &s.t);
    if (e != OK) {
        return e;
    }
    arena_init(&arena, ARENA_BYTES);
    e = volume_state_prefix(n->volume, (struct shard_id){0}, s.prefix);
    if (e == OK) {
        e = rows_read(n, &s, &arena, out, out_pins);
    }
    arena_fini(&arena);
    kv_abort(s.t);
    return e;
}

static bool is_news(const struct node_table *t)
{
    const struct content *a = &t->fresh;
    const struct content *b = &t->now;
    return a->n != b->n || a->cluster.level != b->cluster.level || a->cluster.replicas != b->cluster.replicas ||
           memcmp(a->rows, b->rows, a->n * sizeof(a->rows[0])) != 0 ||
           memcmp(t->fresh_pins, t->pins, t->pins_bytes) != 0;
}

void node_table_refresh(struct node *n)
{
    struct node_table *t = n->table;
    pthread_mutex_lock(&t->refresh);
    enum err e = directory_read(n, &t->fresh, t->fresh_pins);
    if (e == OK && is_news(t)) {
        pthread_mutex_lock(&t->lock);
        memcpy(&t->now, &t->fresh, sizeof(t->now));
        memcpy(t->pins, t->fresh_pins, t->pins_bytes);
        __atomic_store_n(&t->level, (uint8_t)t->now.cluster.level, __ATOMIC_RELAXED);
        __atomic_add_fetch(&t->generation, 1, __ATOMIC_RELEASE);
        pthread_mutex_unlock(&t->lock);
    }
    pthread_mutex_unlock(&t->refresh);
    if (e != OK) {
        log_warn("node.table", "the node table could not be read; it will be tried again", LOG_ERR(e));
    }
}

enum err node_table_get(const struct node *n, struct node_id id, struct node_table_row *out)
{
    struct node_table *t = n->table;
    enum err e = ERR_NOTFOUND;
    pthread_mutex_lock(&t->lock);
    for (size_t i = 0; i < t->now.n && e != OK; i++) {
        if (t->now.rows[i].id.v == id.v) {
            *out = t->now.rows[i];
            e = OK;
        }
    }
    pthread_mutex_unlock(&t->lock);
    return e;
}

size_t node_table_list(const struct node *n, struct node_table_row *out, size_t max)
{
    struct node_table *t = n->table;
    pthread_mutex_lock(&t->lock);
    size_t count = t->now.n;
    memcpy(out, t->now.rows, (count < max ? count : max) * sizeof(*out));
    pthread_mutex_unlock(&t->lock);
    return count;
}

struct dir_cluster node_table_cluster(const struct node *n)
{
    struct node_table *t = n->table;
    pthread_mutex_lock(&t->lock);
    struct dir_cluster c = t->now.cluster;
    pthread_mutex_unlock(&t->lock);
    return c;
}

uint8_t node_table_level(const struct node *n)
{
    return __atomic_load_n(&n->table->level, __ATOMIC_RELAXED);
}

void node_table_pins(const struct node *n, struct node_table_pin *out)
{
    struct node_table *t = n->table;
    pthread_mutex_lock(&t->lock);
    memcpy(out, t->pins, t->pins_bytes);
    pthread_mutex_unlock(&t->lock);
}

uint64_t node_table_generation(const struct node *n)
{
    return __atomic_load_n(&n->table->generation, __ATOMIC_ACQUIRE);
}
