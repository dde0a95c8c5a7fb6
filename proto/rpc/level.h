/* What a cluster's nodes may write, as long as some of them run an older program.
 *
 * Every replica must make the same of an entry, so a node may only propose what all nodes know. The cluster has a level
 * (directory shard, OpClusterSet); it begins at LEVEL_FIRST and is raised by the directory's leader once every node
 * says that its program knows the next one (deploy/docs/CLUSTER.md, Versions). Until then what needs it is refused
 * with ERR_UNSUPPORTED. Entries carry the level that they were proposed at, so that an operation whose meaning changes
 * is still applied everywhere as it was meant: apply looks at the entry's level, never at the program's.
 *
 * To add an operation, or a field to one: a line in level.c, with LEVEL_NOW, or LEVEL_NOW + 1 once that was released.
 */
#ifndef PROTO_RPC_LEVEL_H
#define PROTO_RPC_LEVEL_H

#include "proto/base/bytes.h"

#ifdef __cplusplus
extern "C" {
#endif

#define LEVEL_FIRST 1
/* 2: nodes that drain or are away, zones, settings of the cluster, pinned shards; expunged messages that are kept;
 * accounts that move. */
#define LEVEL_NOW 2

/* The level that a write request needs. meta: the packed request, of any origin. */
uint8_t level_needed(unsigned method, struct slice meta);

#ifdef __cplusplus
}
#endif

#endif /* PROTO_RPC_LEVEL_H */
