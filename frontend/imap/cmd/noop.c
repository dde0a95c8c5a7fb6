#include "frontend/imap/imap_session.h"

static enum err noop_run(struct imap_session *s, struct imap_command *cmd)
{
    (void)s;
    (void)cmd;
    return OK; /* the descriptor says what it is for */
}

IMAP_CMD(noop) = {
    .name = "NOOP",
    .states = IMAP_STATES_ALL,
    .flags = IMAP_CMD_SYNC,
    .parse = imap_parse_no_args,
    .run = noop_run,
};
