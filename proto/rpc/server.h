/* RPC server: requests on one or more URLs (tcp, ipc, at most one inproc), and change hints to subscribers.
 *
 * Threads: `on_request` runs on the I/O thread of the streams, or, over inproc, on the thread that calls or one that
 * replies; it must only hand over (to the volume's inbox, to a reader), under no lock that a replying thread may hold.
 * Whoever finishes the request calls rpc_request_reply from any thread, exactly once, with no lock held that on_request
 * takes. Requests with the handler are bounded by `contexts`: over streams reading stops there and the socket pushes
 * back; over inproc the rest waits in line (inproc.h), as many as its clients have in flight. Malformed frames are
 * answered ERR_CORRUPT here. */
#ifndef PROTO_RPC_SERVER_H
#define PROTO_RPC_SERVER_H

#include "proto/base/buf.h"
#include "proto/base/queue.h"
#include "proto/rpc/frame.h"

#ifdef __cplusplus
extern "C" {
#endif

struct rpc_server;
struct rpc_tls; /* tls.h */

struct rpc_request {
    struct queue_node node; /* for the receiver's queues */
    struct rpc_head head;
    struct slice meta; /* valid until the reply */
    struct slice attach;
    uint64_t deadline_ms; /* monotonic: arrival + budget */
    void *user;           /* the handler's */
    struct rpc_server *server;
};

struct rpc_server_config {
    const char *const *urls; /* at least one; two of inproc are ERR_INVAL */
    size_t n_urls;
    const char *const *pub_urls; /* hints */
    size_t n_pub_urls;
    uint32_t contexts; /* of the streams, and as many of inproc. Default 1024 */
    void *user;
    void (*on_request)(void *user, struct rpc_request *r);
    const struct rpc_tls *tls; /* for tcp:// of both kinds, outlives the server; NULL: plain */
    uint32_t greeting_ms;      /* what a newcomer has for TLS and greeting. Default 5,000 */
};

MUST_CHECK enum err rpc_server_open(const struct rpc_server_config *cfg, struct rpc_server **out, struct buf *why);
/* No request arrives after it returns: newcomers are answered ERR_UNAVAILABLE. Outstanding requests must still be
 * replied to, and the replies are delivered until rpc_server_close, which waits for them. */
void rpc_server_stop(struct rpc_server *s);
void rpc_server_close(struct rpc_server *s);

/* status and hint go to the head; meta and attach are copied into the reply message. Frees the request. attach2 follows
 * attach (may be empty). */
void rpc_request_reply(struct rpc_request *r, enum err status, uint64_t hint, struct slice meta, struct slice attach);
/* To build a reply without a copy: room for meta + attach (<= RPC_FRAME_BYTES_MAX) right in the message. ERR_NOMEM,
 * ERR_LIMIT. */
MUST_CHECK enum err rpc_request_reply_begin(struct rpc_request *r, size_t bytes, uint8_t **out_p);
/* The first meta_bytes of the room are meta, the next attach_bytes the attachment. Frees the request. */
void rpc_request_reply_end(struct rpc_request *r, enum err status, uint64_t hint, size_t meta_bytes,
                           size_t attach_bytes);

/* Thread-safe. A slow subscriber loses hints (that is why they carry sequence numbers). */
void rpc_server_publish(struct rpc_server *s, const struct rpc_hint *h);

#ifdef __cplusplus
}
#endif

#endif /* PROTO_RPC_SERVER_H */
