#include "frontend/imap/imap_expunge.h"
#include "frontend/imap/imap_sync.h"

/* expunge = "EXPUNGE"; uid-expunge = "UID" SP "EXPUNGE" SP sequence-set (RFC 4315) */
static bool expunge_parse(struct imap_cursor *c, struct imap_command *cmd)
{
    struct imap_set *set = NULL;
    if (cmd->uid) {
        set = arena_zalloc(c->arena, sizeof(*set));
        if (set == NULL) {
            return imap_parse_nomem(c);
        }
        if (!imap_parse_sp_set(c, set)) {
            return false;
        }
    }
    cmd->args = set;
    return imap_parse_end(c);
}

static enum err expunge_run(struct imap_session *s, struct imap_command *cmd)
{
    const struct imap_set *set = cmd->args;
    struct uidset within;
    uidset_init(&within);
    /* Others may have delivered and marked messages that this view has not: they are part of the mailbox too. */
    enum err e = imap_sync(s, true);
    if (e == OK && !s->ended) {
        e = set == NULL ? OK : imap_resolve(s, cmd, set, &within);
        if (e == OK) {
            e = imap_expunge(s, set == NULL ? NULL : &within);
        }
        enum err reported = imap_report_expunges(s);
        e = e == OK ? reported : e;
    }
    uidset_fini(&within);
    return e;
}

IMAP_CMD(expunge) = {
    .name = "EXPUNGE",
    .capability = "UIDPLUS",
    .states = IMAP_STATE_SELECTED,
    .flags = IMAP_CMD_UID | IMAP_CMD_WRITE,
    .parse = expunge_parse,
    .run = expunge_run,
};
