#include "frontend/smtp/smtp_session.h"

static enum err quit_run(struct smtp_session *s, struct slice args)
{
    (void)args;
    return smtp_reply_close(s, 221, "2.0.0", "bye");
}

SMTP_CMD(quit) = {
    .name = "QUIT",
    .roles = SMTP_ROLES_ALL,
    .states = SMTP_STATES_ALL,
    .args = SMTP_ARGS_NONE,
    .usage = "QUIT",
    .run = quit_run,
};
