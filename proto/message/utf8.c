#include "proto/message/utf8.h"

/* Bytes of the character that starts with b, or 0; and the range its second byte must be in. */
static unsigned char_bytes(uint8_t b, uint8_t *lo, uint8_t *hi)
{
    *lo = b == 0xe0 ? 0xa0 : b == 0xf0 ? 0x90 : 0x80;
    *hi = b == 0xed ? 0x9f : b == 0xf4 ? 0x8f : 0xbf;
    if (b < 0xc2 || b > 0xf4) {
        return b < 0x80 ? 1 : 0;
    }
    return b < 0xe0 ? 2 : b < 0xf0 ? 3 : 4;
}

static size_t ascii_bytes(const uint8_t *p, size_t n)
{
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        uint64_t v;
        memcpy(&v, p + i, sizeof(v));
        if ((v & UINT64_C(0x8080808080808080)) != 0) {
            break;
        }
    }
    while (i < n && p[i] < 0x80) {
        i++;
    }
    return i;
}

/* The bytes of one character that are there and right. */
static unsigned good_bytes(const uint8_t *p, size_t n, unsigned want, uint8_t lo, uint8_t hi)
{
    unsigned i = 1;
    while (i < want && i < n && p[i] >= (i == 1 ? lo : 0x80) && p[i] <= (i == 1 ? hi : 0xbf)) {
        i++;
    }
    return i;
}

size_t utf8_valid_bytes(struct slice s, enum utf8_stop *out_stop)
{
    size_t i = 0;
    for (;;) {
        i += ascii_bytes(s.p + i, s.n - i);
        if (i == s.n) {
            *out_stop = UTF8_END;
            return i;
        }
        uint8_t lo;
        uint8_t hi;
        unsigned want = char_bytes(s.p[i], &lo, &hi);
        unsigned have = want == 0 ? 0 : good_bytes(s.p + i, s.n - i, want, lo, hi);
        if (want == 0 || have < want) {
            *out_stop = want > 0 && have == s.n - i ? UTF8_INCOMPLETE : UTF8_INVALID;
            return i;
        }
        i += want;
    }
}

size_t utf8_put(uint8_t *to, uint32_t c)
{
    if (c < 0x80) {
        to[0] = (uint8_t)c;
        return 1;
    }
    if (c < 0x800) {
        to[0] = (uint8_t)(0xc0 | c >> 6);
        to[1] = (uint8_t)(0x80 | (c & 0x3f));
        return 2;
    }
    to[0] = (uint8_t)(0xe0 | c >> 12);
    to[1] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
    to[2] = (uint8_t)(0x80 | (c & 0x3f));
    return 3;
}
