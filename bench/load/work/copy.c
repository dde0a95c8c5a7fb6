#include "bench/load/work.h"

static const struct step steps[] = {
    {REPLY_TAG "COPY 1:* $m\r\n", REPLY_TAGGED},
    {0},
};

WORK(copy) = {
    .name = "copy",
    .doc = "COPY 1:* to the mailbox --mailbox from the INBOX: fills large mailboxes",
    .setup = steps_imap_inbox,
    .op = steps,
};
