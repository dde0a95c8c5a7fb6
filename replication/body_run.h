/* What body.c (chunks, death) and body_piece.c (staged bodies) share. */
#ifndef REPLICATION_BODY_RUN_H
#define REPLICATION_BODY_RUN_H

#include "replication/body.h"
#include "replication/volume.h"

/* Bytes [from, to) of a body's own chunks. ERR_NOTFOUND when they are not all there; what was appended stays. */
MUST_CHECK enum err body_range_read(struct kv_cursor *c, uint32_t replica, uint64_t index, uint16_t ordinal,
                                    uint64_t from, uint64_t to, struct buf *out);
/* Bytes of a body's own chunks, 0 = none. */
MUST_CHECK enum err body_chunk_bytes(struct kv_cursor *c, uint32_t replica, uint64_t index, uint16_t ordinal,
                                     uint64_t *out_bytes);

bool body_piece_is_of(struct slice key, uint32_t replica, uint64_t staged);
MUST_CHECK enum err body_pieces_read(struct kv_cursor *c, uint32_t replica, uint64_t staged, uint64_t from, uint64_t to,
                                     struct buf *out);
MUST_CHECK enum err body_pieces_bytes(struct kv_cursor *c, uint32_t replica, uint64_t staged, uint64_t *out_bytes);

#endif /* REPLICATION_BODY_RUN_H */
