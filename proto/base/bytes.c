#include "proto/base/bytes.h"

size_t varint_put(uint8_t *p, uint64_t v)
{
    size_t n = 0;
    while (v >= 0x80) {
        p[n] = (uint8_t)(v | 0x80);
        n++;
        v >>= 7;
    }
    p[n] = (uint8_t)v;
    return n + 1;
}

static const char digit_pairs[] = "00010203040506070809101112131415161718192021222324252627282930313233343536373839"
                                  "40414243444546474849505152535455565758596061626364656667686970717273747576777879"
                                  "8081828384858687888990919293949596979899";

static size_t dec_digits(uint64_t v)
{
    for (size_t n = 1;; n += 4, v /= 10000) {
        if (v < 10) {
            return n;
        }
        if (v < 100) {
            return n + 1;
        }
        if (v < 1000) {
            return n + 2;
        }
        if (v < 10000) {
            return n + 3;
        }
    }
}

/* Two digits a division, in their place at once: half of a FETCH response is numbers. */
size_t u64_dec_put(uint8_t *p, uint64_t v)
{
    size_t n = dec_digits(v);
    size_t at = n;
    for (; v >= 100; v /= 100) {
        at -= 2;
        memcpy(p + at, digit_pairs + 2 * (v % 100), 2);
    }
    if (v >= 10) {
        memcpy(p, digit_pairs + 2 * v, 2);
    } else {
        p[0] = (uint8_t)('0' + v);
    }
    return n;
}

/* NULL, and failed from now on, when fewer than n bytes are left. */
static const uint8_t *take(struct reader *r, size_t n)
{
    if (r->failed || n > (size_t)(r->end - r->p)) {
        r->failed = true;
        return NULL;
    }
    const uint8_t *p = r->p;
    if (n > 0) {
        r->p += n;
    }
    return p;
}

uint8_t reader_u8(struct reader *r)
{
    const uint8_t *p = take(r, 1);
    return p == NULL ? 0 : *p;
}

uint16_t reader_le16(struct reader *r)
{
    const uint8_t *p = take(r, 2);
    return p == NULL ? 0 : get_le16(p);
}

uint32_t reader_le32(struct reader *r)
{
    const uint8_t *p = take(r, 4);
    return p == NULL ? 0 : get_le32(p);
}

uint64_t reader_le64(struct reader *r)
{
    const uint8_t *p = take(r, 8);
    return p == NULL ? 0 : get_le64(p);
}

uint64_t reader_varint(struct reader *r)
{
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        const uint8_t *p = take(r, 1);
        if (p == NULL) {
            return 0;
        }
        bool too_large = shift == 63 && *p > 1;
        bool overlong = shift > 0 && *p == 0;
        if (too_large || overlong) {
            break;
        }
        v |= (uint64_t)(*p & 0x7f) << shift;
        if (*p < 0x80) {
            return v;
        }
    }
    r->failed = true;
    return 0;
}

struct slice reader_bytes(struct reader *r, size_t n)
{
    const uint8_t *p = take(r, n);
    return slice_make(p, p == NULL ? 0 : n);
}
