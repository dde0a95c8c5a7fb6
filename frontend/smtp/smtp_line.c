#include "frontend/smtp/smtp_line.h"

#include <string.h>

static enum smtp_line_result more(struct smtp_line *st, struct slice in, size_t bytes_max, size_t *out_consumed)
{
    st->scanned = in.n;
    if (st->skipping || in.n >= bytes_max) { /* its end will be too far: what is here can go */
        st->skipping = true;
        st->scanned = 0;
        *out_consumed = in.n;
    }
    return SMTP_LINE_MORE;
}

enum smtp_line_result smtp_line_next(struct smtp_line *st, struct slice in, size_t bytes_max, struct slice *out_line,
                                     size_t *out_consumed)
{
    *out_consumed = 0;
    struct slice fresh = slice_sub(in, st->scanned, in.n);
    size_t at = slice_find(fresh, '\n');
    if (at == fresh.n) {
        return more(st, in, bytes_max, out_consumed);
    }
    size_t n = st->scanned + at;
    bool skipped = st->skipping;
    *out_consumed = n + 1;
    st->scanned = 0;
    st->skipping = false;
    if (skipped || n + 1 > bytes_max) {
        return SMTP_LINE_LONG;
    }
    bool crlf = n > 0 && in.p[n - 1] == '\r';
    *out_line = slice_sub(in, 0, crlf ? n - 1 : n);
    if (slice_find(*out_line, '\r') != out_line->n || slice_find(*out_line, '\0') != out_line->n) {
        return SMTP_LINE_BARE_CR;
    }
    return crlf ? SMTP_LINE_OK : SMTP_LINE_BARE_LF;
}
