/* Bodies: bytes that travel with an entry, or are staged for it, stored once in their own chunk rows. Read, kill and
 * size are part of the public contract (replication/volume.h); here is what the volume does with them. */
#ifndef REPLICATION_BODY_H
#define REPLICATION_BODY_H

#include "proto/base/kv.h"
#include "replication/group.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Writes the chunks of bytes [off, off + n) of a body; off is a multiple of REPL_BODY_CHUNK_DATA. */
MUST_CHECK enum err body_write(struct kv_txn *t, uint32_t replica, uint64_t index, uint16_t ordinal, uint64_t off,
                               struct slice bytes);
MUST_CHECK enum err body_is_dead(struct kv_txn *t, uint32_t replica, uint64_t index, uint16_t ordinal, bool *out_dead);

/* The data of a chunk row. ERR_CORRUPT: checksum, place or size. */
MUST_CHECK enum err body_chunk_decode(struct slice key, struct slice row, struct slice *out_data);

/* Bodies killed by this thread since the process started: tells a volume that an apply made work for the purge. */
uint64_t body_kills(void);

/* Where a purge stands: it walks the dead bodies in key order, up to the log's head. */
struct body_purge {
    uint64_t index; /* next row to look at */
    uint16_t ordinal;
    uint64_t ripe_ms; /* earliest time at which a row seen so far may go, UINT64_MAX = none */
};

#define BODY_PURGE_START                                                                                               \
    {                                                                                                                  \
        .index = 0, .ordinal = 0, .ripe_ms = UINT64_MAX                                                                \
    }

/* Deletes dead bodies of entries below log_first that died retention_ms ago or earlier; *rows_left counts rows deleted
 * or looked at. *out_done: the walk came to its end (p->ripe_ms tells when the next one pays). *out_deleted: rows
 * deleted. */
MUST_CHECK enum err body_purge_step(struct kv_txn *t, uint32_t replica, struct body_purge *p, uint64_t log_first,
                                    uint64_t now_ms, uint64_t retention_ms, size_t *rows_left, size_t *out_deleted,
                                    bool *out_done);

#ifdef __cplusplus
}
#endif

#endif /* REPLICATION_BODY_H */
