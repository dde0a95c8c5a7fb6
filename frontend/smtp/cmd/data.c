#include "frontend/smtp/smtp_session.h"

static enum err data_run(struct smtp_session *s, struct slice args)
{
    (void)args;
    if (s->state ==
        SMTP_STATE_MAIL) { /* pipelined behind recipients that were all refused (RFC 2920, 3.1; RFC 2033, 4.2) */
        return smtp_reply(s, s->role == SMTP_ROLE_LMTP ? 503 : 554, "5.5.1", "no valid recipients");
    }
    return smtp_data_run(s);
}

/* RFC 5321, 4.1.1.4 */
SMTP_CMD(data) = {
    .name = "DATA",
    .roles = SMTP_ROLES_ALL,
    .states = SMTP_STATE_MAIL | SMTP_STATE_RCPT,
    .args = SMTP_ARGS_NONE,
    .usage = "DATA",
    .order = "MAIL and RCPT first",
    .last = true,
    .run = data_run,
};
