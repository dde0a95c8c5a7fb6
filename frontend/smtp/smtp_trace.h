/* The trace fields we add (RFC 5321, 4.4; RFC 3848 and RFC 6531 protocol keywords) and the identification fields that
 * submission adds. Pure. */
#ifndef FRONTEND_SMTP_SMTP_TRACE_H
#define FRONTEND_SMTP_SMTP_TRACE_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/base/buf.h"

#ifdef __cplusplus
extern "C" {
#endif

struct smtp_trace {
    const char *hostname;
    const char *id;           /* of the message, in our logs too */
    const char *helo;         /* as the client said; "" when it said nothing */
    const char *ip;           /* NULL: hidden (submission) */
    const char *tls;          /* "TLSv1.3 TLS_AES_128_GCM_SHA256"; "" without */
    const char *mailbox;      /* for <...>, NULL with several recipients */
    const char *reverse_path; /* "" is the null one */
    int64_t now_s;
    bool lmtp;
    bool extended; /* EHLO or LHLO */
    bool authenticated;
    bool utf8; /* the SMTPUTF8 parameter */
};

/* "ESMTPSA", "UTF8LMTP"... into out. */
void smtp_trace_protocol(const struct smtp_trace *t, char out[16]);
/* Return-Path: <...> CRLF Received: ... CRLF. Folded below 998 octets a line; every octet that a client chose and that
 * is not harmless in a header reads "?". */
MUST_CHECK enum err smtp_trace_format(const struct smtp_trace *t, struct buf *out);
/* "Date: ...\r\n" and "Message-ID: <id@hostname>\r\n". */
MUST_CHECK enum err smtp_trace_date(int64_t now_s, struct buf *out);
MUST_CHECK enum err smtp_trace_message_id(const char *id, const char *hostname, struct buf *out);

#ifdef __cplusplus
}
#endif

#endif /* FRONTEND_SMTP_SMTP_TRACE_H */
