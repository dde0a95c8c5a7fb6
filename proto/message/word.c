#include "proto/message/charset.h"
#include "proto/message/lex.h"
#include "proto/message/message.h"
#include "proto/message/transfer.h"

#define WORD_BYTES_MAX 4096

/* encoded-word = "=?" charset "?" encoding "?" encoded-text "?=" (RFC 2047, 2; charset may carry "*language", RFC 2231,
 * 5) */
struct word {
    struct slice charset;
    struct slice text;
    bool is_base64;
    size_t bytes; /* of the whole word */
};

/* Adjacent words of one charset are one text: mailers cut characters in two. */
struct run {
    struct msg_charset charset;
    bool open;     /* the converter is kept from word to word: opening one is slow */
    bool in_words; /* the last thing seen was an encoded word */
};

/* Every scan stops at the next "?", so that a flood of "=?" costs no more than its length. */
static bool read_word(struct slice s, struct word *out)
{
    if (s.n < 8 || s.p[0] != '=' || s.p[1] != '?') {
        return false;
    }
    struct slice rest = slice_sub(s, 2, s.n);
    size_t q = slice_find(rest, '?');
    if (q == 0 || q + 3 >= rest.n || rest.p[q + 2] != '?') {
        return false;
    }
    uint8_t encoding = ascii_lower(rest.p[q + 1]);
    struct slice text = slice_sub(rest, q + 3, rest.n);
    size_t end = slice_find(text, '?');
    if (end + 1 >= text.n || text.p[end + 1] != '=' || (encoding != 'q' && encoding != 'b') || end > WORD_BYTES_MAX) {
        return false;
    }
    out->charset = slice_sub(rest, 0, q);
    out->text = slice_sub(text, 0, end);
    out->is_base64 = encoding == 'b';
    out->bytes = 2 + q + 3 + end + 2;
    return true;
}

/* The "Q" encoding: as quoted-printable, with "_" for a space (RFC 2047, 4.2). */
static size_t decode_q(struct slice s, uint8_t *to)
{
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        uint8_t c = s.p[i];
        int hi = c == '=' && i + 2 < s.n ? msg_hex_value(s.p[i + 1]) : -1;
        int lo = hi >= 0 ? msg_hex_value(s.p[i + 2]) : -1;
        if (lo >= 0) {
            c = (uint8_t)(hi << 4 | lo);
            i += 2;
        } else if (c == '_') {
            c = ' ';
        } else if (c == '\r' || c == '\n') {
            continue;
        }
        to[n++] = c;
    }
    return n;
}

static size_t decode_b(struct slice s, uint8_t *to)
{
    struct msg_base64 d = {0, 0};
    size_t n = msg_base64_feed(&d, s, to);
    return n + msg_base64_finish(&d, to + n);
}

static enum err run_end(struct run *r, struct buf *out)
{
    r->in_words = false;
    return r->open ? msg_charset_finish(&r->charset, out) : OK;
}

static enum err run_open(struct run *r, struct slice charset, struct buf *out)
{
    if (r->open && msg_charset_is(&r->charset, charset)) {
        return OK;
    }
    enum err e = run_end(r, out);
    if (e != OK) {
        return e;
    }
    if (r->open) {
        msg_charset_close(&r->charset);
    }
    e = msg_charset_open(&r->charset, charset);
    if (e == ERR_CHARSET) {
        msg_charset_open_utf8(&r->charset);
        e = OK;
    }
    r->open = e == OK;
    return e;
}

static enum err put_word(struct run *r, const struct word *w, struct buf *out)
{
    enum err e = run_open(r, w->charset, out);
    uint8_t *to;
    struct buf raw;
    buf_init(&raw, WORD_BYTES_MAX + 8);
    if (e == OK) {
        e = buf_reserve(&raw, w->text.n + 4, &to);
    }
    if (e == OK) {
        size_t n = w->is_base64 ? decode_b(w->text, to) : decode_q(w->text, to);
        e = msg_charset_feed(&r->charset, slice_make(to, n), out);
        r->in_words = true;
    }
    buf_fini(&raw);
    return e;
}

static enum err put_plain(struct slice s, struct buf *out)
{
    struct msg_charset utf8;
    msg_charset_open_utf8(&utf8);
    while (s.n > 0) {
        const uint8_t *lf = memchr(s.p, '\n', s.n);
        size_t n = lf == NULL ? s.n : (size_t)(lf - s.p);
        size_t keep = lf != NULL && n > 0 && s.p[n - 1] == '\r' ? n - 1 : n;
        enum err e = msg_charset_feed(&utf8, slice_make(s.p, keep), out);
        if (e != OK) {
            return e;
        }
        s = slice_sub(s, lf == NULL ? n : n + 1, s.n);
    }
    return msg_charset_finish(&utf8, out);
}

static size_t spaces_at(struct slice s)
{
    size_t n = 0;
    while (n < s.n && msg_is_space(s.p[n])) {
        n++;
    }
    return n;
}

/* Plain text up to the next "=?"; white space between two encoded words is dropped (RFC 2047, 6.2). */
static size_t plain_bytes(struct slice s)
{
    size_t at = 1;
    while (at < s.n) {
        const uint8_t *eq = memchr(s.p + at, '=', s.n - at);
        if (eq == NULL) {
            return s.n;
        }
        at = (size_t)(eq - s.p);
        if (at + 1 < s.n && s.p[at + 1] == '?') {
            return at;
        }
        at++;
    }
    return s.n;
}

static enum err decode_next(struct run *r, struct slice *io_s, struct buf *out)
{
    struct word w;
    size_t gap = r->in_words ? spaces_at(*io_s) : 0;
    if (read_word(slice_sub(*io_s, gap, io_s->n), &w)) {
        *io_s = slice_sub(*io_s, gap + w.bytes, io_s->n);
        return put_word(r, &w, out);
    }
    enum err e = run_end(r, out);
    size_t n = plain_bytes(*io_s);
    if (e == OK) {
        e = put_plain(slice_sub(*io_s, 0, n), out);
    }
    *io_s = slice_sub(*io_s, n, io_s->n);
    return e;
}

enum err msg_header_decode(struct slice value, struct buf *out_utf8)
{
    struct run r = {.open = false, .in_words = false};
    size_t before = out_utf8->len;
    enum err e = OK;
    while (e == OK && value.n > 0) {
        e = decode_next(&r, &value, out_utf8);
    }
    if (e == OK) {
        e = run_end(&r, out_utf8);
    }
    if (r.open) {
        msg_charset_close(&r.charset);
    }
    if (e != OK) {
        buf_truncate(out_utf8, before);
    }
    return e;
}
