#include "frontend/smtp/smtp_path.h"
#include "frontend/smtp/smtp_session.h"

/* RFC 5321, 4.1.1.1 */
static enum err helo_run(struct smtp_session *s, struct slice args)
{
    if (!smtp_domain_valid(args)) {
        return smtp_reply(s, 501, "5.5.4", "syntax: HELO hostname");
    }
    smtp_session_greet(s, args, false);
    return conn_printf(s->conn, "250 %s\r\n", s->cfg->hostname);
}

SMTP_CMD(helo) = {
    .name = "HELO",
    .roles = SMTP_ROLES_SMTP,
    .states = SMTP_STATES_ALL,
    .args = SMTP_ARGS_REQUIRED,
    .usage = "HELO hostname",
    .last = true,
    .run = helo_run,
};
