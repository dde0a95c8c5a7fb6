#include "frontend/imap/imap_session.h"

/* Everything acknowledged is durable already: CHECK is NOOP (RFC 3501, 6.4.1). */
static enum err check_run(struct imap_session *s, struct imap_command *cmd)
{
    (void)s;
    (void)cmd;
    return OK;
}

IMAP_CMD(check) = {
    .name = "CHECK",
    .states = IMAP_STATE_SELECTED,
    .flags = IMAP_CMD_SYNC,
    .parse = imap_parse_no_args,
    .run = check_run,
};
