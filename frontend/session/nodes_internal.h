/* The map's parts among themselves: slots (nodes.c), routing (nodes_route.c), the refresh thread (nodes_refresh.c),
 * what a map says (nodes_map.c). */
#ifndef FRONTEND_SESSION_NODES_INTERNAL_H
#define FRONTEND_SESSION_NODES_INTERNAL_H

#include <pthread.h>

#include "frontend/session/nodes.h"
#include "proto/base/arena.h"

#ifdef __cplusplus
extern "C" {
#endif

#define SLOT_NONE UINT32_MAX
#define NODES_SHARDS_MAX 65536

enum node_state { NODE_FREE, NODE_LIVE, NODE_RETIRED };

/* One url that is or was a node's. Changed by the refresh thread only; atomics are read by calls. A slot is freed when
 * it is retired and has no users: a user counts itself first and looks at the state then. */
struct node {
    struct nodes *map;
    unsigned slot;
    uint32_t state;    /* atomic */
    uint32_t users;    /* atomic */
    uint64_t id;       /* atomic; 0: it has not answered yet */
    bool listed;       /* atomic; the node table's row id leads here */
    bool circuit;      /* atomic; open */
    bool knows_leader; /* atomic; of the directory, in its last answer */
    struct rpc_client *client;
    struct rpc_subscriber *sub;
    char *rpc;
    char *events; /* NULL: not subscribed */
    struct rpc_call probe;
    bool was_up;      /* the link, when last looked at */
    bool probing;     /* sent, not consumed */
    bool probed;      /* under the lock: answered, or failed */
    uint64_t sent_ms; /* the probe */
};

struct shard_route {
    uint64_t term;   /* atomic; written after slot */
    uint32_t slot;   /* atomic; SLOT_NONE: unknown */
    uint64_t leader; /* node id: who leads, or led before this term; 0: none known */
};

/* The number of shards is fixed, so it is made once. */
struct route_table {
    uint32_t n;
    struct shard_route shards[];
};

struct nodes {
    struct nodes_config cfg;
    char *events_url;
    struct node nodes[NODES_MAX];
    unsigned n_slots;          /* atomic; ever used */
    unsigned turn;             /* atomic; where the search for a candidate begins */
    bool rows;                 /* atomic; the node table is known: only listed nodes are routed to */
    struct route_table *table; /* atomic; NULL before the first answer */
    struct u128 cluster;
    bool cluster_known;
    bool cluster_told;
    uint64_t open_told_ms; /* when a failure to open a node was logged last; 0: never */
    uint64_t polled_ms;
    pthread_t thread;
    bool thread_started;
    bool poked; /* atomic; signalled under the lock */
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool stop;
};

/* --- nodes.c: refresh thread, or before it runs --- */
/* ERR_LIMIT: no slot is free. */
MUST_CHECK enum err node_open(struct nodes *m, const char *rpc, struct node **out, struct buf *why);
MUST_CHECK enum err node_subscribe(struct node *n, const char *url, struct buf *why);
/* No-op over inproc, whose sockets are closed at the end only. */
void node_unsubscribe(struct node *n);
void node_close(struct node *n);
void node_retire(struct node *n);
bool node_is_inproc(const struct node *n);
/* --- and any thread --- */
uint32_t node_state(const struct node *n);
/* Calls may be sent there: it has a row, or nobody knows rows. */
bool node_routable(const struct node *n);
unsigned nodes_used(const struct nodes *m);
/* The slot of a node that is routed to. */
uint32_t nodes_slot_of(const struct nodes *m, uint64_t id);
void nodes_poke(struct nodes *m);

/* --- nodes_map.c --- */
void nodes_absorb(struct nodes *m, struct node *n, struct slice answer, struct arena *arena);

/* --- nodes_refresh.c --- */
MUST_CHECK enum err nodes_refresh_start(struct nodes *m);
void nodes_refresh_stop(struct nodes *m);

#ifdef __cplusplus
}
#endif

#endif /* FRONTEND_SESSION_NODES_INTERNAL_H */
