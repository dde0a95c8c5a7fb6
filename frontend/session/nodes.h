/* The map of the cluster, and the way of a call through it: which node leads a shard, which of the others to ask when
 * that one is gone, and when a call that waits should wait no longer (deploy/docs/CLUSTER.md, "Requests").
 *
 * Seeds are asked for the map; it names the nodes. A thread asks all of them every second, and at once when poked (at
 * most every 50 ms). For each shard the highest term wins. Without a node table (one node) calls go to the seeds
 * themselves. A node that leaves the map for 2 s unanswered has its circuit opened: it is asked last, and calls that
 * wait for it are taken back, until it answers.
 *
 * Threads: routing from any, without locks. A node's client is closed only when it has left the table and nobody holds
 * it. nodes_close: when no call is under way any more. */
#ifndef FRONTEND_SESSION_NODES_H
#define FRONTEND_SESSION_NODES_H

#include "proto/base/buf.h"
#include "proto/base/id.h"
#include "proto/rpc/client.h"

#ifdef __cplusplus
extern "C" {
#endif

#define NODES_MAX 64 /* open at once, seeds included; slots are numbered from 0 */

struct nodes;

/* Called on the refresh thread or the transport's: they must only take note. Events of a slot come between on_source
 * true and false. */
struct nodes_ops {
    void (*on_source)(void *user, unsigned slot, bool open);
    void (*on_hint)(void *user, unsigned slot, const struct rpc_hint *h);
    void (*on_link)(void *user, unsigned slot, bool up);
    void (*on_leader)(void *user, struct shard_id shard); /* another node leads it */
};

struct nodes_config {
    const char *seeds;         /* RPC urls, separated by commas */
    const char *events_url;    /* for a node whose row names none */
    uint32_t inflight_max;     /* of each node */
    const struct rpc_tls *tls; /* for tcp urls, outlives the map; NULL: plain */
    const struct nodes_ops *ops;
    void *user;
};

MUST_CHECK enum err nodes_open(const struct nodes_config *cfg, struct nodes **out, struct buf *why);
void nodes_close(struct nodes *m);
/* Some node answers and knows who leads the directory. */
bool nodes_ready(const struct nodes *m);
/* Shards in the map, the directory included; 0: no node has answered yet. */
uint32_t nodes_shards(const struct nodes *m);
/* True also when nobody knows who leads the shard. */
bool nodes_may_lead(const struct nodes *m, unsigned slot, struct shard_id shard);

/* The way of one call; begins with only the shard set. */
struct node_route {
    struct shard_id shard;
    uint64_t tried; /* bits: slots that were no good since the last round */
    unsigned hint;  /* slot + 1 to try first; 0: none */
    unsigned hops;  /* hints followed since the last pause */
    uint64_t term;  /* of the shard, when the node was taken */
    unsigned slot;  /* the node taken, until nodes_give */
    bool doubtful;  /* its circuit was open already */
    struct rpc_client *client;
};

/* Picks a node: the hinted one, the leader, any other that is up and answers, then those whose circuit is open.
 * ERR_UNAVAILABLE: none is left; the next one begins a new round. */
MUST_CHECK enum err nodes_take(struct nodes *m, struct node_route *r);
void nodes_give(struct nodes *m, struct node_route *r);
/* After an attempt failed with e (and the reply's hint): true: try again at once, false: after a pause. */
bool nodes_failed(struct nodes *m, struct node_route *r, enum err e, uint64_t hint);
/* Whether there is no other node that a call could turn to: nothing to watch while it waits. */
bool nodes_alone(const struct nodes *m);
/* Evidence that waiting for the taken node is in vain: it stopped answering, left, or another one leads the shard. */
bool nodes_lost(const struct nodes *m, const struct node_route *r);

#ifdef __cplusplus
}
#endif

#endif /* FRONTEND_SESSION_NODES_H */
