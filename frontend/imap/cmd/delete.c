#include "frontend/imap/imap_session.h"

/* delete = "DELETE" SP mailbox */
static bool delete_parse(struct imap_cursor *c, struct imap_command *cmd)
{
    char *name;
    if (!imap_parse_sp(c) || !imap_parse_mailbox(c, &name)) {
        return false;
    }
    cmd->args = name;
    return imap_parse_end(c);
}

static enum err delete_run(struct imap_session *s, struct imap_command *cmd)
{
    Pb__OpMailboxDelete req = PB__OP_MAILBOX_DELETE__INIT;
    req.account = s->account.id.v;
    req.name = cmd->args;
    struct backend_reply reply;
    enum err e = imap_call(s, METHOD_MAILBOX_DELETE, &req.base, cmd->arena, &reply);
    backend_reply_fini(&reply);
    return e;
}

IMAP_CMD(delete) = {
    .name = "DELETE",
    .states = IMAP_STATES_LOGGED_IN,
    .parse = delete_parse,
    .run = delete_run,
};
