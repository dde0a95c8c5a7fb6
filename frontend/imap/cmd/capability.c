#include "frontend/imap/imap_session.h"

static enum err capability_run(struct imap_session *s, struct imap_command *cmd)
{
    const char *text = imap_capabilities(s, cmd->arena);
    if (text == NULL) {
        return ERR_NOMEM;
    }
    imap_out_str(&s->out, "* ");
    imap_out_str(&s->out, text);
    imap_out_str(&s->out, "\r\n");
    return OK;
}

IMAP_CMD(capability) = {
    .name = "CAPABILITY",
    .capability = "LITERAL+", /* RFC 7888 */
    .states = IMAP_STATES_ALL,
    .flags = IMAP_CMD_NO_SYNC,
    .parse = imap_parse_no_args,
    .run = capability_run,
};
