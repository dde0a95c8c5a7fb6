/* What the courier does in one shard: finds work in a read snapshot and proposes entries, waiting for each batch.
 * Courier's thread only; blocks. */
#ifndef STORAGE_NODE_CARRY_H
#define STORAGE_NODE_CARRY_H

#include "storage/apply/housekeeping.h"
#include "storage/node/node_internal.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Delivers every handoff of the shard that can be delivered now, a batch with two commits at a time. out_left: some
 * could not. Ends early, between batches, when *stop (atomic) is set. */
MUST_CHECK enum err carry_handoffs(struct node *n, struct shard_id from, const bool *stop, bool *out_left);
/* Proposes up to steps_max purge steps. */
MUST_CHECK enum err carry_purge(struct node *n, struct shard_id shard, struct housekeeping *h, unsigned steps_max);

#ifdef __cplusplus
}
#endif

#endif /* STORAGE_NODE_CARRY_H */
