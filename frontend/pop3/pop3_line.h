/* Command lines out of a byte stream, resumable: feed the unread bytes, again with more of them after MORE. Pure. A
 * line ends in LF; a CR before it is taken off. */
#ifndef FRONTEND_POP3_POP3_LINE_H
#define FRONTEND_POP3_POP3_LINE_H

#include <stdbool.h>

#include "proto/base/slice.h"

#ifdef __cplusplus
extern "C" {
#endif

enum pop3_line_result {
    POP3_LINE_MORE, /* no line end yet */
    POP3_LINE_OK,
    POP3_LINE_LONG /* longer than bytes_max; reported once, at its end */
};

struct pop3_line {  /* zeroed = ready */
    size_t scanned; /* unread bytes known to have no LF */
    bool skipping;  /* inside a line that is too long */
};

/* bytes_max counts the line end. *out_consumed bytes are to be consumed by the caller whatever the result is; *out_line
 * (without its end) lies in `in`, set for OK. */
enum pop3_line_result pop3_line_next(struct pop3_line *st, struct slice in, size_t bytes_max, struct slice *out_line,
                                     size_t *out_consumed);

#ifdef __cplusplus
}
#endif

#endif /* FRONTEND_POP3_POP3_LINE_H */
