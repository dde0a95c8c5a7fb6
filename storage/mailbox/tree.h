/* The folder tree of an account: (parent node, name) -> node and mailbox, and node -> (parent node, name) for the way
 * up. A node without a mailbox is \NoSelect. Renaming moves one node: its children come along. Node 0 is the root. */
#ifndef STORAGE_MAILBOX_TREE_H
#define STORAGE_MAILBOX_TREE_H

#include "proto/base/arena.h"
#include "storage/mailbox/key.h"
#include "storage/mailbox/name.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TREE_NODES_MAX 5000 /* of an account */

struct tree_entry {
    uint32_t node;
    uint32_t mailbox; /* 0 = \NoSelect */
};

/* One component below a node. ERR_NOTFOUND. */
MUST_CHECK enum err tree_child(const struct store *s, struct account_id a, uint32_t parent, struct slice name,
                               struct tree_entry *out);
/* Goes down as far as the path exists: *out_depth components were found, the last one's entry and its parent are given
 * (entry 0 at depth 0). */
MUST_CHECK enum err tree_descend(const struct store *s, struct account_id a, const struct name_path *path,
                                 size_t *out_depth, struct tree_entry *out, uint32_t *out_parent);
/* The whole path. ERR_NOTFOUND. */
MUST_CHECK enum err tree_find(const struct store *s, struct account_id a, const struct name_path *path,
                              struct tree_entry *out, uint32_t *out_parent);
MUST_CHECK enum err tree_has_children(const struct store *s, struct account_id a, uint32_t node, bool *out);
/* Appends the full name of a node. ERR_CORRUPT when the way up does not end. */
MUST_CHECK enum err tree_path(const struct store *s, struct account_id a, uint32_t node, struct buf *out);
/* Is `node` `under`, or below it? */
MUST_CHECK enum err tree_is_below(const struct store *s, struct account_id a, uint32_t node, uint32_t under, bool *out);

MUST_CHECK enum err tree_put(const struct store *s, struct account_id a, uint32_t parent, struct slice name,
                             struct tree_entry entry);
MUST_CHECK enum err tree_del(const struct store *s, struct account_id a, uint32_t parent, struct slice name,
                             uint32_t node);

struct tree_item {
    uint32_t parent;
    struct tree_entry entry;
    struct slice name; /* the component */
    struct slice path; /* the full name */
    uint32_t depth;    /* components in path */
    bool has_children;
};

struct tree_list {
    struct tree_item *items; /* parents before children, siblings in name order */
    size_t n;
};

/* The whole tree, or only what is below `root` (0 = all), in the arena. */
MUST_CHECK enum err tree_list(const struct store *s, struct account_id a, uint32_t root, struct arena *arena,
                              struct tree_list *out);

#ifdef __cplusplus
}
#endif

#endif /* STORAGE_MAILBOX_TREE_H */
