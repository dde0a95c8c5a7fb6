#include "bench/load/work.h"

static const struct step steps[] = {
    {REPLY_TAG "FETCH 1:* ENVELOPE\r\n", REPLY_TAGGED},
    {0},
};

WORK(fetch_envelope) = {
    .name = "fetch_envelope",
    .doc = "FETCH 1:* ENVELOPE",
    .setup = steps_imap_select,
    .op = steps,
};
