/* The courier carries handoffs (ARCHITECTURE, section 6.6) and does the housekeeping that apply asks for. A message for
 * recipients in several shards is committed once, in the first shard, with one handoff row for each other shard; the
 * courier of that shard's leader delivers them with request ids derived from (shard, index, recipient), so that a
 * retry, also after a crash, delivers nothing twice, and removes each row by an entry. It finds its work in the state,
 * so a restart resumes it.
 *
 * One thread; in: what the state says is pending, and courier_wake; out: proposals of the node's own. */
#ifndef STORAGE_NODE_COURIER_H
#define STORAGE_NODE_COURIER_H

#include "proto/base/err.h"
#include "proto/base/id.h"

#ifdef __cplusplus
extern "C" {
#endif

struct node;
struct courier;

MUST_CHECK enum err courier_open(struct node *n, struct courier **out);
void courier_close(struct courier *c);
/* Something may have become due in a shard. Any thread. */
void courier_wake(struct courier *c, struct shard_id shard);

#ifdef __cplusplus
}
#endif

#endif /* STORAGE_NODE_COURIER_H */
