#include "bench/load/work.h"

static const struct step steps[] = {
    {REPLY_TAG "FETCH $s BODY.PEEK[]\r\n", REPLY_TAGGED},
    {0},
};

WORK(fetch_body) = {
    .name = "fetch_body",
    .doc = "one whole message",
    .setup = steps_imap_select,
    .op = steps,
};
