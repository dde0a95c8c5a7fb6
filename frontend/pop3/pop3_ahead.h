/* Read-ahead for clients that fetch message after message: from the second RETR in sequence on, the messages that
 * follow come with the asked one in one page of FETCH, as many whole ones as fit. A session holds at most that one page
 * (128 KiB and a little), and not for long: it goes after its last message, when the client leaves the sequence, and
 * when it says nothing for seconds. A message that another session removes meanwhile is still sent from it. */
#ifndef FRONTEND_POP3_POP3_AHEAD_H
#define FRONTEND_POP3_POP3_AHEAD_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/base/err.h"
#include "proto/base/slice.h"

#ifdef __cplusplus
extern "C" {
#endif

struct pop3_session;
struct pop3_page;

struct pop3_ahead {         /* zeroed = nothing yet */
    struct pop3_page *page; /* NULL: none */
    uint32_t next;          /* index behind the last RETR; 0: there was none */
};

/* Before RETR (fiber). Found: the whole message, valid until pop3_ahead_pause. Not found: it is to be read as usual.
 * An error is storage's, and temporary. */
MUST_CHECK enum err pop3_ahead_get(struct pop3_session *s, uint32_t index, bool *out_found, struct slice *out_message);
/* After it: lets the page go, now or after a while. */
void pop3_ahead_pause(struct pop3_session *s);
/* At the end of the session; also from the loop's own stack. */
void pop3_ahead_drop(struct pop3_session *s);

#ifdef __cplusplus
}
#endif

#endif /* FRONTEND_POP3_POP3_AHEAD_H */
