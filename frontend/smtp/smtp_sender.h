/* Who may send as whom (RFC 6409, 6.1): a login sends with its own addresses only. */
#ifndef FRONTEND_SMTP_SMTP_SENDER_H
#define FRONTEND_SMTP_SMTP_SENDER_H

#include "frontend/smtp/smtp_path.h"
#include "frontend/smtp/smtp_session.h"

#ifdef __cplusplus
extern "C" {
#endif

/* 250 when the reverse-path is null, or resolves (as account, alias or with +detail) to the session's account;
 * 553 5.7.1 otherwise. Blocks in the directory. */
struct smtp_status smtp_sender_check(struct smtp_session *s, const struct smtp_path *from);

#ifdef __cplusplus
}
#endif

#endif /* FRONTEND_SMTP_SMTP_SENDER_H */
