/* kv on LMDB 0.9: one environment, one unnamed database, MDB_NOTLS, no WRITEMAP, no DUPSORT; a commit is
 * one flush of a write-ahead log (wal.h), the pages follow at checkpoints (checkpoint.h), made by a thread of the
 * store. Big sparse map set at open. Stale readers are cleared at open. Opened once per process.
 *
 * Threads: any may begin and end read transactions (they are pooled, renewed rather than reopened; at most readers_max
 * at a time: ERR_OVERLOAD); a write transaction stays on its thread. Cursors are closed before their transaction ends.
 *
 * A failed fsync, EIO or a fatal environment aborts the process (ARCHITECTURE, section 8); ENOSPC and MDB_MAP_FULL are
 * ERR_FULL. flush_delay_ms (benchmarks only) sleeps N ms in each flush: one in a commit. */
#ifndef STORAGE_KV_KV_LMDB_H
#define STORAGE_KV_KV_LMDB_H

#include "proto/base/buf.h"
#include "proto/base/kv.h"

#ifdef __cplusplus
extern "C" {
#endif

struct kv_lmdb_config {
    const char *path;        /* file; the lock file, write-ahead log and checkpoint lie beside it (storage/kv/README) */
    uint64_t map_bytes;      /* sparse; default 1 TiB */
    uint32_t readers_max;    /* default 512 */
    uint32_t flush_delay_ms; /* 0 */
    uint64_t checkpoint_bytes; /* a checkpoint at the latest after so many bytes of log; default 64 MiB, less on small
                                  disks */
    bool checkpoint_inline;    /* tests: made by the committing thread, by bytes only */
};

/* Carries out what the write-ahead log has behind the last checkpoint: up to some 100 MiB. ERR_IO, ERR_LOCKED (another
 * process has it open: held by flock on the path), ERR_CORRUPT (not an LMDB file; its log or checkpoint is damaged,
 * missing or of another volume), ERR_FULL, with the reason in why. */
MUST_CHECK enum err kv_lmdb_open(const struct kv_lmdb_config *cfg, struct kv **out, struct buf *why);
/* Puts a volume that was not closed back to its last checkpoint, so that kv_pages_verify finds a whole tree; opening it
 * then carries out its log. What is no volume, or another one's, stays as it is. ERR_IO, ERR_LOCKED. */
MUST_CHECK enum err kv_lmdb_settle(const char *path, struct buf *why);

#ifdef __cplusplus
}
#endif

#endif /* STORAGE_KV_KV_LMDB_H */
