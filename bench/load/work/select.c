#include "bench/load/work.h"

static const struct step steps[] = {
    {"", REPLY_LINE},
    {REPLY_TAG "LOGIN $u $p\r\n", REPLY_TAGGED},
    {REPLY_TAG "SELECT $m\r\n", REPLY_TAGGED},
    {REPLY_TAG "LOGOUT\r\n", REPLY_TAGGED},
    {0},
};

WORK(select) = {
    .name = "select",
    .doc = "connect, LOGIN, SELECT, LOGOUT",
    .op = steps,
    .reconnects = true,
};
