#include "frontend/pop3/pop3_session.h"

static enum err dele_run(struct pop3_session *s, struct slice args)
{
    uint32_t i = 0;
    bool found = false;
    enum err err = pop3_session_message(s, args, &i, &found);
    if (!found) {
        return err;
    }
    pop3_drop_mark(&s->drop, i);
    return pop3_reply_ok(s, "marked for QUIT");
}

POP3_CMD(dele) = {
    .name = "DELE",
    .states = POP3_STATE_TRANSACTION,
    .args = POP3_ARGS_REQUIRED,
    .usage = "syntax: DELE message",
    .run = dele_run,
};
