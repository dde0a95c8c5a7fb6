#include "frontend/net/ip_limit.h"

#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#include "proto/base/assert.h"
#include "proto/base/hash.h"
#include "proto/base/hmap.h"
#include "proto/base/mem.h"

#define SHARDS 64
#define KEY_BYTES 9 /* family, then the address or its /64 */

struct entry {
    struct hmap_node node;
    uint8_t key[KEY_BYTES];
    unsigned count;
};

struct shard {
    pthread_mutex_t lock;
    struct hmap map;
};

struct ip_limit {
    unsigned max;
    struct shard shards[SHARDS];
};

static void key_of(const struct sockaddr_storage *a, uint8_t key[KEY_BYTES])
{
    memset(key, 0, KEY_BYTES);
    if (a->ss_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)a;
        key[0] = 4;
        memcpy(key + 1, &v4->sin_addr, 4);
    } else if (a->ss_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)a;
        bool mapped = IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr);
        key[0] = mapped ? 4 : 6;
        memcpy(key + 1, v6->sin6_addr.s6_addr + (mapped ? 12 : 0), mapped ? 4 : 8);
    }
}

static struct entry *find(const struct shard *s, uint64_t hash, const uint8_t key[KEY_BYTES])
{
    for (struct hmap_node *n = hmap_first(&s->map, hash); n != NULL; n = hmap_next(n)) {
        struct entry *e = HMAP_ENTRY(n, struct entry, node);
        if (memcmp(e->key, key, KEY_BYTES) == 0) {
            return e;
        }
    }
    return NULL;
}

static enum err add(struct shard *s, uint64_t hash, const uint8_t key[KEY_BYTES])
{
    struct entry *e = mem_zalloc(sizeof(*e));
    if (e == NULL) {
        return ERR_NOMEM;
    }
    memcpy(e->key, key, KEY_BYTES);
    e->count = 1;
    enum err r = hmap_insert(&s->map, &e->node, hash);
    if (r != OK) {
        mem_free(e);
    }
    return r;
}

enum err ip_limit_new(unsigned per_ip_max, struct ip_limit **out_limit)
{
    struct ip_limit *l = mem_zalloc(sizeof(*l));
    if (l == NULL) {
        return ERR_NOMEM;
    }
    l->max = per_ip_max;
    for (size_t i = 0; i < SHARDS; i++) {
        int rc = pthread_mutex_init(&l->shards[i].lock, NULL);
        ASSERT(rc == 0);
        hmap_init(&l->shards[i].map);
    }
    *out_limit = l;
    return OK;
}

void ip_limit_free(struct ip_limit *l)
{
    if (l == NULL) {
        return;
    }
    for (size_t i = 0; i < SHARDS; i++) {
        ASSERT(l->shards[i].map.count == 0); /* every connection has left */
        hmap_fini(&l->shards[i].map);
        (void)pthread_mutex_destroy(&l->shards[i].lock); /* cannot fail: nobody holds it */
    }
    mem_free(l);
}

enum err ip_limit_enter(struct ip_limit *l, const struct sockaddr_storage *a)
{
    uint8_t key[KEY_BYTES];
    key_of(a, key);
    uint64_t hash = hash_table_key(key, KEY_BYTES);
    struct shard *s = &l->shards[hash % SHARDS];
    hash /= SHARDS; /* the table uses the bits that the shard did not */
    enum err r = OK;
    (void)pthread_mutex_lock(&s->lock); /* cannot fail: not recursive, initialised */
    struct entry *e = find(s, hash, key);
    if (e == NULL) {
        r = add(s, hash, key);
    } else if (l->max != 0 && e->count >= l->max) {
        r = ERR_LIMIT;
    } else {
        e->count++;
    }
    (void)pthread_mutex_unlock(&s->lock);
    return r;
}

void ip_limit_leave(struct ip_limit *l, const struct sockaddr_storage *a)
{
    uint8_t key[KEY_BYTES];
    key_of(a, key);
    uint64_t hash = hash_table_key(key, KEY_BYTES);
    struct shard *s = &l->shards[hash % SHARDS];
    hash /= SHARDS;
    (void)pthread_mutex_lock(&s->lock);
    struct entry *e = find(s, hash, key);
    ASSERT(e != NULL);
    if (--e->count == 0) {
        hmap_remove(&s->map, &e->node);
        mem_free(e);
    }
    (void)pthread_mutex_unlock(&s->lock);
}

size_t ip_limit_count(struct ip_limit *l)
{
    size_t n = 0;
    for (size_t i = 0; i < SHARDS; i++) {
        (void)pthread_mutex_lock(&l->shards[i].lock);
        n += l->shards[i].map.count;
        (void)pthread_mutex_unlock(&l->shards[i].lock);
    }
    return n;
}
