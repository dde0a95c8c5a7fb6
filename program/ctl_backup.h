/* Taking a backup: a node is asked for the shards one after the other, and files are written to a directory
 * (storage/backup). */
#ifndef PROGRAM_CTL_BACKUP_H
#define PROGRAM_CTL_BACKUP_H

#include "program/ctl.h"
#include "storage/backup/backup_set.h"

struct backup_run {
    struct ctl *ctl;
    const char *dir;
    bool stream;            /* files go to stdout, one after the other, instead of the directory */
    struct backup_set *set; /* what the directory has; files are added */
    uint64_t bytes_per_s;   /* 0: as fast as it goes */
    /* what was done */
    uint64_t began_us;
    uint64_t raw_bytes;
    uint64_t stored_bytes;
    uint64_t bases, logs;
    struct buf why;
};

/* The shard's state. A copy that ends before its time (another leader, too much written) is begun again, a few times.
 */
MUST_CHECK enum err ctl_backup_base(struct backup_run *r, struct shard_id shard);
/* What the log has beyond the set's last file of the shard. ERR_NOTFOUND: it does not reach back so far. ERR_STALE: it
 * is another history. Nothing is added then. */
MUST_CHECK enum err ctl_backup_log(struct backup_run *r, struct shard_id shard);

/* Ends a stream. */
MUST_CHECK enum err ctl_backup_stream_end(struct backup_run *r);

#endif /* PROGRAM_CTL_BACKUP_H */
