#include <inttypes.h>

#include "frontend/pop3/pop3_session.h"

static enum err uidl_line(struct pop3_session *s, const char *before, uint32_t i)
{
    char id[17];
    pop3_drop_uidl(&s->drop, i, id);
    return conn_printf(s->conn, "%s%" PRIu32 " %s\r\n", before, i + 1, id);
}

static enum err uidl_run(struct pop3_session *s, struct slice args)
{
    if (slice_trim(args).n > 0) {
        uint32_t i = 0;
        bool found = false;
        enum err err = pop3_session_message(s, args, &i, &found);
        return found ? uidl_line(s, "+OK ", i) : err;
    }
    enum err err = pop3_reply_ok(s, "unique-ids follow");
    for (uint32_t i = 0; i < s->drop.n && err == OK; i++) {
        if (s->drop.deleted[i] == 0) {
            err = uidl_line(s, "", i);
        }
    }
    return err == OK ? conn_write_str(s->conn, ".\r\n") : err;
}

POP3_CMD(uidl) = {
    .name = "UIDL",
    .states = POP3_STATE_TRANSACTION,
    .args = POP3_ARGS_OPTIONAL,
    .usage = "syntax: UIDL [message]",
    .capability = "UIDL",
    .run = uidl_run,
};
