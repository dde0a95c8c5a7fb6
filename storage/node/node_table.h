/* The node table as this node's replica of the directory has it, in memory: read again after each turn in which the
 * directory changed, and once a second. Any thread; a look-up holds a mutex for the time of a copy, a refresh reads at
 * most DIR_NODES_ROWS_MAX rows. */
#ifndef STORAGE_NODE_NODE_TABLE_H
#define STORAGE_NODE_NODE_TABLE_H

#include "storage/directory/cluster.h"
#include "storage/directory/nodes.h"

#ifdef __cplusplus
extern "C" {
#endif

struct node;
struct node_table;

struct node_table_row {
    struct node_id id;
    bool removed;
    bool claimed; /* a data directory has it; always so for node 1 */
    bool draining;
    bool away;
    uint64_t zone; /* equal for equal names */
    char peer[DIR_NODE_ADDRESS_BYTES_MAX + 1];
    char rpc[DIR_NODE_ADDRESS_BYTES_MAX + 1];
    char events[DIR_NODE_ADDRESS_BYTES_MAX + 1];
};

/* Where a shard is pinned; all zero: nowhere. */
struct node_table_pin {
    uint64_t nodes[DIR_REPLICAS_MAX];
    size_t n;
    uint64_t leader;
};

MUST_CHECK enum err node_table_new(struct node *n, struct node_table **out);
void node_table_free(struct node_table *t);
/* Reads the rows again. What fails is logged, and the table stays as it was. */
void node_table_refresh(struct node *n);

/* ERR_NOTFOUND. */
MUST_CHECK enum err node_table_get(const struct node *n, struct node_id id, struct node_table_row *out);
/* Copies up to max rows, ascending by id, removed ones included; returns how many there are. */
size_t node_table_list(const struct node *n, struct node_table_row *out, size_t max);
/* The cluster's settings. */
struct dir_cluster node_table_cluster(const struct node *n);
/* Its level alone, without a mutex: what this node may propose. */
uint8_t node_table_level(const struct node *n);
/* Copies what is known of n_shards shards, from the directory on. */
void node_table_pins(const struct node *n, struct node_table_pin *out);
/* Another number after each change. */
uint64_t node_table_generation(const struct node *n);

#ifdef __cplusplus
}
#endif

#endif /* STORAGE_NODE_NODE_TABLE_H */
