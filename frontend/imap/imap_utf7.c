#include "frontend/imap/imap_utf7.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";

static bool is_direct(uint32_t c)
{
    return c >= 0x20 && c <= 0x7e;
}

static int digit(uint8_t c)
{
    const char *at = c == 0 ? NULL : memchr(alphabet, c, 64);
    return at == NULL ? -1 : (int)(at - alphabet);
}

static enum err put_utf8(struct buf *out, uint32_t c)
{
    uint8_t b[4];
    size_t n = 0;
    if (c < 0x80) {
        b[n++] = (uint8_t)c;
    } else if (c < 0x800) {
        b[n++] = (uint8_t)(0xc0 | c >> 6);
    } else if (c < 0x10000) {
        b[n++] = (uint8_t)(0xe0 | c >> 12);
        b[n++] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
    } else {
        b[n++] = (uint8_t)(0xf0 | c >> 18);
        b[n++] = (uint8_t)(0x80 | (c >> 12 & 0x3f));
        b[n++] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
    }
    if (c >= 0x80) {
        b[n++] = (uint8_t)(0x80 | (c & 0x3f));
    }
    return buf_append(out, b, n);
}

/* One UTF-16 unit; *io_high keeps a first surrogate. */
static enum err put_unit(struct buf *out, uint32_t unit, uint32_t *io_high)
{
    bool low = unit >= 0xdc00 && unit <= 0xdfff;
    if (low != (*io_high != 0)) {
        return ERR_INVAL;
    }
    if (low) {
        uint32_t c = 0x10000 + ((*io_high - 0xd800) << 10) + (unit - 0xdc00);
        *io_high = 0;
        return put_utf8(out, c);
    }
    if (unit >= 0xd800 && unit <= 0xdbff) {
        *io_high = unit;
        return OK;
    }
    return unit == 0 || is_direct(unit) ? ERR_INVAL : put_utf8(out, unit);
}

/* After '&': base64 of UTF-16BE up to '-'. Left-over bits must be zero and fewer than a digit's. */
static enum err decode_shifted(struct slice in, size_t *io_at, struct buf *out)
{
    uint32_t bits = 0;
    unsigned n_bits = 0;
    uint32_t high = 0;
    size_t at = *io_at;
    for (; at < in.n && in.p[at] != '-'; at++) {
        int d = digit(in.p[at]);
        if (d < 0) {
            return ERR_INVAL;
        }
        bits = (bits << 6 | (uint32_t)d) & 0x3fffff;
        n_bits += 6;
        if (n_bits >= 16) {
            n_bits -= 16;
            enum err e = put_unit(out, bits >> n_bits & 0xffff, &high);
            if (e != OK) {
                return e;
            }
        }
    }
    if (at == in.n || high != 0 || n_bits >= 6 || (bits & ((1u << n_bits) - 1)) != 0) {
        return ERR_INVAL;
    }
    *io_at = at + 1;
    return OK;
}

enum err imap_utf7_decode(struct slice in, struct buf *out_utf8)
{
    enum err e = OK;
    size_t at = 0;
    bool shifted = false; /* "&..-&..-" would be two forms of one name */
    while (e == OK && at < in.n) {
        uint8_t c = in.p[at++];
        if (!is_direct(c)) {
            return ERR_INVAL;
        }
        if (c != '&') {
            shifted = false;
            e = buf_append_u8(out_utf8, c);
        } else if (at < in.n && in.p[at] == '-') {
            shifted = false;
            at++;
            e = buf_append_u8(out_utf8, '&');
        } else if (shifted) {
            return ERR_INVAL;
        } else {
            shifted = true;
            e = decode_shifted(in, &at, out_utf8);
        }
    }
    return e;
}

/* Length of the sequence at p and its code point; 0 for anything that is not shortest-form UTF-8. */
static size_t get_utf8(const uint8_t *p, size_t n, uint32_t *out)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t len = p[0] < 0x80 ? 1 : p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : p[0] < 0xf5 ? 4 : 0;
    if (len == 0 || len > n) {
        return 0;
    }
    uint32_t c = len == 1 ? p[0] : p[0] & (0xffu >> (len + 1));
    for (size_t i = 1; i < len; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            return 0;
        }
        c = c << 6 | (p[i] & 0x3fu);
    }
    if (c < least[len] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff)) {
        return 0;
    }
    *out = c;
    return len;
}

struct shift {
    struct buf *out;
    uint32_t bits;
    unsigned n_bits;
    bool on;
};

static enum err shift_unit(struct shift *s, uint32_t unit)
{
    s->bits = s->bits << 16 | unit;
    s->n_bits += 16;
    while (s->n_bits >= 6) {
        s->n_bits -= 6;
        enum err e = buf_append_u8(s->out, (uint8_t)alphabet[s->bits >> s->n_bits & 0x3f]);
        if (e != OK) {
            return e;
        }
    }
    return OK;
}

static enum err shift_put(struct shift *s, uint32_t c)
{
    if (!s->on) {
        s->on = true;
        s->n_bits = 0;
        enum err e = buf_append_u8(s->out, '&');
        if (e != OK) {
            return e;
        }
    }
    if (c < 0x10000) {
        return shift_unit(s, c);
    }
    enum err e = shift_unit(s, 0xd800 + ((c - 0x10000) >> 10));
    return e == OK ? shift_unit(s, 0xdc00 + ((c - 0x10000) & 0x3ff)) : e;
}

static enum err shift_end(struct shift *s)
{
    if (!s->on) {
        return OK;
    }
    s->on = false;
    if (s->n_bits > 0) {
        enum err e = buf_append_u8(s->out, (uint8_t)alphabet[s->bits << (6 - s->n_bits) & 0x3f]);
        if (e != OK) {
            return e;
        }
    }
    return buf_append_u8(s->out, '-');
}

enum err imap_utf7_encode(struct slice utf8, struct buf *out)
{
    struct shift s = {.out = out};
    size_t at = 0;
    while (at < utf8.n) {
        uint32_t c;
        size_t n = get_utf8(utf8.p + at, utf8.n - at, &c);
        if (n == 0) {
            return ERR_INVAL;
        }
        at += n;
        enum err e;
        if (!is_direct(c)) {
            e = shift_put(&s, c);
        } else {
            e = shift_end(&s);
            e = e == OK ? buf_append_u8(out, (uint8_t)c) : e;
            e = e == OK && c == '&' ? buf_append_u8(out, '-') : e;
        }
        if (e != OK) {
            return e;
        }
    }
    return shift_end(&s);
}
