#include <inttypes.h>

#include "frontend/pop3/pop3_session.h"

static enum err list_one(struct pop3_session *s, struct slice number)
{
    uint32_t i = 0;
    bool found = false;
    enum err err = pop3_session_message(s, number, &i, &found);
    return found ? conn_printf(s->conn, "+OK %" PRIu32 " %" PRIu32 "\r\n", i + 1, s->drop.sizes[i]) : err;
}

static enum err list_run(struct pop3_session *s, struct slice args)
{
    if (slice_trim(args).n > 0) {
        return list_one(s, args);
    }
    enum err err = conn_printf(s->conn, "+OK %" PRIu32 " messages (%" PRIu64 " octets)\r\n",
                               s->drop.n - s->drop.n_deleted, s->drop.octets);
    for (uint32_t i = 0; i < s->drop.n && err == OK; i++) {
        if (s->drop.deleted[i] == 0) {
            err = conn_printf(s->conn, "%" PRIu32 " %" PRIu32 "\r\n", i + 1, s->drop.sizes[i]);
        }
    }
    return err == OK ? conn_write_str(s->conn, ".\r\n") : err;
}

POP3_CMD(list) = {
    .name = "LIST",
    .states = POP3_STATE_TRANSACTION,
    .args = POP3_ARGS_OPTIONAL,
    .usage = "syntax: LIST [message]",
    .run = list_run,
};
