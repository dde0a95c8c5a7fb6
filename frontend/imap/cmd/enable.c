#include "frontend/imap/imap_session.h"

/* enable = "ENABLE" 1*(SP capability): unknown ones are ignored (RFC 5161). */
static bool enable_parse(struct imap_cursor *c, struct imap_command *cmd)
{
    bool *condstore = arena_zalloc(c->arena, sizeof(*condstore));
    if (condstore == NULL) {
        return imap_parse_nomem(c);
    }
    cmd->args = condstore;
    if (!imap_parse_sp(c)) {
        return false;
    }
    do {
        struct slice word;
        if (!imap_parse_atom(c, &word)) {
            return false;
        }
        *condstore = *condstore || slice_ieq_str(word, "CONDSTORE");
    } while (imap_take(c, ' '));
    return imap_parse_end(c);
}

static enum err enable_run(struct imap_session *s, struct imap_command *cmd)
{
    const bool *condstore = cmd->args;
    imap_out_str(&s->out, *condstore ? "* ENABLED CONDSTORE\r\n" : "* ENABLED\r\n");
    if (*condstore) {
        imap_condstore_enable(s);
    }
    return OK;
}

IMAP_CMD(enable) = {
    .name = "ENABLE",
    .capability = "ENABLE",
    .states = IMAP_STATES_LOGGED_IN,
    .parse = enable_parse,
    .run = enable_run,
};
