#include "frontend/imap/imap_cmd.h"

const struct imap_cmd *imap_cmd_find(struct slice name)
{
    for (size_t i = 0; imap_cmd_table[i] != NULL; i++) {
        if (slice_ieq_str(name, imap_cmd_table[i]->name)) {
            return imap_cmd_table[i];
        }
    }
    return NULL;
}

bool imap_parse_no_args(struct imap_cursor *c, struct imap_command *cmd)
{
    (void)cmd;
    return imap_parse_end(c);
}

bool imap_parse_sp_set(struct imap_cursor *c, struct imap_set *out)
{
    return imap_parse_sp(c) && imap_parse_set(c, out);
}

/* command = tag SP name: the name alone, "UID" SP name for those that have it. */
static bool parse_name(struct imap_cursor *c, struct imap_command *out)
{
    struct slice name;
    if (!imap_parse_sp(c) || !imap_parse_atom(c, &name)) {
        return imap_parse_fail(c, "Missing command");
    }
    if (slice_ieq_str(name, "UID")) {
        out->uid = true;
        if (!imap_parse_sp(c) || !imap_parse_atom(c, &name)) {
            return imap_parse_fail(c, "Missing command after UID");
        }
    }
    out->cmd = imap_cmd_find(name);
    if (out->cmd == NULL || (out->uid && (out->cmd->flags & IMAP_CMD_UID) == 0)) {
        out->cmd = NULL;
        return imap_parse_fail(c, "Unknown command");
    }
    return true;
}

static bool check_state(struct imap_cursor *c, const struct imap_cmd *cmd, enum imap_state state)
{
    if ((cmd->states & (unsigned)state) != 0) {
        return true;
    }
    if (state == IMAP_STATE_NOT_AUTHENTICATED) {
        return imap_parse_fail(c, "Log in first");
    }
    if ((cmd->states & IMAP_STATES_LOGGED_IN) == 0) {
        return imap_parse_fail(c, "Already logged in");
    }
    return imap_parse_fail(c, "No mailbox selected");
}

enum imap_parsed imap_command_parse(struct slice text, enum imap_state state, const struct imap_limits *limits,
                                    struct arena *arena, struct imap_command *out)
{
    struct imap_cursor c;
    imap_cursor_init(&c, text, arena, limits);
    *out = (struct imap_command){.arena = arena, .about = IMAP_ABOUT_MAILBOX};
    if (imap_parse_tag(&c, &out->tag) && parse_name(&c, out) && check_state(&c, out->cmd, state) &&
        out->cmd->parse(&c, out)) {
        return IMAP_PARSED_OK;
    }
    out->reply = (struct imap_reply){.status = IMAP_STATUS_BAD, .text = c.reason};
    return c.more ? IMAP_PARSED_MORE : IMAP_PARSED_BAD;
}
