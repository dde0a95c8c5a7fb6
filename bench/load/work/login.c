#include "bench/load/work.h"

static const struct step steps[] = {
    {"", REPLY_LINE},
    {REPLY_TAG "LOGIN $u $p\r\n", REPLY_TAGGED},
    {REPLY_TAG "LOGOUT\r\n", REPLY_TAGGED},
    {0},
};

WORK(login) = {
    .name = "login",
    .doc = "connect, LOGIN, LOGOUT",
    .op = steps,
    .reconnects = true,
};
