/* Calls within the process: a client finds the server of an inproc:// name here and runs its handler in its own thread;
 * whoever replies completes the call in his. The frame is the same as on a wire; no thread, queue or socket is between.
 *
 * A name's port is there while a client or the server holds it, bound while a server listens. At most `contexts`
 * requests of a port are with the handler; what comes beyond waits in line, oldest first, and is run by the thread
 * whose reply made room. The line is as long as its clients allow (inflight_max of each), and the port never refuses.
 *
 * Threads: any. The handler and `done` run without the port's mutex and must only hand over. They may run inside of
 * inproc_port_run: `done` too, when the handler answers at once. */
#ifndef PROTO_RPC_INPROC_H
#define PROTO_RPC_INPROC_H

#include "proto/base/list.h"
#include "proto/rpc/server_internal.h"

#ifdef __cplusplus
extern "C" {
#endif

struct inproc_port;

/* The caller's memory from inproc_port_run until done. */
struct inproc_call {
    struct server_request r; /* first */
    struct list waiting;     /* for a context */
    struct inproc_port *port;
    /* The reply, the callee's; NULL: memory was out. */
    void (*done)(struct inproc_call *c, nng_msg *reply);
};

/* A reference to the name's port. ERR_NOMEM. */
MUST_CHECK enum err inproc_port_get(const char *url, struct inproc_port **out);
void inproc_port_put(struct inproc_port *p);

/* Calls come from now on. ERR_EXISTS: a server is there. */
MUST_CHECK enum err inproc_port_bind(struct inproc_port *p, struct rpc_server *srv);
/* No further calls, and waits for the replies of those that came. */
void inproc_port_unbind(struct inproc_port *p);
bool inproc_port_bound(const struct inproc_port *p);

/* Keeps the server there until the call that follows has its reply, or until inproc_port_leave. False: there is none.
 */
MUST_CHECK bool inproc_port_enter(struct inproc_port *p);
void inproc_port_leave(struct inproc_port *p);
/* After inproc_port_enter. Takes m. */
void inproc_port_run(struct inproc_port *p, struct inproc_call *c, nng_msg *m);

#ifdef __cplusplus
}
#endif

#endif /* PROTO_RPC_INPROC_H */
