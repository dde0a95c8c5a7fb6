/* What the read methods may ask of the node around them: filled by storage/node, NULL in tests that have none. */
#ifndef STORAGE_METHOD_NODE_INFO_H
#define STORAGE_METHOD_NODE_INFO_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/base/id.h"

#ifdef __cplusplus
extern "C" {
#endif

struct node_facts {
    const char *version;
    struct u128 cluster;
    struct node_id node;
    uint32_t shards; /* account shards: 1..shards */
    uint64_t uptime_ms;
    uint64_t map_bytes;
    uint64_t used_bytes;
    uint64_t file_bytes;
    bool read_only; /* above the watermark: what grows is refused */
};

struct node_shard_facts {
    bool leads;
    uint64_t term;
    uint8_t prefix[5]; /* of its state */
};

struct node_info {
    void *ctx;
    void (*facts)(void *ctx, struct node_facts *out);
    /* False when the node holds no replica of the shard. */
    bool (*shard)(void *ctx, struct shard_id shard, struct node_shard_facts *out);
};

#ifdef __cplusplus
}
#endif

#endif /* STORAGE_METHOD_NODE_INFO_H */
