/* Who leads the shards whose group this node has left, or not joined yet: nobody in the group tells it, so once a
 * second it asks another node for its map. For requests that are forwarded, for the courier, and for MAP. */
#ifndef STORAGE_NODE_LEADERS_H
#define STORAGE_NODE_LEADERS_H

#include "storage/node/node_internal.h"

#ifdef __cplusplus
extern "C" {
#endif

struct leaders;

MUST_CHECK enum err leaders_new(struct node *n, struct leaders **out);
/* The calls to other nodes have ended (others_close). */
void leaders_free(struct leaders *l);
/* The courier's thread, once a second. */
void leaders_tick(struct leaders *l);
/* The leader as this node's replica knows it, else as another node said within the last seconds; 0: not known. Any
 * thread. *out_term (may be NULL): of which term that is, at least the latest that this node has seen. */
struct node_id leaders_get(struct leaders *l, struct shard_id shard, uint64_t *out_term);

#ifdef __cplusplus
}
#endif

#endif /* STORAGE_NODE_LEADERS_H */
