/* Writes IMAP text (RFC 3501, 4) into a buf and remembers the first error, so that a long line of writes needs one
 * check. Strings are quoted when they can be and non-synchronizing literals when they hold 8-bit or CR; folds are
 * undone on the way; a NUL, which IMAP cannot carry, becomes "?". */
#ifndef PROTO_MESSAGE_TEXT_OUT_H
#define PROTO_MESSAGE_TEXT_OUT_H

#include "proto/base/buf.h"

#ifdef __cplusplus
extern "C" {
#endif

struct msg_out {
    struct buf *b;
    enum err err; /* the first; nothing is written after it */
};

struct msg_out msg_out_make(struct buf *b);
/* The way out of msg_out_bytes when the block has no room. */
void msg_out_slow(struct msg_out *o, const void *p, size_t n);

/* Inline with the common case first: records are written in pieces of a few bytes. */
static inline void msg_out_bytes(struct msg_out *o, const void *p, size_t n)
{
    struct buf *b = o->b;
    if (o->err == OK && n < b->cap - b->off - b->len && n <= b->limit_bytes - b->len) {
        memcpy(b->base + b->off + b->len, p, n);
        b->len += n;
    } else if (n > 0) {
        msg_out_slow(o, p, n);
    }
}

static inline void msg_out_str(struct msg_out *o, const char *z)
{
    msg_out_bytes(o, z, strlen(z));
}

static inline void msg_out_slice(struct msg_out *o, struct slice s)
{
    if (s.n > 0) {
        msg_out_bytes(o, s.p, s.n);
    }
}

static inline void msg_out_u8(struct msg_out *o, char c)
{
    msg_out_bytes(o, &c, 1);
}

void msg_out_dec(struct msg_out *o, uint32_t v);
/* Takes at most bytes_max (>= 24) bytes of output: the string is cut to it. */
void msg_out_string(struct msg_out *o, struct slice s, size_t bytes_max);
/* NIL when s.p is NULL. */
void msg_out_nstring(struct msg_out *o, struct slice s, size_t bytes_max);

#ifdef __cplusplus
}
#endif

#endif /* PROTO_MESSAGE_TEXT_OUT_H */
