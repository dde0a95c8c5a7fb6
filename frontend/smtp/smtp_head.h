/* The header of a message while it streams by (RFC 5322, 2.2): counts Received: fields, and for submission adds the
 * Date and Message-ID that are missing (RFC 6409, 8) at the end of the header. A filter, resumable at every byte; pure.
 */
#ifndef FRONTEND_SMTP_SMTP_HEAD_H
#define FRONTEND_SMTP_SMTP_HEAD_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/base/buf.h"

#ifdef __cplusplus
extern "C" {
#endif

#define SMTP_HEAD_NAME_BYTES 32 /* longer names are none of those looked for */

enum smtp_head_state {
    SMTP_HEAD_LINE_START,
    SMTP_HEAD_NAME, /* the line so far is held in `name` */
    SMTP_HEAD_LINE, /* the rest of a line */
    SMTP_HEAD_BODY  /* the header is over: the filter has nothing more to do */
};

struct smtp_head { /* zeroed = ready, adding nothing */
    enum smtp_head_state state;
    struct slice add_date;       /* whole field with CRLF, or empty */
    struct slice add_message_id; /* likewise */
    bool has_date;
    bool has_message_id;
    uint32_t received;
    uint8_t name_bytes;
    uint8_t name[SMTP_HEAD_NAME_BYTES];
};

/* Appends in, with what is added, to out. Everything is written by the end of a complete message at the latest. out
 * needs room for in.n + 32 + both fields. */
MUST_CHECK enum err smtp_head_feed(struct smtp_head *h, struct slice in, struct buf *out);
/* End of the message: a header without a body gets its fields too. */
MUST_CHECK enum err smtp_head_finish(struct smtp_head *h, struct buf *out);

#ifdef __cplusplus
}
#endif

#endif /* FRONTEND_SMTP_SMTP_HEAD_H */
