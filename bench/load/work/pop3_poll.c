#include "bench/load/work.h"

static const struct step steps[] = {
    {"", REPLY_LINE},           {"USER $u\r\n", REPLY_LINE}, {"PASS $p\r\n", REPLY_LINE},
    {"STAT\r\n", REPLY_LINE},   {"UIDL\r\n", REPLY_DOT},     {"LIST\r\n", REPLY_DOT},
    {"RETR $s\r\n", REPLY_DOT}, {"QUIT\r\n", REPLY_LINE},    {0},
};

WORK(pop3_poll) = {
    .name = "pop3_poll",
    .doc = "POP3 session that looks for new messages and fetches one",
    .op = steps,
    .reconnects = true,
};
