#include "bench/load/work.h"

static const struct step steps[] = {
    {REPLY_TAG "SEARCH FROM \"Sender Number $k\"\r\n", REPLY_TAGGED},
    {0},
};

WORK(search_header) = {
    .name = "search_header",
    .doc = "SEARCH of a header field",
    .setup = steps_imap_select,
    .op = steps,
};
