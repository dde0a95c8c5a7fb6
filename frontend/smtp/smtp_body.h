/* The content of one message on its way in: parsed and uploaded chunk by chunk, to every home of the transaction at
 * once, so that no message is ever whole in memory. Blocks in the backend (fiber). */
#ifndef FRONTEND_SMTP_SMTP_BODY_H
#define FRONTEND_SMTP_SMTP_BODY_H

#include "frontend/smtp/smtp_session.h"
#include "proto/message/message.h"

#ifdef __cplusplus
extern "C" {
#endif

struct smtp_body {
    struct smtp_session *session;
    struct msg_parser *parser;
    struct backend_upload **uploads; /* one a home; NULL after its failure */
    enum err *failed;                /* of each home */
    uint32_t n;
    uint64_t reserved; /* of the process's budget */
    struct buf record;
};

/* ERR_OVERLOAD: the budget is spent. Uploads that cannot begin fail all: nothing has been asked of the client yet. */
MUST_CHECK enum err smtp_body_begin(struct smtp_body *b, struct smtp_session *s);
/* ERR_NOMEM of the parser; a home's failure is kept in failed[] and the others go on. */
MUST_CHECK enum err smtp_body_write(struct smtp_body *b, struct slice bytes);
/* All homes have failed: no use in going on. */
bool smtp_body_lost(const struct smtp_body *b);
/* DELIVERs to every home and settles the envelope's targets. */
void smtp_body_deliver(struct smtp_body *b);
/* Always; aborts uploads that were not delivered. */
void smtp_body_fini(struct smtp_body *b);

#ifdef __cplusplus
}
#endif

#endif /* FRONTEND_SMTP_SMTP_BODY_H */
