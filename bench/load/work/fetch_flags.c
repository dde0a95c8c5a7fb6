#include "bench/load/work.h"

static const struct step steps[] = {
    {REPLY_TAG "FETCH 1:* (UID FLAGS)\r\n", REPLY_TAGGED},
    {0},
};

WORK(fetch_flags) = {
    .name = "fetch_flags",
    .doc = "FETCH 1:* (UID FLAGS)",
    .setup = steps_imap_select,
    .op = steps,
};
