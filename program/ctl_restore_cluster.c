#include <stdio.h>

#include "program/ctl_restore.h"
#include "proto/base/clock.h"
#include "proto/base/rng.h"
#include "replication/volume_owner.h"
#include "storage/backup/backup_restore.h"
#include "storage/kv/kv_lmdb.h"
#include "storage/node/node_dir.h"

static enum err owner_put(struct kv *kv, const struct node_identity *id)
{
    const struct volume_owner owner = {.cluster = id->cluster, .node = id->node};
    struct kv_txn *t;
    enum err e = kv_begin(kv, true, &t);
    if (e != OK) {
        return e;
    }
    e = volume_owner_put(t, &owner);
    if (e != OK) {
        kv_abort(t);
        return e;
    }
    return kv_commit(t);
}

static enum err fill(struct ctl *c, struct kv *kv, const struct node_identity *id, const struct backup_set *set,
                     const struct restore_asked *a, struct backup_restored *totals, struct buf *why)
{
    const struct backup_restore_config cfg = {.set = set,
                                              .dir = a->from,
                                              .kv = kv,
                                              .node = id->node,
                                              .until_ms = a->until_ms,
                                              .dedupe_ms = c->dedupe_ms,
                                              .new_cluster = true};
    enum err e = owner_put(kv, id);
    return e == OK ? backup_restore_cluster(&cfg, totals, why) : e;
}

/* The identity comes last: a directory that was left half-way is no node's. */
static enum err make(struct ctl *c, const struct backup_set *set, const struct restore_asked *a,
                     struct node_identity *id, struct backup_restored *totals, struct buf *why)
{
    char path[1200];
    struct kv *kv;
    enum err e = backup_dir_make(c->data_dir, why);
    if (e != OK) {
        return e;
    }
    snprintf(path, sizeof(path), "%s/volume.mdb", c->data_dir);
    const struct kv_lmdb_config kc = {.path = path, .map_bytes = c->map_bytes};
    e = kv_lmdb_open(&kc, &kv, why);
    if (e != OK) {
        return e;
    }
    e = fill(c, kv, id, set, a, totals, why);
    kv_close(kv);
    id->level = totals->level;
    return e == OK ? node_dir_restored(c->data_dir, id, why) : e;
}

int ctl_restore_cluster(struct ctl *c, const struct backup_set *set, const struct restore_asked *a)
{
    struct node_identity id = {.cluster = rng_u128(rng_system()), .node = {1}, .shards = set->shards, .made = true};
    struct backup_restored totals = {0};
    struct buf why;
    char hex[33];
    uint64_t began_us = clock_perf_us();
    buf_init(&why, 8192);
    enum err e = make(c, set, a, &id, &totals, &why);
    double s = (double)(clock_perf_us() - began_us) / 1e6;
    double mib = (double)totals.bytes / 1048576.0;
    if (e == OK) {
        u128_hex(&id.cluster, hex);
        printf("%s: cluster %s, node 1, %u shards: %llu rows, %llu log entries, %.1f MiB in %.1f s (%.1f MiB/s)\n",
               c->data_dir, hex, id.shards, (unsigned long long)totals.rows, (unsigned long long)totals.entries, mib, s,
               s > 0 ? mib / s : 0);
    } else {
        struct slice w = buf_slice(&why);
        fprintf(stderr, "pillarbox ctl: restore: %.*s%s\n", (int)w.n, (const char *)w.p, w.n == 0 ? err_text(e) : "");
    }
    buf_fini(&why);
    return e == OK ? 0 : 1;
}
