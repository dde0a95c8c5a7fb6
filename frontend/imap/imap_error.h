/* enum err -> what IMAP says (ARCHITECTURE, 10; response codes of RFC 5530). */
#ifndef FRONTEND_IMAP_IMAP_ERROR_H
#define FRONTEND_IMAP_IMAP_ERROR_H

#include "proto/base/err.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What the command was about: decides between codes for the same error. */
enum imap_error_about {
    IMAP_ABOUT_MAILBOX, /* a mailbox by name, or the selected one */
    IMAP_ABOUT_TARGET,  /* the destination of APPEND, COPY, MOVE */
    IMAP_ABOUT_MESSAGE, /* a message's content */
    IMAP_ABOUT_LOGIN
};

struct imap_error {
    const char *code; /* "OVERQUOTA", NULL for none */
    const char *text;
};

/* e is not OK. Static strings. */
struct imap_error imap_error_of(enum err e, enum imap_error_about about);

#ifdef __cplusplus
}
#endif

#endif /* FRONTEND_IMAP_IMAP_ERROR_H */
