/* What EHLO and LHLO share: the extensions on offer, taken from the commands' descriptors. */
#ifndef FRONTEND_SMTP_SMTP_GREET_H
#define FRONTEND_SMTP_SMTP_GREET_H

#include "frontend/smtp/smtp_session.h"

#ifdef __cplusplus
extern "C" {
#endif

MUST_CHECK enum err smtp_greet_extended(struct smtp_session *s, struct slice args);

#ifdef __cplusplus
}
#endif

#endif /* FRONTEND_SMTP_SMTP_GREET_H */
