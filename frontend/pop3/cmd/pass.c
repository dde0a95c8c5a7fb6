#include "frontend/pop3/pop3_session.h"

/* RFC 1939, 7: everything behind the space is the password. */
static enum err pass_run(struct pop3_session *s, struct slice args)
{
    if (s->user[0] == '\0') {
        return pop3_reply_bad(s, "USER first");
    }
    char name[sizeof(s->user)];
    memcpy(name, s->user, sizeof(name));
    s->user[0] = '\0';
    return pop3_session_login(s, slice_str(name), args);
}

POP3_CMD(pass) = {
    .name = "PASS",
    .states = POP3_STATE_AUTHORIZATION,
    .args = POP3_ARGS_REQUIRED,
    .usage = "syntax: PASS password",
    .run = pass_run,
};
