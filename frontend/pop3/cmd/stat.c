#include <inttypes.h>

#include "frontend/pop3/pop3_session.h"

static enum err stat_run(struct pop3_session *s, struct slice args)
{
    (void)args;
    return conn_printf(s->conn, "+OK %" PRIu32 " %" PRIu64 "\r\n", s->drop.n - s->drop.n_deleted, s->drop.octets);
}

POP3_CMD(stat) = {
    .name = "STAT",
    .states = POP3_STATE_TRANSACTION,
    .args = POP3_ARGS_NONE,
    .usage = "syntax: STAT",
    .run = stat_run,
};
