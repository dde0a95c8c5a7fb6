#include "frontend/imap/imap_session.h"

static enum err logout_run(struct imap_session *s, struct imap_command *cmd)
{
    imap_unselect(s);
    imap_bye(s, "Logging out", "logout");
    imap_session_enter(s, IMAP_STATE_LOGOUT);
    return imap_ok(cmd, NULL, NULL);
}

IMAP_CMD(logout) = {
    .name = "LOGOUT",
    .states = IMAP_STATES_ALL,
    .flags = IMAP_CMD_NO_SYNC,
    .parse = imap_parse_no_args,
    .run = logout_run,
};
