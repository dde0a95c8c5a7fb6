#include "frontend/pop3/pop3_line.h"

enum pop3_line_result pop3_line_next(struct pop3_line *st, struct slice in, size_t bytes_max, struct slice *out_line,
                                     size_t *out_consumed)
{
    struct slice fresh = slice_sub(in, st->scanned, in.n);
    size_t at = slice_find(fresh, '\n');
    size_t n = st->scanned + at;
    if (at == fresh.n) {
        bool drop = st->skipping || in.n >= bytes_max; /* its end will be too far: what is here can go */
        st->skipping = drop;
        st->scanned = drop ? 0 : in.n;
        *out_consumed = drop ? in.n : 0;
        return POP3_LINE_MORE;
    }
    bool skipped = st->skipping;
    st->scanned = 0;
    st->skipping = false;
    *out_consumed = n + 1;
    if (skipped || n + 1 > bytes_max) {
        return POP3_LINE_LONG;
    }
    *out_line = slice_sub(in, 0, n > 0 && in.p[n - 1] == '\r' ? n - 1 : n);
    return POP3_LINE_OK;
}
