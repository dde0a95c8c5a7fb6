#include "proto/message/transfer.h"

/* --- base64 --- */

#define PAD 254
#define SKIP 255
#define NO_DIGIT 0xc0 /* set in PAD and SKIP, in no digit */

/* clang-format off */
static const uint8_t digits[256] = {
    255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
    255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
    255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 62, 255, 255, 255, 63,
    52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 255, 255, 255, 254, 255, 255,
    255, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14,
    15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 255, 255, 255, 255, 255,
    255, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40,
    41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 255, 255, 255, 255, 255,
    255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
    255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
    255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
    255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
    255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
    255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
    255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
    255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
};
/* clang-format on */

static size_t put_bits(uint32_t bits, uint32_t n, uint8_t *to)
{
    bits <<= 6 * (4 - n);
    size_t bytes = n < 2 ? 0 : n - 1;
    for (size_t i = 0; i < bytes; i++) {
        to[i] = (uint8_t)(bits >> (16 - 8 * i));
    }
    return bytes;
}

/* One character at a time: at line ends, padding and junk. "=" ends a group; another one may follow (joined
 * attachments). */
static size_t put_digit(struct msg_base64 *d, uint8_t c, uint8_t *to)
{
    uint8_t v = digits[c];
    if (v == SKIP) {
        return 0;
    }
    if (v != PAD) {
        d->bits = d->bits << 6 | v;
        d->n++;
    }
    if (v != PAD && d->n < 4) {
        return 0;
    }
    size_t n = put_bits(d->bits, d->n, to);
    d->bits = 0;
    d->n = 0;
    return n;
}

/* Whole groups of four, up to the first that is not only digits. Gives the bytes read. */
static size_t fast_groups(const uint8_t *p, size_t n, uint8_t *to)
{
    size_t i = 0;
    for (; i + 4 <= n; i += 4, to += 3) {
        uint32_t a = digits[p[i]];
        uint32_t b = digits[p[i + 1]];
        uint32_t c = digits[p[i + 2]];
        uint32_t d = digits[p[i + 3]];
        if (((a | b | c | d) & NO_DIGIT) != 0) {
            break;
        }
        uint32_t v = a << 18 | b << 12 | c << 6 | d;
        to[0] = (uint8_t)(v >> 16);
        to[1] = (uint8_t)(v >> 8);
        to[2] = (uint8_t)v;
    }
    return i;
}

size_t msg_base64_feed(struct msg_base64 *d, struct slice in, uint8_t *to)
{
    size_t n = 0;
    size_t i = 0;
    while (i < in.n) {
        if (d->n == 0) {
            size_t read = fast_groups(in.p + i, in.n - i, to + n);
            i += read;
            n += read / 4 * 3;
            if (i == in.n) {
                break;
            }
        }
        n += put_digit(d, in.p[i++], to + n);
    }
    return n;
}

size_t msg_base64_finish(struct msg_base64 *d, uint8_t *to)
{
    size_t n = put_bits(d->bits, d->n, to);
    d->bits = 0;
    d->n = 0;
    return n;
}

/* --- quoted-printable --- */

int msg_hex_value(uint8_t c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    uint8_t l = c | 32;
    return l >= 'a' && l <= 'f' ? l - 'a' + 10 : -1;
}

/* Writes one byte of text; `to` + n is the end of what was written, which may shrink by the white space before a line
 * end. */
static size_t put_text(struct msg_qp *d, uint8_t c, uint8_t *to, size_t n)
{
    if (c == ' ' || c == '\t') {
        d->blanks_n += d->blanks_n <= MSG_QP_BLANKS_MAX ? 1 : 0;
        to[n] = c;
        return n + 1;
    }
    if ((c == '\n' || c == '\r') && d->blanks_n <= MSG_QP_BLANKS_MAX) {
        n -= d->blanks_n;
    }
    d->blanks_n = 0;
    if (c == '=') {
        d->state = MSG_QP_ESCAPE;
        return n;
    }
    to[n] = c;
    return n + 1;
}

/* After "=": true when c belongs to the escape or the soft line break. */
static bool continue_escape(struct msg_qp *d, uint8_t c, uint8_t *to, size_t *io_n)
{
    int v = msg_hex_value(c);
    if (d->state == MSG_QP_HEX) {
        if (v >= 0) {
            to[(*io_n)++] = (uint8_t)(msg_hex_value(d->hex) << 4 | v);
            d->state = MSG_QP_TEXT;
        }
        return v >= 0;
    }
    if (c == '\n') {
        d->state = MSG_QP_TEXT;
        return true;
    }
    if (c == '\r' || c == ' ' || c == '\t') {
        d->state = MSG_QP_SOFT;
        return true;
    }
    if (d->state == MSG_QP_ESCAPE && v >= 0) {
        d->hex = c;
        d->state = MSG_QP_HEX;
        return true;
    }
    return false;
}

/* What looked like an escape is text. */
static size_t give_up_escape(struct msg_qp *d, uint8_t *to, size_t n)
{
    if (d->state != MSG_QP_TEXT) {
        to[n++] = '=';
    }
    if (d->state == MSG_QP_HEX) {
        to[n++] = d->hex;
    }
    d->state = MSG_QP_TEXT;
    return n;
}

size_t msg_qp_feed(struct msg_qp *d, struct slice in, uint8_t *to)
{
    size_t n = d->blanks_n <= MSG_QP_BLANKS_MAX ? d->blanks_n : 0;
    memcpy(to, d->blanks, n);
    for (size_t i = 0; i < in.n; i++) {
        uint8_t c = in.p[i];
        if (d->state != MSG_QP_TEXT) {
            if (continue_escape(d, c, to, &n)) {
                continue;
            }
            n = give_up_escape(d, to, n);
        }
        n = put_text(d, c, to, n);
    }
    if (d->blanks_n > 0 && d->blanks_n <= MSG_QP_BLANKS_MAX) {
        n -= d->blanks_n;
        memcpy(d->blanks, to + n, d->blanks_n);
    }
    return n;
}

size_t msg_qp_finish(struct msg_qp *d, uint8_t *to)
{
    d->blanks_n = 0;
    return give_up_escape(d, to, 0);
}
