#include <string.h>

#include "frontend/pop3/pop3_session.h"

/* RFC 1939, 7. Says the same whoever it is. */
static enum err user_run(struct pop3_session *s, struct slice args)
{
    struct slice name = slice_trim(args);
    if (!pop3_session_auth_allowed(s)) {
        return pop3_reply_bad(s, "encryption required: STLS first");
    }
    if (name.n == 0 || name.n >= sizeof(s->user) || slice_find(name, '\0') != name.n) {
        return pop3_reply_bad(s, "that is no user name");
    }
    memcpy(s->user, name.p, name.n);
    s->user[name.n] = '\0';
    return pop3_reply_ok(s, "and the password?");
}

POP3_CMD(user) = {
    .name = "USER",
    .states = POP3_STATE_AUTHORIZATION,
    .args = POP3_ARGS_REQUIRED,
    .usage = "syntax: USER name",
    .capability = "USER",
    .offered = pop3_session_auth_allowed,
    .run = user_run,
};
