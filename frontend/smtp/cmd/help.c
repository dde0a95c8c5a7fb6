#include "frontend/smtp/smtp_session.h"

static enum err help_run(struct smtp_session *s, struct slice args)
{
    (void)args;
    enum err err = conn_write_str(s->conn, "214 2.0.0 commands:");
    for (size_t i = 0; smtp_command_table[i] != NULL && err == OK; i++) {
        if (smtp_session_is(s, smtp_command_table[i]->roles)) {
            err = conn_printf(s->conn, " %s", smtp_command_table[i]->name);
        }
    }
    return err == OK ? conn_write_str(s->conn, "\r\n") : err;
}

SMTP_CMD(help) = {
    .name = "HELP",
    .roles = SMTP_ROLES_ALL,
    .states = SMTP_STATES_ALL,
    .args = SMTP_ARGS_OPTIONAL,
    .usage = "HELP",
    .run = help_run,
};
