/* Drives the moves of accounts out of the shards that this node leads (deploy/docs/adr/0010): one account at a time, a
 * few seconds each in turn while they are copied, to the end once one is fenced. All it knows is in the state, so a new
 * leader goes on where the old one was. One thread; out: proposals of the node's own. */
#ifndef STORAGE_NODE_MOVES_H
#define STORAGE_NODE_MOVES_H

#include "storage/node/node_internal.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Made, its thread started, stopped (the volume's thread still runs), freed with mem_free. */
MUST_CHECK enum err moves_new(struct node *n, struct moves **out);
MUST_CHECK enum err moves_start(struct moves *v);
void moves_stop(struct moves *v);

#ifdef __cplusplus
}
#endif

#endif /* STORAGE_NODE_MOVES_H */
