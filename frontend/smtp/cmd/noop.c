#include "frontend/smtp/smtp_session.h"

static enum err noop_run(struct smtp_session *s, struct slice args)
{
    (void)args;
    return smtp_reply(s, 250, "2.0.0", "ok");
}

/* RFC 5321, 4.1.1.9: an argument is ignored. */
SMTP_CMD(noop) = {
    .name = "NOOP",
    .roles = SMTP_ROLES_ALL,
    .states = SMTP_STATES_ALL,
    .args = SMTP_ARGS_OPTIONAL,
    .usage = "NOOP",
    .run = noop_run,
};
