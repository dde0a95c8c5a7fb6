#include "frontend/smtp/smtp_session.h"

static enum err rset_run(struct smtp_session *s, struct slice args)
{
    (void)args;
    smtp_session_reset(s);
    return smtp_reply(s, 250, "2.0.0", "ok");
}

SMTP_CMD(rset) = {
    .name = "RSET",
    .roles = SMTP_ROLES_ALL,
    .states = SMTP_STATES_ALL,
    .args = SMTP_ARGS_NONE,
    .usage = "RSET",
    .run = rset_run,
};
