#include "frontend/pop3/pop3_session.h"

static enum err noop_run(struct pop3_session *s, struct slice args)
{
    (void)args;
    return pop3_reply_ok(s, "nothing done");
}

POP3_CMD(noop) = {
    .name = "NOOP",
    .states = POP3_STATE_TRANSACTION,
    .args = POP3_ARGS_NONE,
    .usage = "syntax: NOOP",
    .run = noop_run,
};
