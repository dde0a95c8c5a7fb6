/* What SELECT and EXAMINE share (RFC 3501, 6.3.1). */
#ifndef FRONTEND_IMAP_IMAP_SELECT_H
#define FRONTEND_IMAP_IMAP_SELECT_H

#include "frontend/imap/imap_session.h"

#ifdef __cplusplus
extern "C" {
#endif

/* SP mailbox [SP "(" "CONDSTORE" ")"]; the args are the name. */
bool imap_parse_select(struct imap_cursor *c, struct imap_command *cmd);
/* Leaves the mailbox that is selected, opens the named one, and says all that SELECT says. */
MUST_CHECK enum err imap_select(struct imap_session *s, struct imap_command *cmd, bool read_only);

#ifdef __cplusplus
}
#endif

#endif /* FRONTEND_IMAP_IMAP_SELECT_H */
