#include "frontend/session/auth_cache.h"

#include <pthread.h>

#include "proto/base/hmap.h"
#include "proto/base/list.h"
#include "proto/base/mem.h"

struct auth_entry {
    struct hmap_node node;
    struct list lru;
    struct account_id account;
    uint64_t version;
    uint64_t expires_ms;
    uint8_t fp[AUTH_FINGERPRINT_BYTES];
};

struct auth_cache {
    pthread_mutex_t lock; /* held for a look-up: nanoseconds beside a login's RPC */
    struct hmap map;
    struct list lru; /* oldest first */
    uint32_t entries_max;
    uint64_t lifetime_ms;
};

enum err auth_cache_open(uint32_t entries_max, uint64_t lifetime_ms, struct auth_cache **out)
{
    struct auth_cache *c = mem_zalloc(sizeof(*c));
    if (c == NULL) {
        return ERR_NOMEM;
    }
    pthread_mutex_init(&c->lock, NULL);
    hmap_init(&c->map);
    list_init(&c->lru);
    c->entries_max = entries_max;
    c->lifetime_ms = lifetime_ms;
    *out = c;
    return OK;
}

static void entry_drop(struct auth_cache *c, struct auth_entry *e)
{
    hmap_remove(&c->map, &e->node);
    list_remove(&e->lru);
    explicit_bzero(e, sizeof(*e));
    mem_free(e);
}

void auth_cache_close(struct auth_cache *c)
{
    while (!list_empty(&c->lru)) {
        entry_drop(c, LIST_ENTRY(c->lru.next, struct auth_entry, lru));
    }
    hmap_fini(&c->map);
    pthread_mutex_destroy(&c->lock);
    mem_free(c);
}

static struct auth_entry *entry_find(struct auth_cache *c, struct account_id a)
{
    for (struct hmap_node *n = hmap_first(&c->map, a.v); n != NULL; n = hmap_next(n)) {
        struct auth_entry *e = HMAP_ENTRY(n, struct auth_entry, node);
        if (e->account.v == a.v) {
            return e;
        }
    }
    return NULL;
}

static bool fp_equal(const uint8_t *a, const uint8_t *b)
{
    uint8_t diff = 0;
    for (size_t i = 0; i < AUTH_FINGERPRINT_BYTES; i++) {
        diff = (uint8_t)(diff | (a[i] ^ b[i]));
    }
    return diff == 0;
}

uint64_t auth_cache_version(struct auth_cache *c, struct account_id a, const uint8_t fp[AUTH_FINGERPRINT_BYTES],
                            uint64_t now_ms)
{
    uint64_t version = 0;
    pthread_mutex_lock(&c->lock);
    struct auth_entry *e = entry_find(c, a);
    if (e != NULL && now_ms >= e->expires_ms) {
        entry_drop(c, e);
    } else if (e != NULL && fp_equal(e->fp, fp)) {
        version = e->version;
        list_remove(&e->lru);
        list_push_back(&c->lru, &e->lru);
    }
    pthread_mutex_unlock(&c->lock);
    return version;
}

void auth_cache_put(struct auth_cache *c, struct account_id a, uint64_t version,
                    const uint8_t fp[AUTH_FINGERPRINT_BYTES], uint64_t now_ms)
{
    if (c->entries_max == 0) {
        return;
    }
    pthread_mutex_lock(&c->lock);
    struct auth_entry *e = entry_find(c, a);
    if (e != NULL) {
        list_remove(&e->lru);
    } else {
        if (c->map.count >= c->entries_max) {
            entry_drop(c, LIST_ENTRY(c->lru.next, struct auth_entry, lru));
        }
        e = mem_zalloc(sizeof(*e));
        if (e != NULL && hmap_insert(&c->map, &e->node, a.v) != OK) {
            mem_free(e);
            e = NULL;
        }
    }
    if (e != NULL) { /* without memory the next login hashes again */
        e->account = a;
        e->version = version;
        e->expires_ms = now_ms + c->lifetime_ms;
        memcpy(e->fp, fp, sizeof(e->fp));
        list_push_back(&c->lru, &e->lru);
    }
    pthread_mutex_unlock(&c->lock);
}
