#include "frontend/imap/imap_objectid.h"
#include "frontend/imap/imap_session.h"
#include "proto/rpc/flags.h"

struct create_args {
    char *name;
    uint32_t special_use;
    bool bad_use; /* what no mailbox can have here */
};

static const struct {
    const char *name;
    uint32_t use;
} uses[] = {
    {"All", SPECIAL_USE_ALL},         {"Archive", SPECIAL_USE_ARCHIVE}, {"Drafts", SPECIAL_USE_DRAFTS},
    {"Flagged", SPECIAL_USE_FLAGGED}, {"Junk", SPECIAL_USE_JUNK},       {"Sent", SPECIAL_USE_SENT},
    {"Trash", SPECIAL_USE_TRASH},
};

static uint32_t find_use(struct slice name)
{
    for (size_t i = 0; i < sizeof(uses) / sizeof(uses[0]); i++) {
        if (slice_ieq_str(name, uses[i].name)) {
            return uses[i].use;
        }
    }
    return SPECIAL_USE_NONE;
}

/* use-attr = "\\" atom. One that is unknown, or a second one, is no error of grammar: NO [USEATTR]. */
static bool parse_attribute(struct imap_cursor *c, struct create_args *a)
{
    struct slice name;
    if (!imap_parse_char(c, '\\') || !imap_parse_atom(c, &name)) {
        return false;
    }
    uint32_t use = find_use(name);
    a->bad_use = a->bad_use || use == SPECIAL_USE_NONE || (a->special_use != SPECIAL_USE_NONE && use != a->special_use);
    a->special_use = use;
    return true;
}

/* create-param = "USE" SP "(" [use-attr *(SP use-attr)] ")" (RFC 6154, 6) */
static bool parse_use(struct imap_cursor *c, struct create_args *a)
{
    if (!imap_parse_char(c, '(') || !imap_take_word(c, "USE")) {
        return imap_parse_fail(c, "Unknown CREATE parameter");
    }
    if (!imap_parse_sp(c) || !imap_parse_char(c, '(')) {
        return false;
    }
    if (!imap_take(c, ')')) {
        do {
            if (!parse_attribute(c, a)) {
                return false;
            }
        } while (imap_take(c, ' '));
        if (!imap_parse_char(c, ')')) {
            return false;
        }
    }
    return imap_parse_char(c, ')');
}

/* create = "CREATE" SP mailbox [SP "(" create-param ")"] */
static bool create_parse(struct imap_cursor *c, struct imap_command *cmd)
{
    struct create_args *a = arena_zalloc(c->arena, sizeof(*a));
    if (a == NULL) {
        return imap_parse_nomem(c);
    }
    cmd->args = a;
    if (!imap_parse_sp(c) || !imap_parse_mailbox(c, &a->name)) {
        return false;
    }
    if (imap_take(c, ' ') && !parse_use(c, a)) {
        return false;
    }
    return imap_parse_end(c);
}

static enum err create_run(struct imap_session *s, struct imap_command *cmd)
{
    const struct create_args *a = cmd->args;
    if (a->bad_use) {
        return imap_no(cmd, "USEATTR", "A mailbox can have one of the known special uses");
    }
    Pb__OpMailboxCreate req = PB__OP_MAILBOX_CREATE__INIT;
    req.account = s->account.id.v;
    req.name = a->name;
    req.special_use = a->special_use;
    struct backend_reply reply;
    enum err e = imap_call(s, METHOD_MAILBOX_CREATE, &req.base, cmd->arena, &reply);
    if (e == OK) {
        const Pb__OpMailboxCreateResult *r = (const Pb__OpMailboxCreateResult *)reply.message;
        char id[IMAP_OBJECTID_TEXT_BYTES];
        imap_objectid_text('F', slice_make(r->mailbox_objectid.data, r->mailbox_objectid.len), id);
        (void)imap_ok(cmd, arena_printf(cmd->arena, "MAILBOXID (%s)", id), NULL); /* RFC 8474, 4.1 */
    }
    backend_reply_fini(&reply);
    return e;
}

IMAP_CMD(create) = {
    .name = "CREATE",
    .capability = "CREATE-SPECIAL-USE",
    .states = IMAP_STATES_LOGGED_IN,
    .parse = create_parse,
    .run = create_run,
};
