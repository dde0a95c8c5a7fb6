/* Writes of the node itself, waited for: several share a commit. To shards that another node leads they go by RPC. For
 * threads that may block, never the volume's. */
#ifndef STORAGE_NODE_OWN_WAIT_H
#define STORAGE_NODE_OWN_WAIT_H

#include "storage/node/node_internal.h"

#ifdef __cplusplus
extern "C" {
#endif

struct own_wait {
    pthread_mutex_t lock;
    pthread_cond_t done;
    uint32_t pending;
};

/* One write among those waited for. */
struct own_step {
    struct own_wait *wait;
    enum err status;
    struct buf *result; /* may be NULL */
};

void own_wait_init(struct own_wait *w);
void own_wait_fini(struct own_wait *w);
/* Until every step proposed with it has its status. */
void own_wait_all(struct own_wait *w);

/* What the spec points to must stay until own_wait_all; then the step has its status and `result` (may be NULL) the
 * operation's bytes. */
void own_propose(struct node *n, struct proposal_spec *spec, struct own_wait *wait, struct own_step *s,
                 struct buf *result);
/* One alone. */
MUST_CHECK enum err own_propose_wait(struct node *n, struct proposal_spec *spec, struct buf *result);

#ifdef __cplusplus
}
#endif

#endif /* STORAGE_NODE_OWN_WAIT_H */
