/* Bodies: bytes that travel with an entry, stored once in chunk rows of their own. A staged body is the entries that
 * brought it: each CHUNK entry's bytes are a body (its index, REPL_ORDINAL_PIECE), and piece rows name them under the
 * index that the body was reserved with. Read, kill and size are part of the public contract (replication/volume.h);
 * here is what the volume does with them. */
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
/* Deletes the chunks of every body of an entry: it is cut off the log. */
MUST_CHECK enum err body_drop(struct kv_txn *t, uint32_t replica, uint64_t index);
MUST_CHECK enum err body_is_dead(struct kv_txn *t, uint32_t replica, uint64_t index, uint16_t ordinal, bool *out_dead);

/* The data of a chunk row. ERR_CORRUPT: checksum, place or size. */
MUST_CHECK enum err body_chunk_decode(struct slice key, struct slice row, struct slice *out_data);

/* The data of a CHUNK entry, 16 bytes: whose bytes these are. */
struct body_piece {
    uint64_t staged; /* index of the reservation */
    uint64_t offset;
};
#define BODY_PIECE_BYTES 16
void body_piece_put(const struct body_piece *p, uint8_t out[BODY_PIECE_BYTES]);
MUST_CHECK enum err body_piece_get(struct slice data, struct body_piece *out);
/* Where a CHUNK entry's bytes belong: *out_adds when they continue the body. *out_status: OK (they do, or repeat a
 * piece that is there), ERR_INVAL (a gap, or it overlaps), ERR_STALE (the body is dead). */
MUST_CHECK enum err body_piece_place(struct kv_txn *t, uint32_t replica, const struct body_piece *p, uint32_t bytes,
                                     bool *out_adds, enum err *out_status);
/* Makes the bytes of entry `index`, stored already, the body's next piece. Only when body_piece_place says that it
 * adds.
 */
MUST_CHECK enum err body_piece_store(struct kv_txn *t, uint32_t replica, uint64_t index, const struct body_piece *p,
                                     uint32_t bytes);
/* The fields of a piece row. ERR_CORRUPT. */
struct body_piece_row {
    uint64_t index;
    uint32_t bytes;
};
MUST_CHECK enum err body_piece_row_decode(struct slice key, struct slice row, struct body_piece_row *out);

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
