/* RPC client: many calls in flight over one link, each completed by a callback. A link is a server of this process
 * (inproc.h) or a connection that is made again whenever it ends (redial.h). A request is sent once per call of
 * rpc_client_send; retrying with the same id is the caller's.
 *
 * Threads: rpc_client_send from any thread, with no lock held that `done` or, over inproc, the server's handler takes.
 * `done` runs on the link's thread, on the thread that closes, or, over inproc, on the thread that replies: it may run
 * before rpc_client_send returns. It must only hand over (push to a queue, loop_post). */
#ifndef PROTO_RPC_CLIENT_H
#define PROTO_RPC_CLIENT_H

#include "proto/base/buf.h"
#include "proto/rpc/frame.h"

#ifdef __cplusplus
extern "C" {
#endif

struct rpc_client;
struct rpc_tls; /* tls.h */

struct rpc_client_config {
    const char *url;           /* "inproc://pillarbox", "tcp://host:port", "ipc:///path" */
    uint32_t inflight_max;     /* calls; more fails with ERR_OVERLOAD. Default 4096 */
    const struct rpc_tls *tls; /* for tcp://, outlives the client; NULL: plain */
    const char *from;          /* tcp: the host of this url is where connections leave from; stays. NULL: any */
};

MUST_CHECK enum err rpc_client_open(const struct rpc_client_config *cfg, struct rpc_client **out, struct buf *why);
/* Fails what is outstanding with ERR_CLOSED (done is called, on this thread), waits for the callbacks. Nobody may send
 * any more. Over inproc the replies that the server still owes are thrown away when they come. */
void rpc_client_close(struct rpc_client *c);
/* True while the link to the node is up. */
bool rpc_client_connected(const struct rpc_client *c);

/* The received reply; owns the nng message. */
struct rpc_reply {
    struct rpc_head head;
    struct slice meta;
    struct slice attach;
    void *msg;
};
void rpc_reply_fini(struct rpc_reply *r);

struct rpc_call {
    /* set by the caller */
    struct rpc_head head; /* method, shard, account, request id, issue time, budget; lengths are filled in */
    struct slice meta;    /* copied by rpc_client_send */
    struct slice attach;  /* copied */
    uint32_t timeout_ms;
    void (*done)(struct rpc_call *c); /* exactly once after rpc_client_send returned OK */
    void *user;
    /* set before done */
    enum err status; /* transport: OK, ERR_TIMEOUT, ERR_CLOSED (link cut: fate unknown), ERR_CORRUPT; then
                        reply.head.status is the method's */
    struct rpc_reply reply;
};

/* ERR_UNAVAILABLE (no link now: nothing is queued behind a dead link), ERR_OVERLOAD, ERR_LIMIT (frame too large),
 * ERR_NOMEM, ERR_CLOSED (closing): done will not be called. After ERR_TIMEOUT the request may still arrive and run;
 * over inproc it counts as in flight until its reply comes. */
MUST_CHECK enum err rpc_client_send(struct rpc_client *c, struct rpc_call *call);

/* Takes a call back that nobody wants to wait for any more: true: it is the caller's again and `done` will not be
 * called; false: `done` was called or is about to be. The request may still arrive and run, as after ERR_TIMEOUT. Slow
 * (it looks through all calls in flight). Any thread. */
MUST_CHECK bool rpc_client_cancel(struct rpc_client *c, const struct rpc_call *call);

/* Blocking convenience for ctl, tests and housekeeping threads (not for loops): waits for the link, sends and waits for
 * the reply, all within timeout_ms. Returns call->status, or the error of rpc_client_send. `done` and `user` are its
 * own. */
MUST_CHECK enum err rpc_client_call(struct rpc_client *c, struct rpc_call *call);

/* SUB side of change hints: `on_hint` runs on an nng thread. on_link(up/down) tells when hints may have been missed. */
struct rpc_subscriber;
struct rpc_subscriber_config {
    const char *url;
    void *user;
    void (*on_hint)(void *user, const struct rpc_hint *h);
    void (*on_link)(void *user, bool up);
    const struct rpc_tls *tls; /* as above */
};
MUST_CHECK enum err rpc_subscriber_open(const struct rpc_subscriber_config *cfg, struct rpc_subscriber **out,
                                        struct buf *why);
void rpc_subscriber_close(struct rpc_subscriber *s);

#ifdef __cplusplus
}
#endif

#endif /* PROTO_RPC_CLIENT_H */
