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

struct node_facts {
    struct node_id id;
    struct u128 cluster_id;
    uint64_t uptime_ms;
    bool read_only;  /* above the watermark */
    uint32_t shards; /* account shards; numbers 0..shards exist */
};

struct node_info {
    void *ctx;
    void (*facts)(void *ctx, struct node_facts *out);
    void (*shard)(void *ctx, struct shard_id shard, struct node_shard_info *out);
    /* Which node leads a shard, 0 = unknown. */
    struct node_id (*leader)(void *ctx, struct shard_id shard);
};

#ifdef __cplusplus
}
#endif

#endif /* STORAGE_METHOD_NODE_INFO_H */
