/* The data directory: made when missing (mode 0700), with `node.id`, a small text file that says whose it is:
 *
 *     pillarbox-data 1
 *     cluster 0123456789abcdef0123456789abcdef
 *     node 1
 *     shards 64
 *     made yes
 *     level 2
 *
 * `made` is added once the store has a replica of every shard: from then on a store that is missing, or has fewer, has
 * lost the node's votes and is refused. `level` is the cluster's (proto/rpc/level.h) once that is above the first; the
 * format is 2 then, so that a program older than levels refuses the directory, and a later one does so if it does not
 * know the level. A directory of another format version is refused. Files are written
 * under a new name, flushed and renamed, so that they are whole or absent.
 *
 * A directory that waits to join a cluster has `node.claim`, the token by which it claims its row of the node table:
 *
 *     pillarbox-claim 1
 *     token 0123456789abcdef0123456789abcdef
 *
 * One process at a time, but node_dir_found may meet a node that waits: node.id is then one's or the other's. */
#ifndef STORAGE_NODE_NODE_DIR_H
#define STORAGE_NODE_NODE_DIR_H

#include "proto/base/buf.h"
#include "proto/base/id.h"

#ifdef __cplusplus
extern "C" {
#endif

#define NODE_DIR_FORMAT 1
#define NODE_DIR_FORMAT_LEVEL 2 /* with a level */

struct node_identity {
    struct u128 cluster;
    struct node_id node;
    uint32_t shards;
    bool made;     /* the store has had all its replicas */
    uint8_t level; /* of the cluster, as far as this node has seen */
};

/* Reads the identity, or makes the directory and a fresh one (new cluster, node 1, `shards`). ERR_IO, ERR_CORRUPT (also
 * a store without identity, or an identity whose store is gone), ERR_UNSUPPORTED (a newer format), with the reason in
 * why. */
MUST_CHECK enum err node_dir_open(const char *path, uint32_t shards, struct node_identity *out, struct buf *why);
/* Only reads: ERR_NOTFOUND when there is none. */
MUST_CHECK enum err node_dir_read(const char *path, struct node_identity *out, struct buf *why);
/* For an operator: makes the directory and a fresh identity. ERR_EXISTS when it has one. */
MUST_CHECK enum err node_dir_found(const char *path, uint32_t shards, struct node_identity *out, struct buf *why);
/* The token of a directory that waits to join: read, or made (with the directory) and flushed. ERR_IO, ERR_CORRUPT. */
MUST_CHECK enum err node_dir_claim_token(const char *path, struct u128 *out, struct buf *why);
/* The store that was made in it (storage/backup) is that node's. ERR_EXISTS when it has an identity. */
MUST_CHECK enum err node_dir_restored(const char *path, const struct node_identity *id, struct buf *why);
/* The directory has joined a cluster as that node. ERR_EXISTS when it has another identity. */
MUST_CHECK enum err node_dir_adopt(const char *path, const struct node_identity *id, struct buf *why);
/* Adds `made yes`, also to io_id. */
MUST_CHECK enum err node_dir_made(const char *path, struct node_identity *io_id, struct buf *why);
/* Notes the cluster's level, also in io_id. */
MUST_CHECK enum err node_dir_level(const char *path, uint8_t level, struct node_identity *io_id, struct buf *why);
/* Free bytes of the directory's file system for unprivileged users. */
uint64_t node_dir_free_bytes(const char *path);

#ifdef __cplusplus
}
#endif

#endif /* STORAGE_NODE_NODE_DIR_H */
