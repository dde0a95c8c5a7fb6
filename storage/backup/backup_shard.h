/* A shard being restored, shared by backup_restore.c (what it is made of) and backup_cluster.c (all of them together).
 */
#ifndef STORAGE_BACKUP_BACKUP_SHARD_H
#define STORAGE_BACKUP_BACKUP_SHARD_H

#include "replication/restore.h"
#include "storage/apply/entry.h"
#include "storage/backup/backup_io.h"
#include "storage/backup/backup_restore.h"

struct backup_shard {
    const struct backup_restore_config *cfg;
    struct shard_id shard;
    struct restore *r;
    struct storage_fsm *fsm;
    struct backup_source source; /* the file in hand */
    struct backup_restored *out;
    struct buf *why;
};

/* Rows and entries, committed; the group is not one yet. The first four members are set, or 0. */
MUST_CHECK enum err backup_shard_fill(struct backup_shard *x);
MUST_CHECK enum err backup_shard_end(struct backup_shard *x);
void backup_shard_fini(struct backup_shard *x);

#endif /* STORAGE_BACKUP_BACKUP_SHARD_H */
