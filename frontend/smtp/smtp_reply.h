/* What we say: the mapping from enum err to SMTP replies (RFC 5321, 4.2; RFC 3463), and the one way a reply is written.
 */
#ifndef FRONTEND_SMTP_SMTP_REPLY_H
#define FRONTEND_SMTP_SMTP_REPLY_H

#include <stdbool.h>

#include "proto/base/err.h"

#ifdef __cplusplus
extern "C" {
#endif

struct smtp_session;

struct smtp_status {
    int code;             /* 250 */
    const char *enhanced; /* "2.1.5" */
    const char *text;
};

/* A storage or session error met while handling mail. Total: every err has a reply, OK is 250 2.0.0. quota_permanent:
 * 552 instead of 452. */
struct smtp_status smtp_status_of(enum err e, bool quota_permanent);

/* A reply to AUTH. */
struct smtp_status smtp_status_of_auth(enum err e);

/* 4xx: the client should try again. */
static inline bool smtp_status_temporary(const struct smtp_status *s)
{
    return s->code >= 400 && s->code < 500;
}

/* Writes "code enhanced text". A 5xx counts as an error of the client: late ones are delayed, too many end in 421. The
 * error that comes back ends the session (the peer is gone, or errors_hard). */
MUST_CHECK enum err smtp_reply_status(struct smtp_session *s, struct smtp_status st);
MUST_CHECK enum err smtp_reply(struct smtp_session *s, int code, const char *enhanced, const char *text);
/* The same, and the end: always an error. */
MUST_CHECK enum err smtp_reply_close(struct smtp_session *s, int code, const char *enhanced, const char *text);

#ifdef __cplusplus
}
#endif

#endif /* FRONTEND_SMTP_SMTP_REPLY_H */
