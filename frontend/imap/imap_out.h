/* Output of a session: bytes are gathered in one block and handed to a sink (the connection) when it is full or
 * flushed. Errors stick, so that formatting code need not look at each step: after the first one nothing more is
 * written, and the session ends. The block is there only while a command runs. */
#ifndef FRONTEND_IMAP_IMAP_OUT_H
#define FRONTEND_IMAP_IMAP_OUT_H

#include "proto/base/bytes.h"
#include "proto/base/err.h"
#include "proto/base/slice.h"

#ifdef __cplusplus
extern "C" {
#endif

#define IMAP_OUT_BYTES ((size_t)16 * 1024)

struct imap_out {
    enum err (*sink)(void *user, struct slice bytes); /* may block the fiber (back-pressure) */
    void *user;
    uint8_t *base; /* IMAP_OUT_BYTES, NULL until the first byte */
    size_t used;
    enum err err;   /* sticks */
    uint64_t total; /* bytes given to the sink since the start, for the log */
};

void imap_out_init(struct imap_out *o, enum err (*sink)(void *user, struct slice bytes), void *user);
/* Hands over what is gathered. */
void imap_out_flush(struct imap_out *o);
/* Gives the block back; what was not flushed is lost. */
void imap_out_release(struct imap_out *o);

/* Makes room for n <= IMAP_OUT_BYTES bytes at the end and gives the place to write, or NULL after an error. Then
 * commit. */
uint8_t *imap_out_room_slow(struct imap_out *o, size_t n);

static inline uint8_t *imap_out_room(struct imap_out *o, size_t n)
{
    if (o->base != NULL && n <= IMAP_OUT_BYTES - o->used && o->err == OK) {
        return o->base + o->used;
    }
    return imap_out_room_slow(o, n);
}

static inline void imap_out_commit(struct imap_out *o, size_t n)
{
    o->used += n;
}

void imap_out_bytes_slow(struct imap_out *o, const void *p, size_t n);

static inline void imap_out_bytes(struct imap_out *o, const void *p, size_t n)
{
    if (o->base != NULL && n <= IMAP_OUT_BYTES - o->used && o->err == OK) {
        memcpy(o->base + o->used, p, n);
        o->used += n;
        return;
    }
    imap_out_bytes_slow(o, p, n);
}

static inline void imap_out_slice(struct imap_out *o, struct slice s)
{
    if (s.n > 0) {
        imap_out_bytes(o, s.p, s.n);
    }
}

static inline void imap_out_str(struct imap_out *o, const char *z)
{
    imap_out_bytes(o, z, strlen(z));
}

static inline void imap_out_char(struct imap_out *o, char c)
{
    imap_out_bytes(o, &c, 1);
}

static inline void imap_out_u64(struct imap_out *o, uint64_t v)
{
    uint8_t *p = imap_out_room(o, U64_DEC_BYTES_MAX);
    if (p != NULL) {
        imap_out_commit(o, u64_dec_put(p, v));
    }
}

/* string: quoted when it can be (7-bit, no CR, LF or NUL, short), else a literal. */
void imap_out_string(struct imap_out *o, struct slice s);
/* A mailbox name, UTF-8 inside, as a quoted string of modified UTF-7. */
void imap_out_mailbox(struct imap_out *o, const char *name);

#ifdef __cplusplus
}
#endif

#endif /* FRONTEND_IMAP_IMAP_OUT_H */
