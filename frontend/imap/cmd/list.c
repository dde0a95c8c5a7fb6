#include "frontend/imap/imap_list.h"

static bool list_parse(struct imap_cursor *c, struct imap_command *cmd)
{
    struct imap_list *l = arena_zalloc(c->arena, sizeof(*l));
    if (l == NULL) {
        return imap_parse_nomem(c);
    }
    cmd->args = l;
    bool ok = imap_parse_list(c, l);
    cmd->condstore = l->condstore;
    return ok;
}

static enum err list_run(struct imap_session *s, struct imap_command *cmd)
{
    return imap_list_run(s, cmd->args);
}

IMAP_CMD(list) = {
    .name = "LIST",
    .capability = "CHILDREN LIST-EXTENDED LIST-STATUS SPECIAL-USE",
    .states = IMAP_STATES_LOGGED_IN,
    .parse = list_parse,
    .run = list_run,
};
