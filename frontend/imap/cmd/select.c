#include "frontend/imap/imap_select.h"

static enum err select_run(struct imap_session *s, struct imap_command *cmd)
{
    return imap_select(s, cmd, false);
}

IMAP_CMD(select) = {
    .name = "SELECT",
    .states = IMAP_STATES_LOGGED_IN,
    .flags = IMAP_CMD_NO_SYNC,
    .parse = imap_parse_select,
    .run = select_run,
};
