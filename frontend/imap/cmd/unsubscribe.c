#include "frontend/imap/imap_session.h"

/* unsubscribe = "UNSUBSCRIBE" SP mailbox */
static bool unsubscribe_parse(struct imap_cursor *c, struct imap_command *cmd)
{
    char *name;
    if (!imap_parse_sp(c) || !imap_parse_mailbox(c, &name)) {
        return false;
    }
    cmd->args = name;
    return imap_parse_end(c);
}

static enum err unsubscribe_run(struct imap_session *s, struct imap_command *cmd)
{
    Pb__OpMailboxSubscribe req = PB__OP_MAILBOX_SUBSCRIBE__INIT;
    req.account = s->account.id.v;
    req.name = cmd->args;
    struct backend_reply reply;
    enum err e = imap_call(s, METHOD_MAILBOX_SUBSCRIBE, &req.base, cmd->arena, &reply);
    backend_reply_fini(&reply);
    return e;
}

IMAP_CMD(unsubscribe) = {
    .name = "UNSUBSCRIBE",
    .states = IMAP_STATES_LOGGED_IN,
    .parse = unsubscribe_parse,
    .run = unsubscribe_run,
};
