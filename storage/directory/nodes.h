/* The node table of the cluster, in the directory: key 'd' 'o' node(8), value a packed NodeRow
 * (proto/schema/read.proto).
 *
 * Ids are given in order from 2 on (1 is the node that made the cluster) and never again: a removed row stays, and when
 * there are too many of those the lowest goes, never row 1 nor the highest. So the next id is the highest plus one, and
 * an id from 2 up to the highest without a row was removed long ago. */
#ifndef STORAGE_DIRECTORY_NODES_H
#define STORAGE_DIRECTORY_NODES_H

#include "proto/schema/read.pb-c.h"
#include "storage/directory/directory.h"

#ifdef __cplusplus
extern "C" {
#endif

#define DIR_NODES_LIVE_MAX 16  /* each has a replica of the directory, whose group has so many servers */
#define DIR_NODES_ROWS_MAX 256 /* removed ones included */
#define DIR_NODE_ADDRESS_BYTES_MAX 255
#define DIR_NODE_TOKEN_BYTES 16
/* What stands in the claim of row 1, which nobody claims. */
#define DIR_NODE_CLAIM_FOUNDER "founder"

struct dir_nodes {
    size_t n;
    Pb__NodeRow *rows[DIR_NODES_ROWS_MAX]; /* ascending by id; in the arena */
};

/* The whole table. ERR_CORRUPT, ERR_NOMEM. */
MUST_CHECK enum err dir_nodes_get(const struct store *s, struct arena *a, struct dir_nodes *out);
MUST_CHECK enum err dir_node_put(const struct store *s, const Pb__NodeRow *row);
MUST_CHECK enum err dir_node_del(const struct store *s, struct node_id id);

/* NULL when there is none. */
Pb__NodeRow *dir_nodes_find(const struct dir_nodes *t, struct node_id id);
/* The live row of a peer address; NULL. */
Pb__NodeRow *dir_nodes_find_peer(const struct dir_nodes *t, const char *peer);
size_t dir_nodes_live(const struct dir_nodes *t);
/* Another node than this one is there to hold what it holds: claimed, not draining. */
bool dir_nodes_has_other(const struct dir_nodes *t, const Pb__NodeRow *row);
struct node_id dir_nodes_next_id(const struct dir_nodes *t);
/* The removed row that goes to make room for another row; NULL when there is room. */
Pb__NodeRow *dir_nodes_surplus(const struct dir_nodes *t);

/* An address as requests bring it: printable ASCII without spaces (ERR_INVAL), not too long (ERR_LIMIT). Empty is fine.
 */
MUST_CHECK enum err dir_node_address_check(const char *address);
/* An empty one leaves the row's as it is. True when that changed; the string is not copied. */
bool dir_node_address_set(char **field, char *address);

#ifdef __cplusplus
}
#endif

#endif /* STORAGE_DIRECTORY_NODES_H */
