#include "frontend/imap/imap_session.h"

static enum err unselect_run(struct imap_session *s, struct imap_command *cmd)
{
    (void)cmd;
    imap_unselect(s);
    return OK;
}

IMAP_CMD(unselect) = {
    .name = "UNSELECT",
    .capability = "UNSELECT",
    .states = IMAP_STATE_SELECTED,
    .flags = IMAP_CMD_NO_SYNC,
    .parse = imap_parse_no_args,
    .run = unselect_run,
};
