#include "bench/load/work.h"

const struct step steps_lmtp[] = {
    {"", REPLY_SMTP},
    {"LHLO load.example.test\r\n", REPLY_SMTP},
    {0},
};

const struct step steps_smtp[] = {
    {"", REPLY_SMTP},
    {"EHLO load.example.test\r\n", REPLY_SMTP},
    {0},
};

const struct step steps_imap_login[] = {
    {"", REPLY_LINE},
    {REPLY_TAG "LOGIN $u $p\r\n", REPLY_TAGGED},
    {0},
};

const struct step steps_imap_select[] = {
    {"", REPLY_LINE},
    {REPLY_TAG "LOGIN $u $p\r\n", REPLY_TAGGED},
    {REPLY_TAG "SELECT $m\r\n", REPLY_TAGGED},
    {0},
};

const struct step steps_imap_idle[] = {
    {"", REPLY_LINE},
    {REPLY_TAG "LOGIN $u $p\r\n", REPLY_TAGGED},
    {REPLY_TAG "SELECT $m\r\n", REPLY_TAGGED},
    {REPLY_TAG "IDLE\r\n", REPLY_PLUS},
    {0},
};

/* The INBOX, whatever --mailbox says. */
const struct step steps_imap_inbox[] = {
    {"", REPLY_LINE},
    {REPLY_TAG "LOGIN $u $p\r\n", REPLY_TAGGED},
    {REPLY_TAG "SELECT INBOX\r\n", REPLY_TAGGED},
    {0},
};
