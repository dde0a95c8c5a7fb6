#include "bench/load/work.h"

static const struct step steps[] = {
    {REPLY_TAG "FETCH 1:* BODYSTRUCTURE\r\n", REPLY_TAGGED},
    {0},
};

WORK(fetch_structure) = {
    .name = "fetch_structure",
    .doc = "FETCH 1:* BODYSTRUCTURE",
    .setup = steps_imap_select,
    .op = steps,
};
