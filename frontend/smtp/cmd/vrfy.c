#include "frontend/smtp/smtp_session.h"

static enum err vrfy_run(struct smtp_session *s, struct slice args)
{
    (void)args;
    return smtp_reply(s, 252, "2.0.0", "cannot verify, but will take a message and try to deliver it");
}

/* RFC 5321, 3.5.3: answered without telling who exists. */
SMTP_CMD(vrfy) = {
    .name = "VRFY",
    .roles = SMTP_ROLES_ALL,
    .states = SMTP_STATES_ALL,
    .args = SMTP_ARGS_REQUIRED,
    .usage = "VRFY address",
    .last = true,
    .run = vrfy_run,
};
