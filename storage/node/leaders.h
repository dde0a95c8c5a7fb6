/* What other nodes' maps say: who leads the shards whose group this node has left, or not joined yet (nobody in the
 * group tells it), for requests that are forwarded, for the courier, and for MAP; and what level their programs know.
 * Once a second another node is asked, while either is wanted. */
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
/* What another node's program knows, as it said within the last seconds; 0: not heard. Any thread. */
uint8_t leaders_level(struct leaders *l, struct node_id node);

#ifdef __cplusplus
}
#endif

#endif /* STORAGE_NODE_LEADERS_H */
