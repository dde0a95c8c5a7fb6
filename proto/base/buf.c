#include "proto/base/buf.h"

#include <stdarg.h>
#include <stdio.h>

#include "proto/base/assert.h"
#include "proto/base/bytes.h"
#include "proto/base/mem.h"

#define CAP_MIN 64
#define PRINTF_STACK_BYTES 256

void buf_init(struct buf *b, size_t limit_bytes)
{
    b->base = NULL;
    b->off = 0;
    b->len = 0;
    b->cap = 0;
    b->limit_bytes = limit_bytes;
}

void buf_fini(struct buf *b)
{
    mem_free(b->base);
    buf_init(b, b->limit_bytes);
}

void buf_reset(struct buf *b)
{
    b->off = 0;
    b->len = 0;
}

void buf_shrink(struct buf *b)
{
    if (b->len == 0) {
        buf_fini(b);
    }
}

/* The block may be half as large again as the limit: then a full buffer that is consumed and refilled moves its bytes
 * at most twice for each one consumed. */
static size_t cap_for(const struct buf *b, size_t need)
{
    size_t max = b->limit_bytes + b->limit_bytes / 2;
    if (max < b->limit_bytes) {
        max = SIZE_MAX;
    }
    size_t cap = b->cap > max / 2 ? max : b->cap * 2;
    while (cap < need) {
        cap = cap < CAP_MIN ? CAP_MIN : cap > max / 2 ? max : cap * 2;
    }
    return cap > max ? max : cap;
}

static void move_to_front(struct buf *b)
{
    if (b->off > 0) {
        memmove(b->base, b->base + b->off, b->len);
        b->off = 0;
    }
}

static enum err make_room(struct buf *b, size_t n)
{
    if (b->limit_bytes < b->len || n > b->limit_bytes - b->len) {
        return ERR_LIMIT;
    }
    if (n <= b->cap - b->off - b->len) {
        return OK;
    }
    size_t need = b->len + n;
    if (need <= b->cap && b->off >= b->len / 2) {
        move_to_front(b);
        return OK;
    }
    move_to_front(b);
    size_t cap = cap_for(b, need);
    uint8_t *base = mem_realloc(b->base, cap);
    if (base == NULL) {
        return ERR_NOMEM;
    }
    b->base = base;
    b->cap = cap;
    return OK;
}

enum err buf_reserve(struct buf *b, size_t n, uint8_t **out_p)
{
    enum err e = make_room(b, n);
    if (e != OK) {
        return e;
    }
    *out_p = b->base == NULL ? NULL : b->base + b->off + b->len;
    return OK;
}

void buf_commit(struct buf *b, size_t n)
{
    ASSERT(n <= b->cap - b->off - b->len);
    b->len += n;
    ASSERT(b->len <= b->limit_bytes);
}

enum err buf_append(struct buf *b, const void *p, size_t n)
{
    if (n == 0) {
        return OK;
    }
    uint8_t *to;
    enum err e = buf_reserve(b, n, &to);
    if (e != OK) {
        return e;
    }
    memcpy(to, p, n);
    b->len += n;
    return OK;
}

enum err buf_append_slice(struct buf *b, struct slice s)
{
    return buf_append(b, s.p, s.n);
}

enum err buf_append_str(struct buf *b, const char *z)
{
    return buf_append(b, z, strlen(z));
}

enum err buf_append_u8(struct buf *b, uint8_t c)
{
    return buf_append(b, &c, 1);
}

enum err buf_append_u64_dec(struct buf *b, uint64_t v)
{
    uint8_t digits[U64_DEC_BYTES_MAX];
    return buf_append(b, digits, u64_dec_put(digits, v));
}

/* vsnprintf wants room for a NUL that the limit does not count, so long text goes through a block of its own. */
static enum err append_long(struct buf *b, size_t n, const char *fmt, va_list args)
    __attribute__((format(printf, 3, 0)));

static enum err append_long(struct buf *b, size_t n, const char *fmt, va_list args)
{
    if (b->limit_bytes < b->len || n > b->limit_bytes - b->len) {
        return ERR_LIMIT;
    }
    char *text = mem_alloc(n + 1);
    if (text == NULL) {
        return ERR_NOMEM;
    }
    (void)vsnprintf(text, n + 1, fmt, args);
    enum err e = buf_append(b, text, n);
    mem_free(text);
    return e;
}

enum err buf_printf(struct buf *b, const char *fmt, ...)
{
    char text[PRINTF_STACK_BYTES];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    if (n < 0) {
        return ERR_INVAL;
    }
    if ((size_t)n < sizeof(text)) {
        return buf_append(b, text, (size_t)n);
    }
    va_start(args, fmt);
    enum err e = append_long(b, (size_t)n, fmt, args);
    va_end(args);
    return e;
}

void buf_consume(struct buf *b, size_t n)
{
    ASSERT(n <= b->len);
    b->len -= n;
    b->off = b->len == 0 ? 0 : b->off + n;
}

void buf_truncate(struct buf *b, size_t len)
{
    ASSERT(len <= b->len);
    b->len = len;
}
