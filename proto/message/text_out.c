#include "proto/message/text_out.h"

/* "{", ten digits, "}" and CRLF. */
#define LITERAL_HEAD_BYTES 14

struct msg_out msg_out_make(struct buf *b)
{
    struct msg_out o;
    o.b = b;
    o.err = OK;
    return o;
}

void msg_out_slow(struct msg_out *o, const void *p, size_t n)
{
    if (o->err == OK) {
        o->err = buf_append(o->b, p, n);
    }
}

void msg_out_dec(struct msg_out *o, uint32_t v)
{
    char digits[10];
    size_t at = sizeof(digits);
    do {
        digits[--at] = (char)('0' + v % 10);
        v /= 10;
    } while (v > 0);
    msg_out_bytes(o, digits + at, sizeof(digits) - at);
}

/* A line end inside a header value is a fold: it goes, the white space after it stays (RFC 5322, 2.2.3). */
static bool is_fold(struct slice s, size_t i)
{
    return s.p[i] == '\n' || (s.p[i] == '\r' && i + 1 < s.n && s.p[i + 1] == '\n');
}

/* Bytes written, or 0 when the string cannot be quoted. `to` has room for `room` bytes. */
static size_t write_quoted(uint8_t *to, size_t room, struct slice s)
{
    size_t n = 0;
    to[n++] = '"';
    for (size_t i = 0; i < s.n && n + 3 <= room; i++) {
        uint8_t c = s.p[i];
        if (c < 0x20 || c >= 0x7f) {
            if (is_fold(s, i)) {
                continue;
            }
            if (c == '\r' || c >= 0x80) {
                return 0;
            }
            c = c == 0 ? '?' : c;
        } else if (c == '"' || c == '\\') {
            to[n++] = '\\';
        }
        to[n++] = c;
    }
    to[n++] = '"';
    return n;
}

static void write_literal(struct msg_out *o, struct slice s, size_t bytes_max)
{
    size_t room = bytes_max - LITERAL_HEAD_BYTES;
    size_t n = 0;
    size_t take = 0;
    for (; take < s.n && n < room; take++) {
        n += is_fold(s, take) ? 0 : 1;
    }
    /* A cut inside a character would send half of it. */
    for (int back = 0; back < 3 && take < s.n && n > 0 && (s.p[take] & 0xc0) == 0x80; back++) {
        take--;
        n--;
    }
    msg_out_u8(o, '{');
    msg_out_dec(o, (uint32_t)n);
    msg_out_str(o, "}\r\n");
    uint8_t *to;
    if (o->err == OK) {
        o->err = buf_reserve(o->b, n, &to);
    }
    if (o->err != OK) {
        return;
    }
    size_t at = 0;
    for (size_t i = 0; i < take; i++) {
        if (!is_fold(s, i)) {
            to[at++] = s.p[i] == 0 ? '?' : s.p[i];
        }
    }
    buf_commit(o->b, at);
}

void msg_out_string(struct msg_out *o, struct slice s, size_t bytes_max)
{
    size_t room = s.n < bytes_max / 2 ? 2 * s.n + 3 : bytes_max;
    room = room > bytes_max ? bytes_max : room;
    uint8_t *to;
    if (o->err == OK) {
        o->err = buf_reserve(o->b, room, &to);
    }
    if (o->err != OK) {
        return;
    }
    size_t n = write_quoted(to, room, s);
    if (n > 0) {
        buf_commit(o->b, n);
        return;
    }
    write_literal(o, s, bytes_max);
}

void msg_out_nstring(struct msg_out *o, struct slice s, size_t bytes_max)
{
    if (s.p == NULL) {
        msg_out_str(o, "NIL");
    } else {
        msg_out_string(o, s, bytes_max);
    }
}
