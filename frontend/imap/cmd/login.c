#include "frontend/imap/imap_login.h"

struct login_args {
    struct slice user;
    struct slice password;
};

/* login = "LOGIN" SP userid SP password */
static bool login_parse(struct imap_cursor *c, struct imap_command *cmd)
{
    struct login_args *a = arena_zalloc(c->arena, sizeof(*a));
    if (a == NULL) {
        return imap_parse_nomem(c);
    }
    cmd->args = a;
    return imap_parse_sp(c) && imap_parse_astring(c, &a->user) && imap_parse_sp(c) &&
           imap_parse_astring(c, &a->password) && imap_parse_end(c);
}

static bool login_disabled(const struct imap_session *s)
{
    return s->state == IMAP_STATE_NOT_AUTHENTICATED && !imap_login_allowed(s);
}

static enum err login_run(struct imap_session *s, struct imap_command *cmd)
{
    const struct login_args *a = cmd->args;
    imap_login(s, a->user, a->password, "LOGIN", cmd->arena, &cmd->reply);
    return OK;
}

IMAP_CMD(login) = {
    .name = "LOGIN",
    .capability = "LOGINDISABLED",
    .capable = login_disabled,
    .states = IMAP_STATE_NOT_AUTHENTICATED,
    .flags = IMAP_CMD_NO_SYNC | IMAP_CMD_SECRET,
    .parse = login_parse,
    .run = login_run,
};
