#include "bench/load/work.h"

static const struct step steps[] = {
    {REPLY_TAG "STORE 1:* $f.SILENT (\\Flagged)\r\n", REPLY_TAGGED},
    {0},
};

WORK(store_all) = {
    .name = "store_all",
    .doc = "STORE of one flag on all messages, set and cleared in turn",
    .setup = steps_imap_select,
    .op = steps,
};
