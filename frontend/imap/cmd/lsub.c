#include "frontend/imap/imap_list.h"

static bool lsub_parse(struct imap_cursor *c, struct imap_command *cmd)
{
    struct imap_list *l = arena_zalloc(c->arena, sizeof(*l));
    if (l == NULL) {
        return imap_parse_nomem(c);
    }
    l->lsub = true;
    cmd->args = l;
    return imap_parse_list(c, l);
}

static enum err lsub_run(struct imap_session *s, struct imap_command *cmd)
{
    return imap_list_run(s, cmd->args);
}

IMAP_CMD(lsub) = {
    .name = "LSUB",
    .states = IMAP_STATES_LOGGED_IN,
    .parse = lsub_parse,
    .run = lsub_run,
};
