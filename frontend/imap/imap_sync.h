/* What happened in the selected mailbox, from storage to the client: ReadSync -> the view -> untagged responses (RFC
 * 3501, 7.3 and 7.4). */
#ifndef FRONTEND_IMAP_IMAP_SYNC_H
#define FRONTEND_IMAP_IMAP_SYNC_H

#include "frontend/imap/imap_session.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Asks storage for the changes since the view's modseq and reports them: EXPUNGE (only when expunge is set; otherwise
 * they wait in the view), EXISTS, RECENT, FETCH FLAGS. When the mailbox is gone it says BYE and the session ends (still
 * OK). */
MUST_CHECK enum err imap_sync(struct imap_session *s, bool expunge);

/* Before a tagged reply: syncs if the command asks for it, this session changed something, or a hint came. Errors are
 * left for the next time, except for commands that exist to ask (NOOP): they fail. */
void imap_sync_after(struct imap_session *s, struct imap_command *cmd);

/* Tells the client what waits in view->gone, in order, each number as it is after those before it. */
MUST_CHECK enum err imap_report_expunges(struct imap_session *s);
/* Takes the mailbox's keyword table; FLAGS and PERMANENTFLAGS if it is another than the client knows. */
MUST_CHECK enum err imap_report_keywords(struct imap_session *s, char *const *names, size_t n);
/* EXISTS and RECENT if they differ from what was told. */
void imap_report_exists(struct imap_session *s);

#ifdef __cplusplus
}
#endif

#endif /* FRONTEND_IMAP_IMAP_SYNC_H */
