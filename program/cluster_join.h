/* How a data directory comes to its identity when cluster.start = wait (deploy/docs/CLUSTER.md, Nodes): an operator
 * makes it the first node of a cluster, or it finds its peer address in the node table of a seed and claims the row. */
#ifndef PROGRAM_CLUSTER_JOIN_H
#define PROGRAM_CLUSTER_JOIN_H

#include "program/config.h"

struct rpc_tls;

#define CLUSTER_ADDRESS_BYTES_MAX 256

/* This node as others should dial it; empty where nothing is configured. */
struct cluster_addresses {
    char peer[CLUSTER_ADDRESS_BYTES_MAX];
    char rpc[CLUSTER_ADDRESS_BYTES_MAX];
    char events[CLUSTER_ADDRESS_BYTES_MAX];
};

/* ERR_LIMIT: one is too long. */
MUST_CHECK enum err cluster_addresses(const struct config *c, struct cluster_addresses *out);

/* True when the configuration says wait and the data directory has no node.id. */
bool cluster_must_wait(const struct config *c);

/* Returns when node.id is there. ERR_SHUTDOWN: SIGTERM or SIGINT came, which must be blocked (signals_block); seen
 * within half a second, or a second while a claim is on its way. Others: the configuration or the directory cannot do,
 * with the reason in why. tls: for the links to the seeds, may be NULL. Blocks; logs what it waits for, and each new
 * reason why the cluster does not take it. */
MUST_CHECK enum err cluster_wait(const struct config *c, const struct rpc_tls *tls, struct buf *why);

#endif /* PROGRAM_CLUSTER_JOIN_H */
