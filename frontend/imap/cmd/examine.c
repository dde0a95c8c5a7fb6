#include "frontend/imap/imap_select.h"

static enum err examine_run(struct imap_session *s, struct imap_command *cmd)
{
    return imap_select(s, cmd, true);
}

IMAP_CMD(examine) = {
    .name = "EXAMINE",
    .states = IMAP_STATES_LOGGED_IN,
    .flags = IMAP_CMD_NO_SYNC,
    .parse = imap_parse_select,
    .run = examine_run,
};
