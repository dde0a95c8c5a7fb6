/* Object ids on the wire (RFC 8474): a letter for the kind and 32 hex digits. */
#ifndef FRONTEND_IMAP_IMAP_OBJECTID_H
#define FRONTEND_IMAP_IMAP_OBJECTID_H

#include "frontend/imap/imap_out.h"
#include "frontend/imap/imap_parse.h"
#include "proto/base/id.h"

#ifdef __cplusplus
extern "C" {
#endif

#define IMAP_OBJECTID_TEXT_BYTES 34 /* with a NUL */

/* "F0123...": kind F mailbox, M email, T thread. 16 bytes in; anything else gives 32 zeros. */
void imap_objectid_text(char kind, struct slice id, char out[IMAP_OBJECTID_TEXT_BYTES]);
/* "(F0123...)" */
void imap_out_objectid(struct imap_out *o, char kind, struct slice id);
/* The text form; *out_known = false for a well-formed id that is not ours (it matches nothing). */
bool imap_parse_objectid(struct imap_cursor *c, char kind, struct u128 *out, bool *out_known);

#ifdef __cplusplus
}
#endif

#endif /* FRONTEND_IMAP_IMAP_OBJECTID_H */
