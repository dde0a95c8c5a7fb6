/* Replicas of shards whose group this node has left: a server that is taken out of a group is told nothing more, so it
 * cannot know. A replica that has heard no leader for long asks the shard's leader who its members are; if the answer,
 * of a settled group, does not have this node, what it holds is thrown away (volume_replica_empty has the argument why
 * that is safe). Not the directory, which every node keeps. */
#ifndef STORAGE_NODE_LEFTOVERS_H
#define STORAGE_NODE_LEFTOVERS_H

#include "storage/node/node_internal.h"

#ifdef __cplusplus
extern "C" {
#endif

struct leftovers;

MUST_CHECK enum err leftovers_new(struct node *n, struct leftovers **out);
/* The calls to other nodes have ended (others_close). NULL is fine. */
void leftovers_free(struct leftovers *l);
/* The courier's thread, once a second: asks about one of them. */
void leftovers_tick(struct leftovers *l);
/* The volume's thread between turns, twice a second: looks who hears a leader, and throws away what was answered for.
 */
void leftovers_run(struct leftovers *l, uint64_t now_ms);

#ifdef __cplusplus
}
#endif

#endif /* STORAGE_NODE_LEFTOVERS_H */
