/* The store of a node: opened, seen to be this node's, and whole. */
#include <stdio.h>

#include "replication/volume_owner.h"
#include "storage/kv/kv_lmdb.h"
#include "storage/node/peers.h"

/* What a node that was away may still catch up with (ARCHITECTURE, section 8). */
#define LOG_ENTRIES 100000
#define LOG_BYTES ((uint64_t)512 << 20)
#define LOG_AGE_MS ((uint64_t)24 * 3600 * 1000)
/* A sole voter's log serves nobody; it only delays the deletion of dead bodies. */
#define SOLE_LOG_BYTES ((uint64_t)4 << 20)
#define SOLE_LOG_ENTRY_BYTES 16384 /* entries that are smaller count so much: each delays a walk, whatever its size */

static uint64_t disk_free(void *ctx)
{
    const struct node *n = ctx;
    return node_dir_free_bytes(n->data_dir);
}

static enum err owner_put(struct node *n, const struct volume_owner *o)
{
    struct kv_txn *t;
    enum err e = kv_begin(n->kv, true, &t);
    if (e != OK) {
        return e;
    }
    e = volume_owner_put(t, o);
    if (e != OK) {
        kv_abort(t);
        return e;
    }
    return kv_commit(t);
}

/* The store must be this node's; one from before this was written down becomes it. */
static enum err owner_check(struct node *n, struct buf *why)
{
    struct volume_owner want = {.cluster = n->identity.cluster, .node = n->identity.node};
    struct volume_owner have = {0};
    struct kv_txn *t;
    enum err e = kv_begin(n->kv, false, &t);
    if (e != OK) {
        return e;
    }
    e = volume_owner_get(t, &have);
    kv_abort(t);
    if (e == ERR_NOTFOUND) {
        return owner_put(n, &want);
    }
    if (e == OK && u128_eq(&have.cluster, &want.cluster) && have.node.v == want.node.v) {
        return OK;
    }
    char hex[33];
    u128_hex(&have.cluster, hex);
    enum err said = e == OK ? buf_printf(why,
                                         "%s: volume.mdb is the store of node %llu of cluster %s, not of the node in "
                                         "node.id: put the right one back",
                                         n->data_dir, (unsigned long long)have.node.v, hex)
                            : buf_printf(why, "%s: volume.mdb does not say whose it is: %s", n->data_dir, err_text(e));
    (void)said; /* a courtesy */
    return e == OK ? ERR_CORRUPT : e;
}

enum err node_store_open(struct node *n, const struct node_config *cfg, struct buf *why)
{
    char path[1100];
    snprintf(path, sizeof(path), "%s/volume.mdb", n->data_dir);
    struct kv_lmdb_config kc = {.path = path, .map_bytes = cfg->map_bytes, .flush_delay_ms = cfg->flush_delay_ms};
    enum err e = kv_lmdb_open(&kc, &n->kv, why);
    if (e == OK) {
        e = owner_check(n, why);
    }
    if (e != OK) {
        return e;
    }
    uint64_t sole = cfg->sole_log_bytes == 0 ? SOLE_LOG_BYTES : cfg->sole_log_bytes;
    struct volume_config vc = {.kv = n->kv,
                               .clock = n->clock,
                               .rng = n->rng,
                               .log_entries_max = LOG_ENTRIES,
                               .log_bytes_max = LOG_BYTES,
                               .log_age_ms = LOG_AGE_MS,
                               .sole_entries_max = sole / SOLE_LOG_ENTRY_BYTES,
                               .sole_bytes_max = sole,
                               .copy_bytes_per_s = cfg->copy_bytes_per_s,
                               .reserve_bytes = cfg->reserve_bytes,
                               .lease_drift_percent = cfg->lease_drift_percent,
                               .send = peers_send,
                               .flush = peers_flush,
                               .send_ctx = n,
                               .disk_free = disk_free,
                               .disk_ctx = n};
    return volume_open(&vc, &n->volume);
}

/* A node that had all its replicas has voted with them: none is made anew. */
enum err node_store_check(const struct node *n, struct buf *why)
{
    size_t found;
    volume_found(n->volume, &found);
    if (!n->identity.made || found >= n->n_shards) {
        return OK;
    }
    enum err e = buf_printf(why,
                            "%s: the store has %zu of %u replicas, and with the others this node's votes are gone: put "
                            "the store back, or empty the directory and let the node join anew (`pillarbox ctl node "
                            "add --replace`)",
                            n->data_dir, found, n->n_shards);
    (void)e; /* a courtesy */
    return ERR_CORRUPT;
}
