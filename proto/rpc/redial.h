/* A connection to one tcp or ipc url that is made again whenever it ends: 20 ms to 1 s between attempts. One thread, on
 * which the callbacks run. That TLS failed is logged, at most once a second. */
#ifndef PROTO_RPC_REDIAL_H
#define PROTO_RPC_REDIAL_H

#include "proto/rpc/stream.h"

#ifdef __cplusplus
extern "C" {
#endif

struct rpc_redial;

struct rpc_redial_ops {
    void (*on_up)(void *user); /* may be NULL */
    void (*on_frame)(void *user, uint64_t tag, nng_msg *m);
    /* What was sent before it and is unanswered stays unanswered. No on_frame until the next on_up. */
    void (*on_down)(void *user);
};

struct rpc_redial_config {
    const char *url; /* NULL: nothing is dialed until rpc_redial_turn */
    const struct rpc_redial_ops *ops;
    void *user;
    const char *from;          /* rpc_socket_connect; stays */
    const struct rpc_tls *tls; /* for tcp; NULL: plain */
    size_t queued_bytes_max;   /* rpc_stream_limit */
    uint32_t silence_ms;       /* rpc_socket_hurry; 0: not that */
};

MUST_CHECK enum err rpc_redial_open(const struct rpc_redial_config *cfg, struct rpc_redial **out, struct buf *why);
/* Dials url from now on (NULL: nothing), which was checked (rpc_socket_check); the connection to another one ends. Any
 * thread; does not wait. ERR_NOMEM. */
MUST_CHECK enum err rpc_redial_turn(struct rpc_redial *r, const char *url);
/* Ends the connection (on_down is called if it was up) and the thread. */
void rpc_redial_close(struct rpc_redial *r);
bool rpc_redial_is_up(const struct rpc_redial *r);
/* Takes m when OK. ERR_CLOSED, ERR_OVERLOAD (queued_bytes_max), ERR_NOMEM. */
MUST_CHECK enum err rpc_redial_send(struct rpc_redial *r, uint64_t tag, nng_msg *m);

#ifdef __cplusplus
}
#endif

#endif /* PROTO_RPC_REDIAL_H */
