/* kv on LMDB 0.9: one environment, one unnamed database, MDB_NOTLS, no WRITEMAP, no DUPSORT, synced commits (two
 * flushes). Big sparse map set at open. Stale readers are cleared at open. Opened once per process.
 *
 * Threads: any may begin and end read transactions (they are pooled, renewed rather than reopened; at most readers_max
 * at a time: ERR_OVERLOAD); a write transaction stays on its thread. Cursors are closed before their transaction ends.
 *
 * A failed fsync, EIO or a fatal environment aborts the process (ARCHITECTURE, section 8); ENOSPC and MDB_MAP_FULL are
 * ERR_FULL. flush_delay_ms (benchmarks only) sleeps 2N ms in each commit: one LMDB commit is two flushes. */
#ifndef STORAGE_KV_KV_LMDB_H
#define STORAGE_KV_KV_LMDB_H

#include "proto/base/buf.h"
#include "proto/base/kv.h"

#ifdef __cplusplus
extern "C" {
#endif

struct kv_lmdb_config {
    const char *path;        /* file; a lock file lies beside it ("-lock") */
    uint64_t map_bytes;      /* sparse; default 1 TiB */
    uint32_t readers_max;    /* default 512 */
    uint32_t flush_delay_ms; /* 0 */
    bool read_only;          /* for `ctl check` */
};

/* ERR_IO, ERR_LOCKED (another process has it open for writing: held by flock on the path), ERR_CORRUPT (not an LMDB
 * file), with the reason in why. */
MUST_CHECK enum err kv_lmdb_open(const struct kv_lmdb_config *cfg, struct kv **out, struct buf *why);

#ifdef __cplusplus
}
#endif

#endif /* STORAGE_KV_KV_LMDB_H */
