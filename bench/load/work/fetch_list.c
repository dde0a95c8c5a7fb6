#include "bench/load/work.h"

static const struct step steps[] = {
    {REPLY_TAG "FETCH $w:$e (UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE)\r\n", REPLY_TAGGED},
    {0},
};

WORK(fetch_list) = {
    .name = "fetch_list",
    .doc = "a list of 50 as a webmail shows it",
    .setup = steps_imap_select,
    .op = steps,
};
