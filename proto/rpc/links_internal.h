/* The links' parts: the table of nodes and what we dial (links.c), what we accept (links_in.c). */
#ifndef PROTO_RPC_LINKS_INTERNAL_H
#define PROTO_RPC_LINKS_INTERNAL_H

#include <pthread.h>

#include "proto/base/list.h"
#include "proto/rpc/hello.h"
#include "proto/rpc/links.h"
#include "proto/rpc/redial.h"
#include "proto/rpc/refusal.h"

#ifdef __cplusplus
extern "C" {
#endif

#define LINKS_NODES_MAX 64
#define LINKS_WINDOW_BYTES ((size_t)4 * 1024 * 1024)

struct links_accepted;
struct links_node;

/* A lane that we dial. */
struct links_out {
    struct links_node *node;
    enum rpc_lane lane;
    struct rpc_redial *redial; /* NULL until the node is first dialed; then for ever */
    pthread_mutex_t mutex;     /* all below; held while a frame is queued, so that the hello is always the first */
    bool ready;                /* the hello is on its way */
    struct node_id to;         /* whom it greets */
};

/* A lane that the node dials. All under the links' mutex. */
struct rpc_links_in {
    struct links_accepted *conn; /* NULL: none that said hello */
    uint64_t epoch;              /* the newest seen, ... */
    uint64_t forget_ms;          /* ... held against a new connection until then (monotonic) */
    size_t unreleased;           /* bytes of frames with the callee, of this and of earlier connections */
    bool paused;
};

struct links_node {
    struct rpc_links *links;
    uint64_t id; /* atomic; a place is given to another node only when nothing of the old one is left */
    struct links_out out[RPC_LANES];
    /* under the links' mutex */
    struct rpc_links_in in[RPC_LANES];
    bool told; /* the address is rpc_links_peer's word */
    char address[RPC_HELLO_ADDRESS_BYTES_MAX + 1];
};

struct rpc_links {
    struct rpc_links_config cfg; /* strings: our copies */
    uint64_t epoch;              /* atomic: of the latest connection that we dialed */
    bool stopping;               /* atomic; set under the mutex */
    bool stopped;

    struct links_node *nodes[LINKS_NODES_MAX]; /* places, kept to the end */
    uint32_t n_nodes;                          /* atomic */
    pthread_mutex_t mutex;                     /* adding, and what says so above */

    /* accepting: the I/O thread's (links_in.c) */
    struct rpc_poller poller;
    pthread_t io;
    bool io_running;
    int listen_fd;
    bool starved;
    struct list accepted;
    uint32_t n_accepted;
    uint32_t n_strangers; /* no hello yet */
    struct rpc_refusal refusal;
};

/* NULL: unknown. Without a lock. */
struct links_node *links_find(struct rpc_links *l, struct node_id id);
/* With the mutex held. ERR_LIMIT, ERR_NOMEM. */
MUST_CHECK enum err links_find_or_add(struct rpc_links *l, struct node_id id, struct links_node **out);
/* What a hello may announce. */
bool links_address_ok(const char *url);
/* With the mutex held. NULL: no longer. ERR_NOMEM, ERR_IO: as before, or not at all. */
MUST_CHECK enum err links_dial(struct links_node *n, const char *address);

/* --- links_in.c --- errno */
MUST_CHECK int links_in_start(struct rpc_links *l);
void links_in_stop(struct rpc_links *l);

#ifdef __cplusplus
}
#endif

#endif /* PROTO_RPC_LINKS_INTERNAL_H */
