/* Links between the storage nodes of a cluster (deploy/docs/CLUSTER.md, "Links"): frames, in two lanes. A frame travels
 * on the connection that its sender dialed; the side that accepted sends nothing but the greeting. So two nodes have
 * two connections each way, and each begins with a hello (hello.h).
 *
 * A frame is lost when its connection ends before it has arrived, and nobody is told which; what arrives does so once
 * and, of one connection, in order. When a node dials again, its newer connection ends the older one: nothing more
 * comes from that.
 *
 * A receiver holds at most 4 MiB of frames of a peer and lane; then it stops reading there until some are released. A
 * connection on which nothing moves for silence_ms although we send is given up, be the peer dead or only that slow.
 *
 * Threads: every function from any thread; open, stop and close from one. Callbacks run on I/O threads: they must only
 * hand over, and not call stop or close. */
#ifndef PROTO_RPC_LINKS_H
#define PROTO_RPC_LINKS_H

#include <stdbool.h>

#include "proto/base/buf.h"
#include "proto/base/id.h"
#include "proto/base/queue.h"

#ifdef __cplusplus
extern "C" {
#endif

struct rpc_links;
struct rpc_links_in;
struct rpc_tls; /* tls.h */

enum rpc_lane { RPC_LANE_CONTROL, RPC_LANE_BULK, RPC_LANES };

#define RPC_LINKS_FRAME_BYTES_MAX (512 * 1024)

struct rpc_links_frame {
    struct queue_node node; /* for the receiver's queues */
    struct node_id from;
    enum rpc_lane lane;
    struct slice bytes; /* valid until it is released */
    /* internal */
    struct rpc_links *links;
    struct rpc_links_in *in;
    void *msg;
};

struct rpc_links_config {
    const char *listen_url; /* tcp://host:port */
    const char *address;    /* what the others dial, in our hello; at most 255 bytes; NULL: they know */
    struct u128 cluster;
    struct node_id self;
    const struct rpc_tls *tls; /* outlives the links; NULL: plain */
    /* What a newcomer has for TLS, greeting and hello, and how long a connection may take nothing of what we send. 0:
     * 5,000. */
    uint32_t silence_ms;
    void *user;
    /* f is the callee's until rpc_links_release. */
    void (*on_frame)(void *user, struct rpc_links_frame *f);
    /* The control connection that we dialed came up or went down. A peer that turns us away is up for a moment. May be
     * NULL. */
    void (*on_peer)(void *user, struct node_id peer, bool up);
};

/* ERR_INVAL (an address), ERR_EXISTS (the port is taken), ERR_IO, ERR_NOMEM; why has the reason. The strings are
 * copied. Connections that are refused are logged, at most one a second. */
MUST_CHECK enum err rpc_links_open(const struct rpc_links_config *cfg, struct rpc_links **out, struct buf *why);
/* Ends all connections; no callback runs after it returns. Frames may still be released. */
void rpc_links_stop(struct rpc_links *l);
/* Stops if need be. All frames must have been released. */
void rpc_links_close(struct rpc_links *l);

/* Gives the sender's window back. */
void rpc_links_release(struct rpc_links_frame *f);

/* Dials the node there from now on, again when the address changes; NULL: no longer. Also a node that is not named here
 * is dialed, at the address in its own hello, once it has dialed us. ERR_INVAL (ourselves, not an address), ERR_LIMIT
 * (64 nodes), ERR_CLOSED (stopped), ERR_NOMEM. Does not wait. */
MUST_CHECK enum err rpc_links_peer(struct rpc_links *l, struct node_id node, const char *address);

/* Copies; never blocks. FIFO of one thread in one lane. ERR_NOTFOUND: an unknown node; ERR_CLOSED: no connection;
 * ERR_OVERLOAD: 4 MiB wait already; ERR_LIMIT: more than RPC_LINKS_FRAME_BYTES_MAX; ERR_NOMEM. */
MUST_CHECK enum err rpc_links_send(struct rpc_links *l, struct node_id to, enum rpc_lane lane, struct slice bytes);

/* Whether the control connection that we dialed is up. */
bool rpc_links_is_up(struct rpc_links *l, struct node_id node);

#ifdef __cplusplus
}
#endif

#endif /* PROTO_RPC_LINKS_H */
