#include "frontend/imap/imap_out.h"

#include "frontend/imap/imap_utf7.h"
#include "proto/base/assert.h"
#include "proto/base/mem.h"

#define QUOTED_BYTES_MAX 1000
#define ENCODED_NAME_BYTES_MAX ((size_t)16 * 1024)

void imap_out_init(struct imap_out *o, enum err (*sink)(void *user, struct slice bytes), void *user)
{
    *o = (struct imap_out){.sink = sink, .user = user};
}

void imap_out_flush(struct imap_out *o)
{
    if (o->used > 0 && o->err == OK) {
        o->err = o->sink(o->user, slice_make(o->base, o->used));
        o->total += o->used;
    }
    o->used = 0;
}

void imap_out_release(struct imap_out *o)
{
    mem_free(o->base);
    o->base = NULL;
    o->used = 0;
}

uint8_t *imap_out_room_slow(struct imap_out *o, size_t n)
{
    ASSERT(n <= IMAP_OUT_BYTES);
    if (n > IMAP_OUT_BYTES - o->used) {
        imap_out_flush(o);
    }
    if (o->base == NULL && o->err == OK) {
        o->base = mem_alloc(IMAP_OUT_BYTES);
        o->err = o->base == NULL ? ERR_NOMEM : OK;
    }
    return o->err == OK ? o->base + o->used : NULL;
}

void imap_out_bytes_slow(struct imap_out *o, const void *p, size_t n)
{
    if (n < IMAP_OUT_BYTES / 2) {
        uint8_t *to = imap_out_room_slow(o, n);
        if (to != NULL) {
            memcpy(to, p, n);
            o->used += n;
        }
        return;
    }
    imap_out_flush(o);
    if (o->err == OK) {
        o->err = o->sink(o->user, slice_make(p, n));
        o->total += n;
    }
}

static bool quotable(struct slice s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == 0 || s.p[i] >= 0x80 || s.p[i] == '\r' || s.p[i] == '\n') {
            return false;
        }
    }
    return s.n <= QUOTED_BYTES_MAX;
}

static void quoted(struct imap_out *o, struct slice s)
{
    imap_out_char(o, '"');
    size_t from = 0;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '"' || s.p[i] == '\\') {
            imap_out_slice(o, slice_sub(s, from, i));
            imap_out_char(o, '\\');
            from = i;
        }
    }
    imap_out_slice(o, slice_sub(s, from, s.n));
    imap_out_char(o, '"');
}

void imap_out_string(struct imap_out *o, struct slice s)
{
    if (quotable(s)) {
        quoted(o, s);
        return;
    }
    imap_out_char(o, '{');
    imap_out_u64(o, s.n);
    imap_out_str(o, "}\r\n");
    imap_out_slice(o, s);
}

void imap_out_mailbox(struct imap_out *o, const char *name)
{
    struct buf b;
    buf_init(&b, ENCODED_NAME_BYTES_MAX);
    enum err e = imap_utf7_encode(slice_str(name), &b);
    if (e == OK) {
        quoted(o, buf_slice(&b));
    } else if (o->err == OK) {
        o->err = e; /* storage gave a name that is not UTF-8 */
    }
    buf_fini(&b);
}
