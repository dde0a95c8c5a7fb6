#include "bench/load/work.h"

static const struct step steps[] = {
    {REPLY_TAG "STORE $q $f (\\Flagged)\r\n", REPLY_TAGGED},
    {0},
};

WORK(store) = {
    .name = "store",
    .doc = "STORE of one flag of one message, set and cleared in turn",
    .setup = steps_imap_select,
    .op = steps,
};
