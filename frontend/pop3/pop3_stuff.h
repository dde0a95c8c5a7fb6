/* A message on its way to the client as a multi-line response (RFC 1939, 3): every line ends in CRLF (a bare LF gets
 * its CR), lines that begin with "." are stuffed, ".CRLF" ends it. Resumable at every byte; pure. Bare LFs cannot be
 * sent as they are: clients that read lines by LF and clients that read them by CRLF would see different ends of the
 * response. */
#ifndef FRONTEND_POP3_POP3_STUFF_H
#define FRONTEND_POP3_POP3_STUFF_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/base/buf.h"

#ifdef __cplusplus
extern "C" {
#endif

#define POP3_LINES_ALL UINT64_MAX

struct pop3_stuff {
    uint64_t body_lines; /* of the body that are still to go out (TOP); POP3_LINES_ALL: everything */
    bool in_line;        /* a byte of the current line went out */
    bool cr;             /* the last byte was CR */
    bool body;           /* behind the empty line that ends the header */
    bool done;           /* enough lines: nothing more is written */
};

/* Bytes written for n bytes of input at most. */
#define POP3_STUFF_OUT_BYTES(n) (2 * (n) + 2)

void pop3_stuff_init(struct pop3_stuff *s, uint64_t body_lines);
/* ERR_LIMIT, ERR_NOMEM when out has no room for POP3_STUFF_OUT_BYTES(in.n). */
MUST_CHECK enum err pop3_stuff_feed(struct pop3_stuff *s, struct slice in, struct buf *out);
/* Completes an unfinished last line and writes the terminator. */
MUST_CHECK enum err pop3_stuff_finish(struct pop3_stuff *s, struct buf *out);

#ifdef __cplusplus
}
#endif

#endif /* FRONTEND_POP3_POP3_STUFF_H */
