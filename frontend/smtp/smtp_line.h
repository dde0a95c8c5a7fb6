/* Command lines out of a byte stream, resumable: feed the unread bytes, again with more of them after MORE. Pure. Lines
 * end in LF; what stands before it is judged: a missing CR and a CR elsewhere are reported, never hidden (notes of
 * smuggling: README.md). */
#ifndef FRONTEND_SMTP_SMTP_LINE_H
#define FRONTEND_SMTP_SMTP_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/base/slice.h"

#ifdef __cplusplus
extern "C" {
#endif

enum smtp_line_result {
    SMTP_LINE_MORE,    /* no line end yet */
    SMTP_LINE_OK,      /* ended by CRLF */
    SMTP_LINE_BARE_LF, /* ended by LF alone */
    SMTP_LINE_BARE_CR, /* has a CR that is not part of its end, or a NUL */
    SMTP_LINE_LONG     /* longer than bytes_max; reported once, at its end */
};

struct smtp_line {  /* zeroed = ready */
    size_t scanned; /* unread bytes known to have no LF */
    bool skipping;  /* inside a line that is too long */
};

/* bytes_max counts the line end. *out_consumed bytes are to be consumed by the caller whatever the result is; *out_line
 * (without its end) lies in `in` and is set for OK, BARE_LF and BARE_CR. */
enum smtp_line_result smtp_line_next(struct smtp_line *st, struct slice in, size_t bytes_max, struct slice *out_line,
                                     size_t *out_consumed);

#ifdef __cplusplus
}
#endif

#endif /* FRONTEND_SMTP_SMTP_LINE_H */
