/* A persistent ordered map: a treap of reference-counted nodes. Keeping a version costs one reference; a change copies
 * the path to the root where it is shared and edits in place where it is not. A node's priority is a hash of its key,
 * so a tree's shape depends on its content only. Not thread-safe.
 *
 * A tree is a struct mem_node * (NULL = empty) that its holder owns one reference of. */
#ifndef STORAGE_KV_MEM_TREE_H
#define STORAGE_KV_MEM_TREE_H

#include <stdbool.h>

#include "proto/base/err.h"
#include "proto/base/slice.h"

#ifdef __cplusplus
extern "C" {
#endif

struct mem_node;

struct mem_node *mem_tree_ref(struct mem_node *root);
void mem_tree_unref(struct mem_node *root);

/* NULL when absent. */
const struct mem_node *mem_tree_find(const struct mem_node *root, struct slice key);
/* First node >= key (or > key), last node < key; NULL when there is none. */
const struct mem_node *mem_tree_at_or_after(const struct mem_node *root, struct slice key);
const struct mem_node *mem_tree_after(const struct mem_node *root, struct slice key);
const struct mem_node *mem_tree_before(const struct mem_node *root, struct slice key);
const struct mem_node *mem_tree_first(const struct mem_node *root);
const struct mem_node *mem_tree_last(const struct mem_node *root);

struct slice mem_node_key(const struct mem_node *n);
struct slice mem_node_value(const struct mem_node *n);

/* Inserts or replaces; *out_value gets value_n bytes to fill. *changed_bytes: what the tree's content grew by (may be
 * negative). ERR_NOMEM: the content is as before. */
MUST_CHECK enum err mem_tree_put(struct mem_node **root, struct slice key, size_t value_n, uint8_t **out_value,
                                 int64_t *changed_bytes);
/* ERR_NOTFOUND. ERR_NOMEM: *root may have lost keys; throw this version away. */
MUST_CHECK enum err mem_tree_del(struct mem_node **root, struct slice key, int64_t *changed_bytes);

#ifdef __cplusplus
}
#endif

#endif /* STORAGE_KV_MEM_TREE_H */
