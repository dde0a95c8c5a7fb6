#include "bench/load/work.h"

static const struct step steps[] = {
    {"", REPLY_LINE},
    {"USER $u\r\n", REPLY_LINE},
    {"PASS $p\r\n", REPLY_LINE},
    {"STAT\r\n", REPLY_LINE},
    {"UIDL\r\n", REPLY_DOT},
    {"LIST\r\n", REPLY_DOT},
    {"RETR $i\r\n", REPLY_DOT, .each_message = true},
    {"QUIT\r\n", REPLY_LINE},
    {0},
};

WORK(pop3) = {
    .name = "pop3",
    .doc = "POP3 session that fetches all messages and leaves them",
    .op = steps,
    .reconnects = true,
};
