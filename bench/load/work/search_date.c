#include "bench/load/work.h"

static const struct step steps[] = {
    {REPLY_TAG "SEARCH SINCE 1-Mar-2024 BEFORE 1-Apr-2024\r\n", REPLY_TAGGED},
    {0},
};

WORK(search_date) = {
    .name = "search_date",
    .doc = "SEARCH by the date of arrival",
    .setup = steps_imap_select,
    .op = steps,
};
