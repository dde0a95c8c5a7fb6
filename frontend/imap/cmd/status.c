#include "frontend/imap/imap_status.h"

#include "frontend/imap/imap_session.h"

struct status_args {
    char *name;
    struct imap_status_items items;
};

/* status = "STATUS" SP mailbox SP "(" status-att *(SP status-att) ")" */
static bool status_parse(struct imap_cursor *c, struct imap_command *cmd)
{
    struct status_args *a = arena_zalloc(c->arena, sizeof(*a));
    if (a == NULL) {
        return imap_parse_nomem(c);
    }
    cmd->args = a;
    return imap_parse_sp(c) && imap_parse_mailbox(c, &a->name) && imap_parse_sp(c) &&
           imap_parse_status_items(c, &a->items, &cmd->condstore) && imap_parse_end(c);
}

static enum err status_run(struct imap_session *s, struct imap_command *cmd)
{
    const struct status_args *a = cmd->args;
    Pb__ReadMailboxes req = PB__READ_MAILBOXES__INIT;
    req.account = s->account.id.v;
    req.name = a->name;
    struct backend_reply reply;
    enum err e = imap_call(s, METHOD_MAILBOXES, &req.base, cmd->arena, &reply);
    if (e == OK) {
        const Pb__ReadMailboxesResult *r = (const Pb__ReadMailboxesResult *)reply.message;
        if (r->n_mailboxes == 0 || r->mailboxes[0]->noselect || r->mailboxes[0]->nonexistent) {
            e = ERR_NOTFOUND;
        } else {
            imap_out_status(&s->out, &a->items, r->mailboxes[0]);
        }
    }
    backend_reply_fini(&reply);
    return e;
}

IMAP_CMD(status) = {
    .name = "STATUS",
    .states = IMAP_STATES_LOGGED_IN,
    .parse = status_parse,
    .run = status_run,
};
