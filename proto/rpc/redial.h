/* A connection to one tcp or ipc url that is made again whenever it ends: 20 ms to 1 s between attempts. One thread. */
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

MUST_CHECK enum err rpc_redial_open(const char *url, const struct rpc_redial_ops *ops, void *user,
                                    struct rpc_redial **out, struct buf *why);
/* Ends the connection (on_down is called if it was up) and the thread. */
void rpc_redial_close(struct rpc_redial *r);
bool rpc_redial_is_up(const struct rpc_redial *r);
/* Takes m when OK. ERR_CLOSED, ERR_NOMEM. */
MUST_CHECK enum err rpc_redial_send(struct rpc_redial *r, uint64_t tag, nng_msg *m);

#ifdef __cplusplus
}
#endif

#endif /* PROTO_RPC_REDIAL_H */
