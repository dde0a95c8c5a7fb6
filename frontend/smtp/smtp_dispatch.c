#include <string.h>

#include "frontend/smtp/smtp_session.h"
#include "proto/base/log.h"

const struct smtp_command *smtp_command_find(enum smtp_role role, struct slice name)
{
    for (size_t i = 0; smtp_command_table[i] != NULL; i++) {
        const struct smtp_command *c = smtp_command_table[i];
        if ((c->roles & (unsigned)role) != 0 && slice_ieq_str(name, c->name)) {
            return c;
        }
    }
    return NULL;
}

/* A web page that makes a browser talk to us (cross-protocol scripting). */
static bool is_web(struct slice name)
{
    return slice_ieq_str(name, "GET") || slice_ieq_str(name, "POST") || slice_ieq_str(name, "CONNECT");
}

static enum err bad_arguments(struct smtp_session *s, const struct smtp_command *c)
{
    char text[160];
    struct buf b;
    buf_init(&b, sizeof(text) - 1);
    enum err err = buf_printf(&b, "syntax: %s", c->usage);
    struct slice z = buf_slice(&b);
    size_t n = err == OK ? z.n : 0;
    memcpy(text, z.p, n);
    text[n] = '\0';
    buf_fini(&b);
    return smtp_reply(s, 501, "5.5.4", text);
}

/* RFC 2920: after these the client must wait for the reply. One that does not is a spammer, or is being spoken through.
 * Without EHLO nothing may be sent ahead. */
static bool sent_ahead(struct smtp_session *s, const struct smtp_command *c)
{
    return s->cfg->pipelining_strict && (c->last || !s->extended) && conn_peek(s->conn).n > 0;
}

static enum err run(struct smtp_session *s, const struct smtp_command *c, struct slice args)
{
    if (sent_ahead(s, c)) {
        log_info("smtp.pipelining", "input ahead of a reply", LOG_STR("role", smtp_role_name(s->role)),
                 LOG_STR("ip", conn_peer_ip(s->conn)), LOG_STR("command", c->name));
        return smtp_reply_close(s, 554, "5.5.0", "protocol synchronization error");
    }
    if ((c->args == SMTP_ARGS_NONE && args.n > 0) || (c->args == SMTP_ARGS_REQUIRED && args.n == 0)) {
        return bad_arguments(s, c);
    }
    if ((c->states & (unsigned)s->state) == 0) {
        return smtp_reply(s, 503, "5.5.1", c->order);
    }
    return c->run(s, args);
}

enum err smtp_dispatch(struct smtp_session *s, struct slice line)
{
    size_t space = slice_find(line, ' ');
    struct slice name = slice_sub(line, 0, space);
    const struct smtp_command *c = smtp_command_find(s->role, name);
    if (c != NULL) {
        return run(s, c, slice_trim(slice_sub(line, space, line.n)));
    }
    if (is_web(name)) {
        log_info("smtp.web", "HTTP on a mail port", LOG_STR("role", smtp_role_name(s->role)),
                 LOG_STR("ip", conn_peer_ip(s->conn)));
        return smtp_reply_close(s, 221, "2.7.0", "this is no web server");
    }
    return smtp_reply(s, 500, "5.5.1", "unknown command");
}
