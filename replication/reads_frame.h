/* The frames by which a leader asks whether it still leads (replication/reads.h), as bytes. Pure functions; what comes
 * from a peer is bounds-checked.
 *
 * Bytes, little-endian: kind(1) version(1) = 1, rows(2), life(8), round(8), for each row: shard(4) term(8)
 *
 *   PING  the asker's term of the shard
 *   PONG  life, round and shards of the ping, in its order; the term that the answerer has published. 0: it has no such
 *         replica, or it does not run yet */
#ifndef REPLICATION_READS_FRAME_H
#define REPLICATION_READS_FRAME_H

#include "proto/base/buf.h"
#include "proto/base/id.h"

#ifdef __cplusplus
extern "C" {
#endif

enum reads_frame_kind { READS_FRAME_PING = 2, READS_FRAME_PONG = 3 }; /* first byte of a frame between nodes */

#define READS_FRAME_HEAD_BYTES 20
#define READS_FRAME_ROW_BYTES 12
#define READS_FRAME_ROWS_MAX 4096
#define READS_FRAME_BYTES_MAX (READS_FRAME_HEAD_BYTES + READS_FRAME_ROWS_MAX * READS_FRAME_ROW_BYTES)

struct reads_frame {
    enum reads_frame_kind kind;
    uint16_t n; /* rows, at least one */
    uint64_t life;
    uint64_t round;
    struct slice rows; /* views the bytes */
};

struct reads_frame_row {
    struct shard_id shard;
    uint64_t term;
};

/* ERR_CORRUPT; ERR_UNSUPPORTED: another version. */
MUST_CHECK enum err reads_frame_get(struct slice bytes, struct reads_frame *out);
/* i < f->n. */
struct reads_frame_row reads_frame_row(const struct reads_frame *f, size_t i);

static inline size_t reads_frame_bytes(size_t n)
{
    return READS_FRAME_HEAD_BYTES + n * READS_FRAME_ROW_BYTES;
}
/* Both write into reads_frame_bytes(f->n) bytes; rows of f is not looked at. */
void reads_frame_put_head(uint8_t *p, const struct reads_frame *f);
void reads_frame_put_row(uint8_t *p, size_t i, struct reads_frame_row row);

#ifdef __cplusplus
}
#endif

#endif /* REPLICATION_READS_FRAME_H */
