/* The data directory: made when missing (mode 0700), with `node.id`, a small text file that says whose it is:
 *
 *     pillarbox-data 1
 *     cluster 0123456789abcdef0123456789abcdef
 *     node 1
 *     shards 64
 *
 * A directory of another format version is refused; so is one whose number of shards differs from an explicit
 * configuration. node.id is written to a new name, flushed and renamed, so that it is whole or absent. */
#ifndef STORAGE_NODE_NODE_DIR_H
#define STORAGE_NODE_NODE_DIR_H

#include "proto/base/buf.h"
#include "proto/base/id.h"

#ifdef __cplusplus
extern "C" {
#endif

#define NODE_DIR_FORMAT 1

struct node_identity {
    struct u128 cluster;
    struct node_id node;
    uint32_t shards;
};

/* Reads the identity, or makes the directory and a fresh one (new cluster, node 1, `shards`). ERR_IO, ERR_CORRUPT,
 * ERR_UNSUPPORTED (a newer format), with the reason in why. */
MUST_CHECK enum err node_dir_open(const char *path, uint32_t shards, struct node_identity *out, struct buf *why);
/* Only reads: ERR_NOTFOUND when there is none. */
MUST_CHECK enum err node_dir_read(const char *path, struct node_identity *out, struct buf *why);
/* Free bytes of the directory's file system for unprivileged users. */
uint64_t node_dir_free_bytes(const char *path);

#ifdef __cplusplus
}
#endif

#endif /* STORAGE_NODE_NODE_DIR_H */
