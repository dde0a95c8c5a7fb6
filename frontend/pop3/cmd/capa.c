#include "frontend/pop3/pop3_session.h"

/* RFC 2449 */
static enum err capa_run(struct pop3_session *s, struct slice args)
{
    (void)args;
    enum err err = conn_write_str(s->conn, "+OK capabilities\r\n");
    for (size_t i = 0; pop3_command_table[i] != NULL && err == OK; i++) {
        const struct pop3_command *c = pop3_command_table[i];
        if (c->capability != NULL && (c->offered == NULL || c->offered(s))) {
            err = conn_printf(s->conn, "%s\r\n", c->capability);
        }
    }
    if (err == OK) {
        err = conn_write_str(s->conn, "PIPELINING\r\nRESP-CODES\r\nAUTH-RESP-CODE\r\nEXPIRE NEVER\r\n"
                                      "IMPLEMENTATION Pillarbox\r\n.\r\n");
    }
    return err;
}

POP3_CMD(capa) = {
    .name = "CAPA",
    .states = POP3_STATE_AUTHORIZATION | POP3_STATE_TRANSACTION,
    .args = POP3_ARGS_NONE,
    .usage = "syntax: CAPA",
    .run = capa_run,
};
