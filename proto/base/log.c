#include "proto/base/log.h"

#include <errno.h>
#include <stdbool.h>
#include <unistd.h>

#include "proto/base/bytes.h"
#include "proto/base/clock.h"

/* PIPE_BUF, so that lines of several threads do not mix in a pipe. */
#define LINE_BYTES_MAX 4096
#define LINE_ROOM (LINE_BYTES_MAX - 2) /* "}\n" always fits */
#define VALUE_BYTES_MAX 1024
#define UNIT_BYTES_MAX 8
#define CUT_MARK "..."
#define CUT_MARK_BYTES 3

struct line {
    char b[LINE_BYTES_MAX];
    size_t n;
    bool full; /* the field being written does not fit */
};

static int level_min = LOG_LEVEL_INFO; /* atomic */

static const char *const level_names[] = {
    [LOG_LEVEL_DEBUG] = "debug",
    [LOG_LEVEL_INFO] = "info",
    [LOG_LEVEL_WARN] = "warn",
    [LOG_LEVEL_ERROR] = "error",
};

static struct log_field field(enum log_field_type type, const char *key)
{
    struct log_field f = {.type = key == NULL ? LOG_FIELD_END : type, .key = key};
    return f;
}

struct log_field log_field_str(const char *key, const char *v)
{
    struct log_field f = field(LOG_FIELD_STR, key);
    f.str = v;
    return f;
}

struct log_field log_field_slice(const char *key, struct slice v)
{
    struct log_field f = field(LOG_FIELD_SLICE, key);
    f.slice = v;
    return f;
}

struct log_field log_field_u64(const char *key, uint64_t v)
{
    struct log_field f = field(LOG_FIELD_U64, key);
    f.u64 = v;
    return f;
}

struct log_field log_field_i64(const char *key, int64_t v)
{
    struct log_field f = field(LOG_FIELD_I64, key);
    f.i64 = v;
    return f;
}

struct log_field log_field_u64_err(const char *key, enum err v)
{
    struct log_field f = field(LOG_FIELD_ERR, key);
    f.u64 = (uint64_t)v;
    return f;
}

void log_set_level(enum log_level min)
{
    __atomic_store_n(&level_min, (int)min, __ATOMIC_RELAXED);
}

enum err log_level_parse(struct slice name, enum log_level *out)
{
    for (size_t i = 0; i < sizeof(level_names) / sizeof(level_names[0]); i++) {
        if (slice_eq_str(name, level_names[i])) {
            *out = (enum log_level)i;
            return OK;
        }
    }
    return ERR_INVAL;
}

int log_enabled(enum log_level level)
{
    return (int)level >= __atomic_load_n(&level_min, __ATOMIC_RELAXED);
}

static void put(struct line *l, const char *p, size_t n)
{
    if (n > LINE_ROOM - l->n) {
        l->full = true;
        return;
    }
    memcpy(l->b + l->n, p, n);
    l->n += n;
}

static void put_str(struct line *l, const char *z)
{
    put(l, z, strlen(z));
}

static void put_u64(struct line *l, uint64_t v)
{
    uint8_t digits[U64_DEC_BYTES_MAX];
    put(l, (const char *)digits, u64_dec_put(digits, v));
}

static void put_i64(struct line *l, int64_t v)
{
    if (v < 0) {
        put_str(l, "-");
    }
    put_u64(l, v < 0 ? 0 - (uint64_t)v : (uint64_t)v);
}

static bool is_continuation(uint8_t c)
{
    return (c & 0xc0) == 0x80;
}

/* Length of the well-formed UTF-8 character at the front (RFC 3629, 4), 0 when there is none. */
static size_t utf8_char(struct slice s)
{
    uint8_t c = s.p[0];
    if (c < 0x80) {
        return 1;
    }
    size_t n = c >= 0xc2 && c <= 0xdf ? 2 : c >= 0xe0 && c <= 0xef ? 3 : c >= 0xf0 && c <= 0xf4 ? 4 : 0;
    if (n == 0 || s.n < n) {
        return 0;
    }
    for (size_t i = 1; i < n; i++) {
        if (!is_continuation(s.p[i])) {
            return 0;
        }
    }
    bool overlong = (c == 0xe0 && s.p[1] < 0xa0) || (c == 0xf0 && s.p[1] < 0x90);
    bool surrogate = c == 0xed && s.p[1] > 0x9f;
    bool past_end = c == 0xf4 && s.p[1] > 0x8f;
    return overlong || surrogate || past_end ? 0 : n;
}

static size_t put_hex(char *out, const char *prefix, uint8_t c)
{
    static const char digits[] = "0123456789abcdef";
    size_t n = strlen(prefix);
    memcpy(out, prefix, n);
    out[n] = digits[c >> 4];
    out[n + 1] = digits[c & 15];
    return n + 2;
}

/* The front of s (one character or one bad byte) as it stands in a JSON string; *out_taken bytes of s. Control
 * characters, C1 too, are escaped: a log is read on terminals. */
static size_t escape_unit(struct slice s, char out[UNIT_BYTES_MAX], size_t *out_taken)
{
    uint8_t c = s.p[0];
    size_t n = utf8_char(s);
    *out_taken = n == 0 ? 1 : n;
    if (n == 0) {
        return put_hex(out, "\\\\x", c);
    }
    if (c == '"' || c == '\\') {
        out[0] = '\\';
        out[1] = (char)c;
        return 2;
    }
    if (c < 0x20 || c == 0x7f) {
        return put_hex(out, "\\u00", c);
    }
    if (c == 0xc2 && s.p[1] < 0xa0) {
        return put_hex(out, "\\u00", s.p[1]);
    }
    memcpy(out, s.p, n);
    return n;
}

static void put_quoted(struct line *l, struct slice s)
{
    size_t room = LINE_ROOM - l->n < VALUE_BYTES_MAX ? LINE_ROOM - l->n : VALUE_BYTES_MAX;
    if (room < CUT_MARK_BYTES + 2) {
        l->full = true;
        return;
    }
    size_t end = l->n + room - 1; /* the closing quote stands here at the latest */
    put_str(l, "\"");
    size_t cut = l->n;
    for (size_t i = 0; i < s.n;) {
        char unit[UNIT_BYTES_MAX];
        size_t taken;
        size_t n = escape_unit(slice_sub(s, i, s.n), unit, &taken);
        if (n > end - l->n) {
            l->n = cut;
            put_str(l, CUT_MARK);
            break;
        }
        put(l, unit, n);
        i += taken;
        if (l->n + CUT_MARK_BYTES <= end) {
            cut = l->n;
        }
    }
    put_str(l, "\"");
}

static void put_value(struct line *l, const struct log_field *f)
{
    switch (f->type) {
    case LOG_FIELD_END:
        break;
    case LOG_FIELD_STR:
        if (f->str == NULL) {
            put_str(l, "null");
        } else {
            put_quoted(l, slice_str(f->str));
        }
        break;
    case LOG_FIELD_SLICE:
        put_quoted(l, f->slice);
        break;
    case LOG_FIELD_U64:
        put_u64(l, f->u64);
        break;
    case LOG_FIELD_I64:
        put_i64(l, f->i64);
        break;
    case LOG_FIELD_ERR:
        put_quoted(l, slice_str(err_name((enum err)f->u64)));
        break;
    }
}

/* The whole field or nothing. */
static void put_field(struct line *l, struct log_field f)
{
    size_t before = l->n;
    if (f.type == LOG_FIELD_END) {
        return;
    }
    l->full = false;
    put_str(l, l->n == 1 ? "" : ",");
    put_quoted(l, slice_str(f.key));
    put_str(l, ":");
    put_value(l, &f);
    if (l->full) {
        l->n = before;
    }
}

static void two_digits(char *p, unsigned v)
{
    p[0] = (char)('0' + v / 10 % 10);
    p[1] = (char)('0' + v % 10);
}

/* RFC 3339 in UTC. */
static void format_time(char out[25], uint64_t ms)
{
    struct civil_time t = civil_time_from_ms(ms);
    memcpy(out, "0000-00-00T00:00:00.000Z", 25);
    two_digits(out, t.year / 100);
    two_digits(out + 2, t.year);
    two_digits(out + 5, t.month);
    two_digits(out + 8, t.day);
    two_digits(out + 11, t.hour);
    two_digits(out + 14, t.minute);
    two_digits(out + 17, t.second);
    out[20] = (char)('0' + t.ms / 100);
    two_digits(out + 21, t.ms);
}

static void write_line(const struct line *l)
{
    ssize_t n;
    do {
        n = write(STDERR_FILENO, l->b, l->n);
    } while (n < 0 && errno == EINTR);
}

void log_write(enum log_level level, const char *event, const char *text, const struct log_field *fields, size_t n)
{
    int saved_errno = errno;
    struct line l;
    char ts[25];
    format_time(ts, clock_wall_ms(clock_system()));
    l.b[0] = '{';
    l.n = 1;
    put_field(&l, log_field_str("ts", ts));
    put_field(&l, log_field_str("level", level_names[level]));
    put_field(&l, log_field_str("event", event));
    put_field(&l, log_field_str("msg", text));
    for (size_t i = 0; i < n; i++) {
        put_field(&l, fields[i]);
    }
    l.b[l.n] = '}';
    l.b[l.n + 1] = '\n';
    l.n += 2;
    write_line(&l);
    errno = saved_errno;
}
