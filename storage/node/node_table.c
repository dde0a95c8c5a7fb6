#include "storage/node/node_table.h"

#include <stdio.h>

#include "proto/base/hash.h"
#include "proto/base/log.h"
#include "proto/base/mem.h"
#include "storage/node/node_internal.h"

#define ARENA_BYTES ((size_t)4 << 20)

struct node_table {
    pthread_mutex_t refresh; /* one reads at a time, so that an older snapshot never wins; held before `lock` */
    pthread_mutex_t lock;
    uint64_t generation;
    size_t n;
    struct node_table_row rows[DIR_NODES_ROWS_MAX];
    struct node_table_row fresh[DIR_NODES_ROWS_MAX]; /* of who refreshes */
};

enum err node_table_new(struct node *n, struct node_table **out)
{
    struct node_table *t = mem_zalloc(sizeof(*t));
    (void)n;
    if (t == NULL) {
        return ERR_NOMEM;
    }
    pthread_mutex_init(&t->refresh, NULL);
    pthread_mutex_init(&t->lock, NULL);
    *out = t;
    return OK;
}

void node_table_free(struct node_table *t)
{
    pthread_mutex_destroy(&t->refresh);
    pthread_mutex_destroy(&t->lock);
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

static enum err rows_read(struct node *n, struct node_table_row *out, size_t *out_n)
{
    struct arena arena;
    struct dir_nodes rows;
    struct store s;
    enum err e = kv_begin(n->kv, false, &s.t);
    if (e != OK) {
        return e;
    }
    arena_init(&arena, ARENA_BYTES);
    e = volume_state_prefix(n->volume, (struct shard_id){0}, s.prefix);
    if (e == OK) {
        e = dir_nodes_get(&s, &arena, &rows);
    }
    if (e == OK) {
        e = rows_take(&rows, out);
    }
    if (e == OK) {
        *out_n = rows.n;
    }
    arena_fini(&arena);
    kv_abort(s.t);
    return e;
}

void node_table_refresh(struct node *n)
{
    struct node_table *t = n->table;
    size_t count = 0;
    pthread_mutex_lock(&t->refresh);
    enum err e = rows_read(n, t->fresh, &count);
    size_t bytes = count * sizeof(t->fresh[0]);
    if (e == OK && (count != t->n || memcmp(t->fresh, t->rows, bytes) != 0)) {
        pthread_mutex_lock(&t->lock);
        memcpy(t->rows, t->fresh, bytes);
        t->n = count;
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
    for (size_t i = 0; i < t->n && e != OK; i++) {
        if (t->rows[i].id.v == id.v) {
            *out = t->rows[i];
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
    size_t count = t->n;
    memcpy(out, t->rows, (count < max ? count : max) * sizeof(*out));
    pthread_mutex_unlock(&t->lock);
    return count;
}

uint64_t node_table_generation(const struct node *n)
{
    return __atomic_load_n(&n->table->generation, __ATOMIC_ACQUIRE);
}
