/* From a backup's directory back to a shard's replica in a store (replication/restore.h), and verification of a
 * directory without that. Offline: nobody else has the store. Blocks. why says what is wrong, with file and offset. */
#ifndef STORAGE_BACKUP_BACKUP_RESTORE_H
#define STORAGE_BACKUP_BACKUP_RESTORE_H

#include "proto/base/kv.h"
#include "storage/backup/backup_set.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A restored group goes on so far above every index that the backup knows of: the saved group went on too, and others
 * remember what it did then (handoffs to other shards, which may have been saved later). */
#define BACKUP_INDEX_GAP ((uint64_t)1 << 20)

struct backup_restore_config {
    const struct backup_set *set;
    const char *dir;
    struct kv *kv;
    struct node_id node;
    uint64_t until_ms;  /* entries of later are left out; BACKUP_NOW: none */
    uint64_t dedupe_ms; /* as the node's, storage/apply/entry.h */
    bool new_cluster;   /* the node table is emptied, and no shard is pinned: the nodes are another cluster's */
};

struct backup_restored {
    uint8_t prefix[5]; /* of its state */
    uint64_t index;    /* the last entry that is in it */
    uint64_t rows, entries, bytes;
    uint8_t level;    /* of the cluster (proto/rpc/level.h); of shard 0 */
    uint64_t settled; /* of a cluster: handoffs that were delivered before the other shard was saved */
};

/* The store may have other shards, not this one. ERR_INVAL, ERR_NOTFOUND (the backup does not reach to that time, or
 * has nothing of the shard), ERR_CORRUPT, ERR_UNSUPPORTED, ERR_IO, ERR_FULL, ERR_NOMEM. */
MUST_CHECK enum err backup_restore_shard(const struct backup_restore_config *cfg, struct shard_id shard,
                                         struct backup_restored *out, struct buf *why);

/* All shards, 0 to set->shards, into an empty store, and handoffs between them settled (backup_cluster.c). Totals only.
 * As above. */
MUST_CHECK enum err backup_restore_cluster(const struct backup_restore_config *cfg, struct backup_restored *out_totals,
                                           struct buf *why);

/* A backup that comes as a stream (`ctl backup -`) into a directory that was made for it, as if it had been taken
 * there. Files are checked as they come; the manifest, which ends the stream, is written last. ERR_CORRUPT: damaged, or
 * the stream ended before. */
MUST_CHECK enum err backup_receive(const char *dir, backup_read_fn read, void *ctx, struct backup_set *out,
                                   struct buf *why);

/* Reads a file of the backup, and checks all that can be checked without restoring. *out_records: rows or entries. */
MUST_CHECK enum err backup_verify_file(const char *dir, const struct backup_set *set, const struct backup_entry *file,
                                       uint64_t *out_records, struct buf *why);

#ifdef __cplusplus
}
#endif

#endif /* STORAGE_BACKUP_BACKUP_RESTORE_H */
