#include "frontend/imap/imap_session.h"

/* RFC 2342: one personal namespace, no others'. */
static enum err namespace_run(struct imap_session *s, struct imap_command *cmd)
{
    (void)cmd;
    imap_out_str(&s->out, "* NAMESPACE ((\"\" \"/\")) NIL NIL\r\n");
    return OK;
}

IMAP_CMD(namespace) = {
    .name = "NAMESPACE",
    .capability = "NAMESPACE",
    .states = IMAP_STATES_LOGGED_IN,
    .parse = imap_parse_no_args,
    .run = namespace_run,
};
