#include "bench/load/work.h"

static const struct step steps[] = {
    {REPLY_TAG "CREATE $m\r\n", REPLY_TAGGED},
    {0},
};

WORK(create) = {
    .name = "create",
    .doc = "CREATE of the mailbox",
    .setup = steps_imap_login,
    .op = steps,
};
