#include "bench/load/work.h"

static const struct step steps[] = {
    {"MAIL FROM:<sender@sender.example>\r\nRCPT TO:<$r>\r\nDATA\r\n", REPLY_SMTP, 3},
    {"", REPLY_SMTP, .message = MESSAGE_DOT},
    {0},
};

WORK(lmtp) = {
    .name = "lmtp",
    .doc = "LMTP delivery to one of the users in turn, commands pipelined",
    .setup = steps_lmtp,
    .op = steps,
};
