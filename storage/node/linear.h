/* Linearizable reads (replication/reads.h) in a node: a read request waits here until the node is known to lead its
 * shard, then goes to the reader pool. Of a group that is alone it goes there at once. Any thread. */
#ifndef STORAGE_NODE_LINEAR_H
#define STORAGE_NODE_LINEAR_H

#include "proto/base/buf.h"
#include "proto/base/id.h"

#ifdef __cplusplus
extern "C" {
#endif

struct node;
struct rpc_request;

/* Makes n->reads_rounds. ERR_NOMEM. */
MUST_CHECK enum err linear_open(struct node *n);
/* Answers what waits; nothing goes to the readers any more. */
void linear_stop(struct node *n);
void linear_close(struct node *n);
/* Answers by itself, with the leader as hint, what this node cannot serve. */
void linear_submit(struct node *n, struct rpc_request *r);
/* A ping or its answer came from another node. */
void linear_frame(struct node *n, struct node_id from, struct slice frame);
/* On the volume's thread, after each turn: milliseconds until it wants to be called again. */
uint64_t linear_tick(struct node *n, uint64_t now_ms);
/* ERR_NOT_LEADER, and who leads if that is known; or the leader's own answer, if the request asks to be forwarded. */
void linear_refuse(struct node *n, struct rpc_request *r);

#ifdef __cplusplus
}
#endif

#endif /* STORAGE_NODE_LINEAR_H */
