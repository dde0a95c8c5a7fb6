#include "bench/load/work.h"

static const struct step steps[] = {
    {REPLY_TAG "APPEND $m (\\Seen) \"$d\" {$l+}\r\n", REPLY_TAGGED, .message = MESSAGE_LITERAL},
    {0},
};

WORK(append) = {
    .name = "append",
    .doc = "IMAP APPEND, non-synchronising literal",
    .setup = steps_imap_login,
    .op = steps,
};
