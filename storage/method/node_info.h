/* What STATUS and MAP need to know of the node they run on. storage/node fills it and gives it to every read context.
 * Called from reader threads. */
#ifndef STORAGE_METHOD_NODE_INFO_H
#define STORAGE_METHOD_NODE_INFO_H

#include "proto/base/id.h"
#include "proto/base/kv.h"

#ifdef __cplusplus
extern "C" {
#endif

struct node_shard_info {
    bool leads;
    uint64_t term; /* the latest that this node has seen, whoever leads; 0 = no replica here */
    uint64_t applied;
    uint64_t last_index;
    uint8_t prefix[5]; /* of its state, to count accounts and messages */
    bool here;         /* a replica is on this node: prefix is valid */
};

#define NODE_GROUP_SERVERS_MAX 16

/* The group of a shard that this node leads, as it was within the last second. */
struct node_group_info {
    uint64_t term, log_first, log_last;
    struct node_id leader;
    bool settled; /* as the node table wants it, all caught up */
    size_t n;
    struct {
        struct node_id node;
        bool voter;
        uint64_t behind; /* entries that its log lacks */
    } servers[NODE_GROUP_SERVERS_MAX];
};

struct node_facts {
    struct node_id id;
    struct u128 cluster_id;
    uint64_t uptime_ms;
    uint64_t wall_ms;
    bool read_only;  /* above the watermark */
    uint32_t shards; /* account shards; numbers 0..shards exist */
    uint8_t level;   /* that its program may be asked to understand (proto/rpc/level.h) */
};

struct node_info {
    void *ctx;
    void (*facts)(void *ctx, struct node_facts *out);
    void (*shard)(void *ctx, struct shard_id shard, struct node_shard_info *out);
    /* Which node leads a shard, 0 = unknown. */
    struct node_id (*leader)(void *ctx, struct shard_id shard);
    /* false: it does not lead the shard, or has not looked at it yet. */
    bool (*group)(void *ctx, struct shard_id shard, struct node_group_info *out);
};

#ifdef __cplusplus
}
#endif

#endif /* STORAGE_METHOD_NODE_INFO_H */
