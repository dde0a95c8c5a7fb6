/* Replication between nodes: what the volume sends leaves in bundles over the peer links, what comes from them goes to
 * the volume's inbox; pings and their answers pass by the volume (deploy/docs/CLUSTER.md, Links and Reads).
 *
 * Threads: sending and flushing on the volume's, frames arrive on the links'. */
#ifndef STORAGE_NODE_PEERS_H
#define STORAGE_NODE_PEERS_H

#include "storage/node/node_internal.h"

#ifdef __cplusplus
extern "C" {
#endif

struct peers;

/* Without cfg->peer_listen the node stays alone: *out is NULL, which all of the below take. */
MUST_CHECK enum err peers_open(struct node *n, const struct node_config *cfg, struct peers **out, struct buf *why);
/* Nothing arrives or leaves any more. The volume's thread has ended, or never ran: what it did not take is dropped. */
void peers_stop(struct peers *p);
/* After volume_close, which lets go of what it kept. */
void peers_close(struct peers *p);

/* The volume's callbacks; ctx is the node. */
void peers_send(void *ctx, struct node_id to, bool bulk, struct slice message);
void peers_flush(void *ctx);

/* Dials what the node table says. */
void peers_follow_table(struct peers *p);
bool peers_is_up(struct peers *p, struct node_id id);

/* The inbox: oldest first. */
struct repl_received *peers_take(struct node *n);

#ifdef __cplusplus
}
#endif

#endif /* STORAGE_NODE_PEERS_H */
