#include "proto/base/hmap.h"

#include <stdbool.h>

#include "proto/base/assert.h"
#include "proto/base/mem.h"

#define BUCKETS_MIN 8

void hmap_init(struct hmap *m)
{
    m->buckets = NULL;
    m->mask = 0;
    m->count = 0;
}

void hmap_fini(struct hmap *m)
{
    mem_free(m->buckets);
    hmap_init(m);
}

/* Multiplicative mix, so that ids may be their own hash. */
static struct hmap_node **bucket_of(struct hmap_node **buckets, size_t mask, uint64_t hash)
{
    uint64_t mixed = (hash ^ hash >> 32) * 0x9e3779b97f4a7c15U;
    return &buckets[(mixed >> 32) & mask];
}

static bool resize(struct hmap *m, size_t count)
{
    struct hmap_node **buckets = mem_calloc(count, sizeof(struct hmap_node *));
    if (buckets == NULL) {
        return false;
    }
    struct hmap_iter it = hmap_iter_make(m);
    for (struct hmap_node *n = hmap_iter_next(&it); n != NULL; n = hmap_iter_next(&it)) {
        struct hmap_node **head = bucket_of(buckets, count - 1, n->hash);
        n->next = *head;
        *head = n;
    }
    mem_free(m->buckets);
    m->buckets = buckets;
    m->mask = count - 1;
    return true;
}

enum err hmap_insert(struct hmap *m, struct hmap_node *n, uint64_t hash)
{
    if (m->buckets == NULL) {
        if (!resize(m, BUCKETS_MIN)) {
            return ERR_NOMEM;
        }
    } else if (m->count > m->mask) {
        (void)resize(m, (m->mask + 1) * 2);
    }
    struct hmap_node **head = bucket_of(m->buckets, m->mask, hash);
    n->hash = hash;
    n->next = *head;
    *head = n;
    m->count++;
    return OK;
}

void hmap_remove(struct hmap *m, struct hmap_node *n)
{
    ASSERT(m->buckets != NULL);
    struct hmap_node **at = bucket_of(m->buckets, m->mask, n->hash);
    while (*at != n) {
        ASSERT(*at != NULL);
        at = &(*at)->next;
    }
    *at = n->next;
    n->next = NULL;
    m->count--;
}

static struct hmap_node *skip_others(struct hmap_node *n, uint64_t hash)
{
    while (n != NULL && n->hash != hash) {
        n = n->next;
    }
    return n;
}

struct hmap_node *hmap_first(const struct hmap *m, uint64_t hash)
{
    if (m->buckets == NULL) {
        return NULL;
    }
    return skip_others(*bucket_of(m->buckets, m->mask, hash), hash);
}

struct hmap_node *hmap_next(const struct hmap_node *n)
{
    return skip_others(n->next, n->hash);
}

struct hmap_iter hmap_iter_make(const struct hmap *m)
{
    struct hmap_iter it = {.map = m, .bucket = 0, .next = NULL};
    return it;
}

struct hmap_node *hmap_iter_next(struct hmap_iter *it)
{
    size_t buckets = it->map->buckets == NULL ? 0 : it->map->mask + 1;
    while (it->next == NULL && it->bucket < buckets) {
        it->next = it->map->buckets[it->bucket];
        it->bucket++;
    }
    struct hmap_node *n = it->next;
    if (n != NULL) {
        it->next = n->next;
    }
    return n;
}
