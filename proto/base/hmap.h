/* Intrusive chained hash table that grows. The user hashes (plain integers will do: the table mixes) and compares;
 * nodes are embedded in the user's structs. Not thread-safe. Memory: one bucket array. */
#ifndef PROTO_BASE_HMAP_H
#define PROTO_BASE_HMAP_H

#include <stddef.h>
#include <stdint.h>

#include "proto/base/err.h"

#ifdef __cplusplus
extern "C" {
#endif

struct hmap_node {
    struct hmap_node *next;
    uint64_t hash;
};

struct hmap {
    struct hmap_node **buckets;
    size_t mask; /* buckets - 1, buckets a power of two; 0 before the first insert */
    size_t count;
};

#define HMAP_ENTRY(node, type, member) ((type *)(void *)((char *)(node)-offsetof(type, member)))

void hmap_init(struct hmap *m);
/* Frees the table, not the nodes. */
void hmap_fini(struct hmap *m);
/* ERR_NOMEM only when the first bucket array cannot be had; a failed growth just makes chains longer. */
MUST_CHECK enum err hmap_insert(struct hmap *m, struct hmap_node *n, uint64_t hash);
void hmap_remove(struct hmap *m, struct hmap_node *n);
/* Iterate candidates: for (n = hmap_first(m, h); n; n = hmap_next(n)) — only nodes with this hash come. */
struct hmap_node *hmap_first(const struct hmap *m, uint64_t hash);
struct hmap_node *hmap_next(const struct hmap_node *n);

/* Every node, in any order:
 *
 *     struct hmap_iter it = hmap_iter_make(&m);
 *     for (struct hmap_node *n = hmap_iter_next(&it); n != NULL; n = hmap_iter_next(&it)) { ... }
 *
 * The node last returned may be removed and freed; nothing else may be inserted or removed until the end. */
struct hmap_iter {
    const struct hmap *map;
    size_t bucket;          /* the next bucket to look at */
    struct hmap_node *next; /* rest of the current chain */
};

struct hmap_iter hmap_iter_make(const struct hmap *m);
/* NULL at the end. */
struct hmap_node *hmap_iter_next(struct hmap_iter *it);

#ifdef __cplusplus
}
#endif

#endif /* PROTO_BASE_HMAP_H */
