/* What LOGIN and AUTHENTICATE share. */
#ifndef FRONTEND_IMAP_IMAP_LOGIN_H
#define FRONTEND_IMAP_IMAP_LOGIN_H

#include "frontend/imap/imap_session.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Tries the password and makes the tagged reply: OK [CAPABILITY ...], or NO with the reason's code. On success the
 * session is authenticated. mechanism is for the log. Says BYE after too many failures. */
void imap_login(struct imap_session *s, struct slice user, struct slice password, const char *mechanism,
                struct arena *arena, struct imap_reply *out_reply);

/* Password commands may run on this connection. */
bool imap_login_allowed(const struct imap_session *s);

#ifdef __cplusplus
}
#endif

#endif /* FRONTEND_IMAP_IMAP_LOGIN_H */
