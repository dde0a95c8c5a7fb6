/* The courier carries handoffs (ARCHITECTURE, section 6.6) and does the housekeeping that apply asks for. A message for
 * recipients in several shards is committed once, in the first shard, with one handoff row for each other shard; the
 * courier delivers them with request ids derived from (shard, index, target), so that a retry, also after a crash,
 * delivers nothing twice, and removes each row by an entry. It finds its work in the state, so a restart resumes it.
 *
 * The reply to such a delivery waits up to COURIER_REPLY_MS, so that mail is normally visible everywhere when SMTP
 * answers; the acknowledgement itself rests on the first commit. One thread; out: proposals of the node's own. */
#ifndef STORAGE_NODE_COURIER_H
#define STORAGE_NODE_COURIER_H

#include "storage/node/node_internal.h"

#ifdef __cplusplus
extern "C" {
#endif

#define COURIER_REPLY_MS 2000

struct courier;

/* A life in four steps, because deliveries reach it from before the volume's thread starts until after that has ended:
 * made, its thread started, stopped, freed. */
MUST_CHECK enum err courier_new(struct node *n, struct courier **out);
/* The volume's thread runs. */
MUST_CHECK enum err courier_start(struct courier *c);
/* Finishes the step in hand; answers every waiting delivery, and later ones at once. The volume's thread must still
 * run. */
void courier_stop(struct courier *c);
void courier_free(struct courier *c);

/* A delivery with handoffs was committed in a shard: its reply goes out when they are delivered, or after
 * COURIER_REPLY_MS. Takes the request over; result is copied. Any thread. */
void courier_hand_off(struct courier *c, struct rpc_request *r, struct slice result);

/* Handoffs may wait in this shard, which the node has just come to lead. Any thread. */
void courier_look(struct courier *c, struct shard_id shard);

#ifdef __cplusplus
}
#endif

#endif /* STORAGE_NODE_COURIER_H */
