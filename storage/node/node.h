/* A storage node: the thin shell of threads, RPC and queues around the deterministic parts (volume, apply, methods).
 *
 * In: RPC requests. Writes (method <= METHOD_WRITE_MAX) become proposals in the volume's inbox; reads go to the reader
 * pool, which answers from LMDB snapshots. Out: replies, change hints. Threads: one writer a volume, `readers` readers,
 * RPC's own; requests from within the process come on their callers'. */
#ifndef STORAGE_NODE_NODE_H
#define STORAGE_NODE_NODE_H

#include "proto/base/buf.h"
#include "proto/base/id.h"

#ifdef __cplusplus
extern "C" {
#endif

struct node;
struct rpc_tls; /* proto/rpc/tls.h */

struct node_config {
    const char *data_dir;        /* made when missing, mode 0700; holds node.id, volume.mdb, ctl.sock */
    uint32_t shards;             /* at first start; later starts use what the directory shard says */
    const char *const *rpc_urls; /* besides ipc://<data_dir>/ctl.sock, which is always there */
    size_t n_rpc_urls;
    const char *const *pub_urls;
    size_t n_pub_urls;
    uint32_t readers; /* reader threads; default 2 */
    uint64_t map_bytes;
    uint64_t reserve_bytes;         /* disk watermark */
    uint64_t undelete_retention_ms; /* of expunged messages; 0 = they are not kept */
    uint64_t copy_bytes_per_s;      /* sent of copies of replicas, all together; 0 = no bound */
    uint64_t sole_log_bytes;        /* of a shard whose only server this is: how much of the log stays; default 4 MiB */
    uint32_t flush_delay_ms;
    uint64_t dedupe_ms;           /* 15 minutes */
    uint32_t lease_drift_percent; /* of reads, 0 = no leases (replication/lease.h) */
    /* As other nodes and frontends should dial this one, for its row of the node table; NULL or empty: nothing to say.
     * Copied; at most 255 bytes. */
    const char *peer_address;
    const char *rpc_address;
    const char *events_address;
    uint64_t replace_after_ms; /* a node that is not reached for so long is replaced where there is room; 0: never */
    uint8_t level_max; /* of the cluster, as long as this node has a say (proto/rpc/level.h); 0: as the program knows */
    const char *peer_listen; /* where other nodes dial; NULL or empty: this one stays alone */
    /* Of tcp connections, outlive the node; NULL: plain. */
    const struct rpc_tls *rpc_tls;  /* RPC and hints */
    const struct rpc_tls *peer_tls; /* between nodes */
};

/* Opens or makes the data directory (cluster id, node id; a foreign or newer one, or one that lost its store, is
 * refused), starts serving. Node 1 makes the groups that are missing, as their only voter, until it has made them all
 * once; any other node opens empty replicas, which wait for the groups' leaders. */
MUST_CHECK enum err node_start(const struct node_config *cfg, struct node **out, struct buf *why);
/* Finishes what is in flight, commits, closes. Blocks. */
void node_stop(struct node *n);
/* True while every shard has a leader: this node, ready to serve, or another one that it follows. */
bool node_ready(const struct node *n);

#ifdef __cplusplus
}
#endif

#endif /* STORAGE_NODE_NODE_H */
