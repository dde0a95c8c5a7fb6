#include "bench/load/reply.h"

#include <stdbool.h>
#include <string.h>

void reply_begin(struct reply *r, enum reply_kind kind, unsigned want)
{
    r->kind = kind;
    r->want = want == 0 ? 1 : want;
    r->bytes = 0;
    r->done = 0;
    r->column = 0;
    r->refused = 0;
    r->tail_n = 0;
}

static void keep_tail(struct reply *r, const char *p, size_t n)
{
    if (n >= REPLY_TAIL_BYTES) {
        memcpy(r->tail, p + n - REPLY_TAIL_BYTES, REPLY_TAIL_BYTES);
        r->tail_n = REPLY_TAIL_BYTES;
        return;
    }
    if (r->tail_n + n > REPLY_TAIL_BYTES) {
        size_t drop = r->tail_n + n - REPLY_TAIL_BYTES;
        memmove(r->tail, r->tail + drop, r->tail_n - drop);
        r->tail_n -= drop;
    }
    memcpy(r->tail + r->tail_n, p, n);
    r->tail_n += n;
}

static enum reply_state smtp_feed(struct reply *r, const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (r->column < sizeof(r->first)) {
            r->first[r->column] = p[i];
        }
        r->column++;
        if (p[i] != '\n') {
            continue;
        }
        if (r->column >= 4 && r->first[3] != '-') {
            r->done++;
            r->refused |= r->first[0] != '2' && r->first[0] != '3';
        }
        r->column = 0;
    }
    if (r->done < r->want) {
        return REPLY_MORE;
    }
    return r->refused || r->done > r->want ? REPLY_BAD : REPLY_GOOD;
}

static bool starts(const char *p, size_t n, const char *with)
{
    size_t len = strlen(with);
    return n >= len && memcmp(p, with, len) == 0;
}

static bool ends(const struct reply *r, const char *with)
{
    size_t len = strlen(with);
    return r->tail_n >= len && memcmp(r->tail + r->tail_n - len, with, len) == 0;
}

/* The tail ends with a line end: the line before it. */
static const char *last_line(const struct reply *r, size_t *out_n)
{
    size_t at = r->tail_n - 1;
    while (at > 0 && r->tail[at - 1] != '\n') {
        at--;
    }
    *out_n = r->tail_n - at;
    return r->tail + at;
}

static enum reply_state line_state(const struct reply *r)
{
    size_t n;
    const char *line = last_line(r, &n);
    switch (r->kind) {
    case REPLY_TAGGED:
        if (!starts(line, n, REPLY_TAG)) {
            return REPLY_MORE;
        }
        return starts(line, n, REPLY_TAG "OK") ? REPLY_GOOD : REPLY_BAD;
    case REPLY_PLUS:
        return starts(line, n, "+") ? REPLY_GOOD : starts(line, n, REPLY_TAG) ? REPLY_BAD : REPLY_MORE;
    case REPLY_LINE:
        return starts(line, n, "+OK") || starts(line, n, "* OK") ? REPLY_GOOD : REPLY_BAD;
    case REPLY_DOT:
        if (r->first[0] == '-') {
            return REPLY_BAD;
        }
        return ends(r, "\r\n.\r\n") ? REPLY_GOOD : REPLY_MORE;
    case REPLY_NONE:
    case REPLY_SMTP:
        break;
    }
    return REPLY_BAD;
}

enum reply_state reply_feed(struct reply *r, const char *p, size_t n)
{
    if (n == 0) {
        return REPLY_MORE;
    }
    if (r->bytes == 0) {
        r->first[0] = p[0];
    }
    r->bytes += n;
    keep_tail(r, p, n);
    if (r->kind == REPLY_SMTP) {
        return smtp_feed(r, p, n);
    }
    return ends(r, "\r\n") ? line_state(r) : REPLY_MORE;
}
