/* A growing byte buffer with a hard limit. Owns its memory; not thread-safe. Consumption from the front is amortised
 * O(1), so that it serves as a connection's input or output queue too. */
#ifndef PROTO_BASE_BUF_H
#define PROTO_BASE_BUF_H

#include <stddef.h>
#include <stdint.h>

#include "proto/base/err.h"
#include "proto/base/slice.h"

#ifdef __cplusplus
extern "C" {
#endif

struct buf {
    uint8_t *base;      /* allocated block, NULL when nothing was ever written */
    size_t off;         /* first live byte */
    size_t len;         /* live bytes */
    size_t cap;         /* bytes in the block */
    size_t limit_bytes; /* len never exceeds it: appends fail with ERR_LIMIT */
};

void buf_init(struct buf *b, size_t limit_bytes);
void buf_fini(struct buf *b);
/* Empties the buffer and keeps its block. */
void buf_reset(struct buf *b);
/* Gives the block back when the buffer is empty: idle connections hold no buffers. */
void buf_shrink(struct buf *b);

static inline struct slice buf_slice(const struct buf *b)
{
    return slice_make(b->base == NULL ? NULL : b->base + b->off, b->len);
}

/* All appends: ERR_LIMIT or ERR_NOMEM leave the buffer as it was. The source must not lie in the buffer itself. */
MUST_CHECK enum err buf_append(struct buf *b, const void *p, size_t n);
MUST_CHECK enum err buf_append_slice(struct buf *b, struct slice s);
MUST_CHECK enum err buf_append_str(struct buf *b, const char *z);
MUST_CHECK enum err buf_append_u8(struct buf *b, uint8_t c);
MUST_CHECK enum err buf_append_u64_dec(struct buf *b, uint64_t v);
MUST_CHECK __attribute__((format(printf, 2, 3))) enum err buf_printf(struct buf *b, const char *fmt, ...);
/* Room for n bytes at the end; write there, then buf_commit(b, written). The pointer is valid until the next call. */
MUST_CHECK enum err buf_reserve(struct buf *b, size_t n, uint8_t **out_p);
void buf_commit(struct buf *b, size_t n);
/* Drops n (<= len) bytes from the front / from the end. */
void buf_consume(struct buf *b, size_t n);
void buf_truncate(struct buf *b, size_t len);

#ifdef __cplusplus
}
#endif

#endif /* PROTO_BASE_BUF_H */
