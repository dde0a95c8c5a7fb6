#include "frontend/imap/imap_expunge.h"

/* RFC 3501, 6.4.2: expunges without a word, unless the mailbox was opened by EXAMINE. */
static enum err close_run(struct imap_session *s, struct imap_command *cmd)
{
    (void)cmd;
    enum err e = s->view->read_only ? OK : imap_expunge(s, NULL);
    if (e == OK) {
        imap_unselect(s);
    }
    return e;
}

IMAP_CMD(close) = {
    .name = "CLOSE",
    .states = IMAP_STATE_SELECTED,
    .flags = IMAP_CMD_NO_SYNC,
    .parse = imap_parse_no_args,
    .run = close_run,
};
