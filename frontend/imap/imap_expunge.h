/* Removing messages: EXPUNGE, UID EXPUNGE and CLOSE. */
#ifndef FRONTEND_IMAP_IMAP_EXPUNGE_H
#define FRONTEND_IMAP_IMAP_EXPUNGE_H

#include "frontend/imap/imap_session.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Expunges the messages with \Deleted, of `within` or of the whole mailbox when it is NULL, at most 1,000 an operation.
 * What was removed waits in view->gone for imap_report_expunges, also on an error. */
MUST_CHECK enum err imap_expunge(struct imap_session *s, const struct uidset *within);

#ifdef __cplusplus
}
#endif

#endif /* FRONTEND_IMAP_IMAP_EXPUNGE_H */
