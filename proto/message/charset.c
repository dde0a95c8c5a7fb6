#include "proto/message/charset.h"

#include <errno.h>

#include "proto/message/message.h"
#include "proto/message/utf8.h"

#define ICONV_NONE ((iconv_t)-1)
#define STEP_BYTES 512

struct charset_row {
    const char *name;
    const char *iconv; /* NULL: own code */
    enum msg_charset_kind kind;
};

#define BY_ICONV(name, iconv)                                                                                          \
    {                                                                                                                  \
        name, iconv, MSG_CHARSET_ICONV                                                                                 \
    }

/* WHATWG's habit of reading iso-8859-1 as Windows-1252 is not followed: 0x80..0x9f of mail that says Latin-1 are
 * controls, and a search for text misses nothing. Korean and Chinese names mean their supersets, as mailers use them.
 */
static const struct charset_row rows[] = {
    {"utf-8", NULL, MSG_CHARSET_UTF8},
    {"utf8", NULL, MSG_CHARSET_UTF8},
    {"us-ascii", NULL, MSG_CHARSET_UTF8},
    {"ascii", NULL, MSG_CHARSET_UTF8},
    {"ansi_x3.4-1968", NULL, MSG_CHARSET_UTF8},
    {"iso-8859-1", NULL, MSG_CHARSET_LATIN1},
    {"iso8859-1", NULL, MSG_CHARSET_LATIN1},
    {"iso_8859-1", NULL, MSG_CHARSET_LATIN1},
    {"latin1", NULL, MSG_CHARSET_LATIN1},
    {"windows-1252", NULL, MSG_CHARSET_CP1252},
    {"cp1252", NULL, MSG_CHARSET_CP1252},
    BY_ICONV("iso-8859-2", "ISO-8859-2"),
    BY_ICONV("iso-8859-3", "ISO-8859-3"),
    BY_ICONV("iso-8859-4", "ISO-8859-4"),
    BY_ICONV("iso-8859-5", "ISO-8859-5"),
    BY_ICONV("iso-8859-6", "ISO-8859-6"),
    BY_ICONV("iso-8859-7", "ISO-8859-7"),
    BY_ICONV("iso-8859-8", "ISO-8859-8"),
    BY_ICONV("iso-8859-8-i", "ISO-8859-8"),
    BY_ICONV("iso-8859-9", "ISO-8859-9"),
    BY_ICONV("iso-8859-10", "ISO-8859-10"),
    BY_ICONV("iso-8859-13", "ISO-8859-13"),
    BY_ICONV("iso-8859-14", "ISO-8859-14"),
    BY_ICONV("iso-8859-15", "ISO-8859-15"),
    BY_ICONV("iso-8859-16", "ISO-8859-16"),
    BY_ICONV("windows-1250", "CP1250"),
    BY_ICONV("cp1250", "CP1250"),
    BY_ICONV("windows-1251", "CP1251"),
    BY_ICONV("cp1251", "CP1251"),
    BY_ICONV("windows-1253", "CP1253"),
    BY_ICONV("windows-1254", "CP1254"),
    BY_ICONV("windows-1255", "CP1255"),
    BY_ICONV("windows-1256", "CP1256"),
    BY_ICONV("windows-1257", "CP1257"),
    BY_ICONV("windows-1258", "CP1258"),
    BY_ICONV("windows-874", "CP874"),
    BY_ICONV("tis-620", "TIS-620"),
    BY_ICONV("koi8-r", "KOI8-R"),
    BY_ICONV("koi8-u", "KOI8-U"),
    BY_ICONV("macintosh", "MACINTOSH"),
    BY_ICONV("gb2312", "GBK"),
    BY_ICONV("gbk", "GBK"),
    BY_ICONV("gb18030", "GB18030"),
    BY_ICONV("big5", "BIG5"),
    BY_ICONV("big5-hkscs", "BIG5-HKSCS"),
    BY_ICONV("shift_jis", "CP932"),
    BY_ICONV("shift-jis", "CP932"),
    BY_ICONV("windows-31j", "CP932"),
    BY_ICONV("cp932", "CP932"),
    BY_ICONV("euc-jp", "EUC-JP"),
    BY_ICONV("iso-2022-jp", "ISO-2022-JP"),
    BY_ICONV("euc-kr", "CP949"),
    BY_ICONV("ks_c_5601-1987", "CP949"),
    BY_ICONV("ks_c_5601", "CP949"),
    BY_ICONV("cp949", "CP949"),
    BY_ICONV("iso-2022-kr", "ISO-2022-KR"),
    BY_ICONV("utf-16", "UTF-16"),
    BY_ICONV("utf-16le", "UTF-16LE"),
    BY_ICONV("utf-16be", "UTF-16BE"),
    BY_ICONV("utf-7", "UTF-7"),
};

/* 0x80..0x9f; the five unassigned ones stay controls. */
static const uint16_t cp1252_high[32] = {
    0x20ac, 0x81,   0x201a, 0x192,  0x201e, 0x2026, 0x2020, 0x2021, 0x2c6,  0x2030, 0x160,
    0x2039, 0x152,  0x8d,   0x17d,  0x8f,   0x90,   0x2018, 0x2019, 0x201c, 0x201d, 0x2022,
    0x2013, 0x2014, 0x2dc,  0x2122, 0x161,  0x203a, 0x153,  0x9d,   0x17e,  0x178,
};

static const struct charset_row *find_row(struct slice name)
{
    name = slice_sub(name, 0, slice_find(name, '*'));
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (slice_ieq_str(name, rows[i].name)) {
            return &rows[i];
        }
    }
    return NULL;
}

static void set_kind(struct msg_charset *c, enum msg_charset_kind kind)
{
    c->kind = kind;
    c->cd = ICONV_NONE;
    c->name = NULL;
    c->carry_n = 0;
}

void msg_charset_open_utf8(struct msg_charset *c)
{
    set_kind(c, MSG_CHARSET_UTF8);
}

enum err msg_charset_open(struct msg_charset *c, struct slice name)
{
    const struct charset_row *row = find_row(name);
    if (row == NULL) {
        return ERR_CHARSET;
    }
    iconv_t cd = ICONV_NONE;
    if (row->kind == MSG_CHARSET_ICONV) {
        cd = iconv_open("UTF-8", row->iconv);
        if (cd == ICONV_NONE) {
            /* EINVAL: this system lacks the module, as small container images do. */
            return errno == EINVAL ? ERR_CHARSET : ERR_NOMEM;
        }
    }
    set_kind(c, row->kind);
    c->cd = cd;
    c->name = row->iconv;
    return OK;
}

void msg_charset_close(struct msg_charset *c)
{
    if (c->cd != ICONV_NONE) {
        (void)iconv_close(c->cd);
    }
    set_kind(c, MSG_CHARSET_UTF8);
}

bool msg_charset_is(const struct msg_charset *c, struct slice name)
{
    const struct charset_row *row = find_row(name);
    return row != NULL && row->kind == c->kind && row->iconv == c->name;
}

static enum err put_replacement(struct buf *out)
{
    return buf_append(out, UTF8_REPLACEMENT, UTF8_REPLACEMENT_BYTES);
}

/* --- UTF-8 --- */

static enum err feed_utf8(struct msg_charset *c, struct slice in, struct buf *out)
{
    while (in.n > 0) {
        enum utf8_stop stop;
        size_t n = utf8_valid_bytes(in, &stop);
        enum err e = buf_append(out, in.p, n);
        in = slice_sub(in, n, in.n);
        if (e != OK || stop == UTF8_END) {
            return e;
        }
        if (stop == UTF8_INCOMPLETE) {
            memcpy(c->carry, in.p, in.n);
            c->carry_n = in.n;
            return OK;
        }
        e = put_replacement(out);
        if (e != OK) {
            return e;
        }
        in = slice_sub(in, 1, in.n);
    }
    return OK;
}

/* The carry and enough new bytes to decide on it go first. */
static enum err feed_utf8_carry(struct msg_charset *c, struct slice in, struct buf *out)
{
    uint8_t joined[8];
    enum err e = OK;
    while (e == OK && c->carry_n > 0 && in.n > 0) {
        size_t n = c->carry_n;
        memcpy(joined, c->carry, n);
        joined[n++] = in.p[0];
        in = slice_sub(in, 1, in.n);
        c->carry_n = 0;
        e = feed_utf8(c, slice_make(joined, n), out);
    }
    return e == OK ? feed_utf8(c, in, out) : e;
}

/* --- one byte a character --- */

static size_t put_byte(enum msg_charset_kind kind, uint8_t b, uint8_t *to)
{
    uint32_t c = kind == MSG_CHARSET_CP1252 && b >= 0x80 && b < 0xa0 ? cp1252_high[b - 0x80] : b;
    return utf8_put(to, c);
}

static enum err feed_bytes(enum msg_charset_kind kind, struct slice in, struct buf *out)
{
    for (size_t i = 0; i < in.n;) {
        uint8_t step[STEP_BYTES + 4];
        size_t n = 0;
        while (i < in.n && n < STEP_BYTES) {
            n += put_byte(kind, in.p[i++], step + n);
        }
        enum err e = buf_append(out, step, n);
        if (e != OK) {
            return e;
        }
    }
    return OK;
}

/* --- iconv --- */

/* Converts from the front of io_in until it stops: OK with errno 0 (all), EILSEQ or EINVAL, as iconv says. */
static enum err run_iconv(iconv_t cd, struct slice *io_in, struct buf *out, int *out_errno)
{
    for (;;) {
        char step[STEP_BYTES];
        char *in = (char *)(uintptr_t)io_in->p;
        size_t in_left = io_in->n;
        char *to = step;
        size_t to_left = sizeof(step);
        size_t rc = iconv(cd, &in, &in_left, &to, &to_left);
        int why = rc == (size_t)-1 ? errno : 0;
        enum err e = buf_append(out, step, sizeof(step) - to_left);
        *io_in = slice_make(in, in_left);
        if (e != OK || why != E2BIG) {
            *out_errno = why;
            return e;
        }
    }
}

static enum err feed_iconv(struct msg_charset *c, struct slice in, struct buf *out)
{
    while (in.n > 0) {
        int why;
        enum err e = run_iconv(c->cd, &in, out, &why);
        if (e != OK) {
            return e;
        }
        if (why == EINVAL && in.n < sizeof(c->carry)) {
            memcpy(c->carry, in.p, in.n);
            c->carry_n = in.n;
            return OK;
        }
        if (why != 0 && in.n > 0) {
            e = put_replacement(out);
            in = slice_sub(in, 1, in.n);
        }
        if (e != OK) {
            return e;
        }
    }
    return OK;
}

static enum err feed_iconv_carry(struct msg_charset *c, struct slice in, struct buf *out)
{
    uint8_t joined[MSG_CHARSET_CARRY_BYTES + 1];
    enum err e = OK;
    while (e == OK && c->carry_n > 0 && in.n > 0) {
        size_t n = c->carry_n;
        memcpy(joined, c->carry, n);
        joined[n++] = in.p[0];
        in = slice_sub(in, 1, in.n);
        c->carry_n = 0;
        e = feed_iconv(c, slice_make(joined, n), out);
    }
    return e == OK ? feed_iconv(c, in, out) : e;
}

enum err msg_charset_feed(struct msg_charset *c, struct slice in, struct buf *out)
{
    switch (c->kind) {
    case MSG_CHARSET_LATIN1:
    case MSG_CHARSET_CP1252:
        return feed_bytes(c->kind, in, out);
    case MSG_CHARSET_ICONV:
        return feed_iconv_carry(c, in, out);
    case MSG_CHARSET_UTF8:
        break;
    }
    return feed_utf8_carry(c, in, out);
}

enum err msg_charset_finish(struct msg_charset *c, struct buf *out)
{
    enum err e = c->carry_n > 0 ? put_replacement(out) : OK;
    c->carry_n = 0;
    if (c->kind == MSG_CHARSET_ICONV) {
        char step[64];
        char *to = step;
        size_t to_left = sizeof(step);
        (void)iconv(c->cd, NULL, NULL, &to, &to_left);
        if (e == OK) {
            e = buf_append(out, step, sizeof(step) - to_left);
        }
    }
    return e;
}

enum err msg_charset_to_utf8(const char *charset, struct slice in, struct buf *out_utf8)
{
    struct msg_charset c;
    size_t before = out_utf8->len;
    enum err e = msg_charset_open(&c, slice_str(charset));
    if (e != OK) {
        return e;
    }
    e = msg_charset_feed(&c, in, out_utf8);
    if (e == OK) {
        e = msg_charset_finish(&c, out_utf8);
    }
    if (e != OK) {
        buf_truncate(out_utf8, before);
    }
    msg_charset_close(&c);
    return e;
}
