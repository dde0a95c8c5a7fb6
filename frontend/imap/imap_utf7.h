/* Modified UTF-7 of mailbox names (RFC 3501, 5.1.3), at the edge only: inside, names are UTF-8. Strict, so that every
 * name has exactly one encoded form: what another program would encode otherwise is ERR_INVAL. */
#ifndef FRONTEND_IMAP_IMAP_UTF7_H
#define FRONTEND_IMAP_IMAP_UTF7_H

#include "proto/base/buf.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ERR_INVAL: not canonical modified UTF-7, unpaired surrogates, or a NUL. ERR_LIMIT, ERR_NOMEM: of the buffer. */
MUST_CHECK enum err imap_utf7_decode(struct slice in, struct buf *out_utf8);
/* ERR_INVAL: not UTF-8. */
MUST_CHECK enum err imap_utf7_encode(struct slice utf8, struct buf *out);

#ifdef __cplusplus
}
#endif

#endif /* FRONTEND_IMAP_IMAP_UTF7_H */
