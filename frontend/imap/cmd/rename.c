#include "frontend/imap/imap_session.h"

struct rename_args {
    char *from;
    char *to;
};

/* rename = "RENAME" SP mailbox SP mailbox */
static bool rename_parse(struct imap_cursor *c, struct imap_command *cmd)
{
    struct rename_args *a = arena_zalloc(c->arena, sizeof(*a));
    if (a == NULL) {
        return imap_parse_nomem(c);
    }
    cmd->args = a;
    return imap_parse_sp(c) && imap_parse_mailbox(c, &a->from) && imap_parse_sp(c) && imap_parse_mailbox(c, &a->to) &&
           imap_parse_end(c);
}

static enum err rename_run(struct imap_session *s, struct imap_command *cmd)
{
    const struct rename_args *a = cmd->args;
    Pb__OpMailboxRename req = PB__OP_MAILBOX_RENAME__INIT;
    req.account = s->account.id.v;
    req.from = a->from;
    req.to = a->to;
    struct backend_reply reply;
    enum err e = imap_call(s, METHOD_MAILBOX_RENAME, &req.base, cmd->arena, &reply);
    backend_reply_fini(&reply);
    /* The selected mailbox may have been INBOX, which is another one now: ask (ARCHITECTURE, 5a). */
    s->dirty = true;
    return e;
}

IMAP_CMD(rename) = {
    .name = "RENAME",
    .states = IMAP_STATES_LOGGED_IN,
    .parse = rename_parse,
    .run = rename_run,
};
