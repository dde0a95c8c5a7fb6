/* The content of DATA (RFC 5321, 4.5.2): removes dot-stuffing and finds the end, in one pass, resumable at every byte.
 * Pure.
 *
 * The end is CRLF.CRLF and nothing else: LF.LF, LF.CRLF, CRLF.LF, CR.CR and all their kin are content (SMTP smuggling).
 * The CRLF of the DATA command counts as the first one. Dots are unstuffed only after CRLF. */
#ifndef FRONTEND_SMTP_SMTP_DOT_H
#define FRONTEND_SMTP_SMTP_DOT_H

#include "frontend/smtp/smtp.h"
#include "proto/base/buf.h"

#ifdef __cplusplus
extern "C" {
#endif

enum smtp_dot_state {
    SMTP_DOT_LINE_START, /* after CRLF */
    SMTP_DOT_DOT,        /* CRLF . */
    SMTP_DOT_DOT_CR,     /* CRLF . CR */
    SMTP_DOT_TEXT,       /* in a line */
    SMTP_DOT_CR,         /* a CR that is not written yet */
    SMTP_DOT_END
};

struct smtp_dot { /* zeroed = at the start of the data with SMTP_BARE_REJECT */
    enum smtp_dot_state state;
    enum smtp_bare policy; /* REJECT writes as KEEP does: the caller looks at `bare` */
    bool bare;             /* a CR or LF stood alone */
};

/* Bytes that smtp_dot_feed may write for n bytes of input. */
#define SMTP_DOT_OUT_BYTES(n) (2 * (n) + 2)

/* Appends content to out, which needs room for SMTP_DOT_OUT_BYTES(in.n) (ERR_LIMIT, ERR_NOMEM otherwise: then the
 * machine is spoilt). Stops behind the end: *out_consumed < in.n leaves pipelined commands. */
MUST_CHECK enum err smtp_dot_feed(struct smtp_dot *d, struct slice in, struct buf *out, size_t *out_consumed);

static inline bool smtp_dot_ended(const struct smtp_dot *d)
{
    return d->state == SMTP_DOT_END;
}

#ifdef __cplusplus
}
#endif

#endif /* FRONTEND_SMTP_SMTP_DOT_H */
