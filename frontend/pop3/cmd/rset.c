#include "frontend/pop3/pop3_session.h"

static enum err rset_run(struct pop3_session *s, struct slice args)
{
    (void)args;
    pop3_drop_unmark_all(&s->drop);
    return pop3_reply_ok(s, "nothing is marked");
}

POP3_CMD(rset) = {
    .name = "RSET",
    .states = POP3_STATE_TRANSACTION,
    .args = POP3_ARGS_NONE,
    .usage = "syntax: RSET",
    .run = rset_run,
};
