/* RPC from this node to the leaders on other nodes: for requests that ask to be forwarded (ctl), and for the courier.
 * One client a node of the table, opened when the table names it; any thread. */
#ifndef STORAGE_NODE_OTHERS_H
#define STORAGE_NODE_OTHERS_H

#include "proto/rpc/client.h"
#include "storage/node/node_internal.h"

#ifdef __cplusplus
extern "C" {
#endif

struct others;

MUST_CHECK enum err others_open(struct node *n, const struct node_config *cfg, struct others **out);
/* Fails what is outstanding with ERR_CLOSED. */
void others_close(struct others *o);
/* Connects to what the node table says. */
void others_follow_table(struct others *o);

/* Sends to whoever leads the shard as far as this node knows. ERR_NOT_LEADER: nobody, or this node; otherwise as
 * rpc_client_send. */
MUST_CHECK enum err others_send(struct others *o, struct shard_id shard, struct rpc_call *call);

/* The same to a certain node. ERR_UNAVAILABLE: the table does not name it. */
MUST_CHECK enum err others_send_to(struct others *o, struct node_id to, struct rpc_call *call);

/* Passes a request on that this node answered ERR_NOT_LEADER, if it asks for that: true, and the leader's answer will
 * be its reply. */
bool others_forward(struct others *o, struct rpc_request *r);

#ifdef __cplusplus
}
#endif

#endif /* STORAGE_NODE_OTHERS_H */
