/* What we say: the mapping from enum err to -ERR with response codes (RFC 2449, 8; RFC 3206), and the ways a reply is
 * written. */
#ifndef FRONTEND_POP3_POP3_REPLY_H
#define FRONTEND_POP3_POP3_REPLY_H

#include "proto/base/err.h"

#ifdef __cplusplus
extern "C" {
#endif

struct pop3_session;

struct pop3_status {
    const char *code; /* "[SYS/TEMP] ", or "" */
    const char *text;
};

/* Total: every err but OK has a reply. */
struct pop3_status pop3_status_of(enum err e);

/* Each returns OK, or the error that ends the session. */
MUST_CHECK enum err pop3_reply_ok(struct pop3_session *s, const char *text);
MUST_CHECK enum err pop3_reply_err(struct pop3_session *s, enum err e);
/* The client's own mistake: counted, too many end the session. */
MUST_CHECK enum err pop3_reply_bad(struct pop3_session *s, const char *text);
/* -ERR and the end: always an error. */
MUST_CHECK enum err pop3_reply_close(struct pop3_session *s, enum err e);

#ifdef __cplusplus
}
#endif

#endif /* FRONTEND_POP3_POP3_REPLY_H */
