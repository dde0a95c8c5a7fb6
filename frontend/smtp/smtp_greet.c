#include "frontend/smtp/smtp_greet.h"

#include <inttypes.h>

#include "frontend/smtp/smtp_path.h"

static enum err offer_commands(struct smtp_session *s)
{
    enum err err = OK;
    for (size_t i = 0; smtp_command_table[i] != NULL && err == OK; i++) {
        const struct smtp_command *c = smtp_command_table[i];
        bool here = c->keyword != NULL && smtp_session_is(s, c->roles) && (c->offered == NULL || c->offered(s));
        if (here) {
            err = conn_printf(s->conn, "250-%s\r\n", c->keyword);
        }
    }
    return err;
}

/* RFC 5321, 4.1.1.1. Names in HELO are wrong too often to refuse a mail for it; what matters is that they are harmless
 * in a header (smtp_trace.c). */
static bool helo_valid(struct slice name)
{
    for (size_t i = 0; i < name.n; i++) {
        if (name.p[i] <= ' ' || name.p[i] == 0x7f) {
            return false;
        }
    }
    return name.n > 0 && name.n <= SMTP_HELO_BYTES_MAX;
}

enum err smtp_greet_extended(struct smtp_session *s, struct slice args)
{
    if (!helo_valid(args)) {
        return smtp_reply(s, 501, "5.5.4", "the argument is one hostname");
    }
    smtp_session_greet(s, args, true);
    enum err err = conn_printf(s->conn, "250-%s\r\n250-PIPELINING\r\n250-SIZE %" PRIu64 "\r\n", s->cfg->hostname,
                               s->cfg->message_bytes_max);
    if (err == OK) {
        err = offer_commands(s);
    }
    return err == OK ? conn_write_str(s->conn, "250-8BITMIME\r\n250-ENHANCEDSTATUSCODES\r\n250 SMTPUTF8\r\n") : err;
}
