#include "bench/load/work.h"

static const struct step steps[] = {
    {REPLY_TAG "FETCH 1:* (UID BODY.PEEK[HEADER.FIELDS (From To Cc Subject Date Message-ID "
               "References In-Reply-To Content-Type)])\r\n",
     REPLY_TAGGED},
    {0},
};

WORK(fetch_headers) = {
    .name = "fetch_headers",
    .doc = "FETCH 1:* of nine header fields",
    .setup = steps_imap_select,
    .op = steps,
};
