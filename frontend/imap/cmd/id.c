#include "frontend/imap/imap_session.h"
#include "proto/base/log.h"

#define ID_FIELDS_MAX 30 /* RFC 2971, 3.3 */

struct id_args {
    struct slice name;
    struct slice version;
};

static bool parse_field(struct imap_cursor *c, struct id_args *a)
{
    struct slice key;
    struct slice value;
    if (!imap_parse_string(c, &key) || !imap_parse_sp(c) || !imap_parse_nstring(c, &value)) {
        return false;
    }
    if (slice_ieq_str(key, "name")) {
        a->name = value;
    } else if (slice_ieq_str(key, "version")) {
        a->version = value;
    }
    return true;
}

/* id = "ID" SP ("(" [string SP nstring *(SP string SP nstring)] ")" / nil) */
static bool id_parse(struct imap_cursor *c, struct imap_command *cmd)
{
    struct id_args *a = arena_zalloc(c->arena, sizeof(*a));
    if (a == NULL) {
        return imap_parse_nomem(c);
    }
    cmd->args = a;
    if (!imap_parse_sp(c)) {
        return false;
    }
    if (imap_take_word(c, "NIL")) {
        return imap_parse_end(c);
    }
    if (!imap_parse_char(c, '(')) {
        return false;
    }
    if (imap_take(c, ')')) {
        return imap_parse_end(c);
    }
    for (unsigned n = 0;; n++) {
        if (n == ID_FIELDS_MAX) {
            return imap_parse_fail(c, "Too many ID fields");
        }
        if (!parse_field(c, a)) {
            return false;
        }
        if (!imap_take(c, ' ')) {
            return imap_parse_char(c, ')') && imap_parse_end(c);
        }
    }
}

static enum err id_run(struct imap_session *s, struct imap_command *cmd)
{
    const struct id_args *a = cmd->args;
    log_debug("imap.id", "client", LOG_SLICE("name", a->name), LOG_SLICE("version", a->version),
              LOG_U64("conn", conn_id(s->conn)));
    imap_out_str(&s->out, "* ID (\"name\" \"Pillarbox\" \"version\" \"" PB_VERSION "\")\r\n");
    return OK;
}

IMAP_CMD(id) = {
    .name = "ID",
    .capability = "ID",
    .states = IMAP_STATES_ALL,
    .parse = id_parse,
    .run = id_run,
};
