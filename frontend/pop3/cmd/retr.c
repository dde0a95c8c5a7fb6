#include "frontend/pop3/pop3_session.h"
#include "frontend/pop3/pop3_stuff.h"

static enum err retr_run(struct pop3_session *s, struct slice args)
{
    uint32_t i = 0;
    bool found = false;
    enum err err = pop3_session_message(s, args, &i, &found);
    return found ? pop3_body_send(s, i, POP3_LINES_ALL) : err;
}

POP3_CMD(retr) = {
    .name = "RETR",
    .states = POP3_STATE_TRANSACTION,
    .args = POP3_ARGS_REQUIRED,
    .usage = "syntax: RETR message",
    .run = retr_run,
};
