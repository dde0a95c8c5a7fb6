#include "frontend/pop3/pop3_session.h"

const struct pop3_command *pop3_command_find(struct slice name)
{
    for (size_t i = 0; pop3_command_table[i] != NULL; i++) {
        if (slice_ieq_str(name, pop3_command_table[i]->name)) {
            return pop3_command_table[i];
        }
    }
    return NULL;
}

enum err pop3_dispatch(struct pop3_session *s, struct slice line)
{
    size_t space = slice_find(line, ' ');
    const struct pop3_command *c = pop3_command_find(slice_sub(line, 0, space));
    struct slice args = slice_sub(line, space + 1, line.n);
    if (s->state != POP3_STATE_AUTHORIZATION) {
        s->active_ms = pop3_session_now_ms(s);
    }
    if (c == NULL) {
        return pop3_reply_bad(s, "unknown command");
    }
    if ((c->states & (unsigned)s->state) == 0) {
        return pop3_reply_bad(s, s->state == POP3_STATE_AUTHORIZATION ? "log in first" : "not after the login");
    }
    size_t n = slice_trim(args).n;
    if ((c->args == POP3_ARGS_NONE && n > 0) || (c->args == POP3_ARGS_REQUIRED && args.n == 0)) {
        return pop3_reply_bad(s, c->usage);
    }
    if (s->state == POP3_STATE_TRANSACTION) {
        enum err err = pop3_session_keep_lock(s);
        if (err != OK) {
            return pop3_reply_close(s, err);
        }
    }
    enum err err = c->run(s, args);
    if (s->state != POP3_STATE_AUTHORIZATION) {
        s->active_ms = pop3_session_now_ms(s); /* a long download was no silence */
    }
    return err;
}
