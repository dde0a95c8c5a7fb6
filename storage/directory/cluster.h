/* The cluster's settings and its pinned shards, in the directory: keys 'v' (one packed ClusterRow) and 'p' shard(4) (a
 * packed ShardRow each), proto/schema/read.proto. */
#ifndef STORAGE_DIRECTORY_CLUSTER_H
#define STORAGE_DIRECTORY_CLUSTER_H

#include "proto/rpc/level.h"
#include "proto/schema/read.pb-c.h"
#include "storage/directory/directory.h"

#ifdef __cplusplus
extern "C" {
#endif

#define DIR_REPLICAS_MAX 5

struct dir_cluster {
    uint32_t level;    /* LEVEL_FIRST and up */
    uint32_t replicas; /* of a shard that is not pinned */
};

/* The defaults when nothing was ever set. ERR_CORRUPT. */
MUST_CHECK enum err dir_cluster_get(const struct store *s, struct arena *a, struct dir_cluster *out);
MUST_CHECK enum err dir_cluster_put(const struct store *s, const struct dir_cluster *c);
/* 1, 3, 5: an even number survives no more failures than one less. */
bool dir_replicas_valid(size_t n);

/* ERR_NOTFOUND, ERR_CORRUPT. In the arena. */
MUST_CHECK enum err dir_pin_get(const struct store *s, struct arena *a, struct shard_id shard, Pb__ShardRow **out);
MUST_CHECK enum err dir_pin_put(const struct store *s, const Pb__ShardRow *row);
MUST_CHECK enum err dir_pin_del(const struct store *s, struct shard_id shard);

struct dir_pins {
    size_t n;
    Pb__ShardRow **rows; /* ascending by shard; in the arena */
};
MUST_CHECK enum err dir_pins_get(const struct store *s, struct arena *a, struct dir_pins *out);

#ifdef __cplusplus
}
#endif

#endif /* STORAGE_DIRECTORY_CLUSTER_H */
