#include "proto/base/b64.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static uint8_t digit(uint32_t bits)
{
    return (uint8_t)alphabet[bits & 63];
}

enum err b64_encode(struct buf *out, struct slice in)
{
    if (in.n > SIZE_MAX / 4 - 1) {
        return ERR_LIMIT;
    }
    size_t n = (in.n + 2) / 3 * 4;
    uint8_t *to;
    enum err e = buf_reserve(out, n, &to);
    if (e != OK) {
        return e;
    }
    for (size_t i = 0; i < in.n; i += 3, to += 4) {
        size_t left = in.n - i;
        uint32_t b1 = left > 1 ? in.p[i + 1] : 0;
        uint32_t b2 = left > 2 ? in.p[i + 2] : 0;
        uint32_t bits = (uint32_t)in.p[i] << 16 | b1 << 8 | b2;
        to[0] = digit(bits >> 18);
        to[1] = digit(bits >> 12);
        to[2] = left > 1 ? digit(bits >> 6) : '=';
        to[3] = left > 2 ? digit(bits) : '=';
    }
    buf_commit(out, n);
    return OK;
}

/* 64 for what is not in the alphabet. */
static uint32_t value(uint8_t c)
{
    if (c >= 'A' && c <= 'Z') {
        return (uint32_t)(c - 'A');
    }
    if (c >= 'a' && c <= 'z') {
        return (uint32_t)(c - 'a' + 26);
    }
    if (c >= '0' && c <= '9') {
        return (uint32_t)(c - '0' + 52);
    }
    return c == '+' ? 62 : c == '/' ? 63 : 64;
}

/* digits of 4 are real, the others padding; their bits, or ERR_INVAL when the unused ones are not zero. */
static enum err quad(const uint8_t *p, size_t digits, uint32_t *out_bits)
{
    uint32_t bits = 0;
    for (size_t i = 0; i < 4; i++) {
        uint32_t v = i < digits ? value(p[i]) : 0;
        if (v > 63) {
            return ERR_INVAL;
        }
        bits = bits << 6 | v;
    }
    uint32_t unused = digits == 4 ? 0 : digits == 3 ? 0xff : 0xffff;
    if ((bits & unused) != 0) {
        return ERR_INVAL;
    }
    *out_bits = bits;
    return OK;
}

static size_t padding(struct slice in)
{
    if (in.n == 0 || in.p[in.n - 1] != '=') {
        return 0;
    }
    return in.p[in.n - 2] == '=' ? 2 : 1;
}

enum err b64_decode(struct buf *out, struct slice in)
{
    if (in.n % 4 != 0) {
        return ERR_INVAL;
    }
    size_t pad = padding(in);
    size_t n = in.n / 4 * 3 - pad;
    uint8_t *to;
    enum err e = buf_reserve(out, n, &to);
    if (e != OK) {
        return e;
    }
    for (size_t i = 0; i < in.n; i += 4) {
        size_t digits = in.n - i == 4 ? 4 - pad : 4;
        uint32_t bits = 0;
        e = quad(in.p + i, digits, &bits);
        if (e != OK) {
            return e;
        }
        for (size_t k = 0; k + 1 < digits; k++, to++) {
            *to = (uint8_t)(bits >> (16 - 8 * k));
        }
    }
    buf_commit(out, n);
    return OK;
}
