#include "frontend/imap/imap_fetch.h"
#include "frontend/imap/imap_sync.h"

extern const struct imap_fetch_item imap_fetch_uid;
extern const struct imap_fetch_item imap_fetch_modseq;

/* fetch-modifier = "CHANGEDSINCE" SP mod-sequence-value (RFC 7162, 3.1.4.1) */
static bool parse_modifiers(struct imap_cursor *c, struct imap_fetch *f)
{
    if (!imap_parse_char(c, '(')) {
        return false;
    }
    do {
        if (!imap_take_word(c, "CHANGEDSINCE")) {
            return imap_parse_fail(c, "Unknown FETCH modifier");
        }
        if (!imap_parse_sp(c) || !imap_parse_number63(c, &f->changed_since)) {
            return false;
        }
        f->has_changed_since = true;
    } while (imap_take(c, ' '));
    return imap_parse_char(c, ')') && imap_fetch_add(c, f, &imap_fetch_modseq);
}

/* fetch = "FETCH" SP sequence-set SP (macro / items) [SP "(" modifiers ")"] */
static bool fetch_parse(struct imap_cursor *c, struct imap_command *cmd)
{
    struct imap_fetch *f = arena_zalloc(c->arena, sizeof(*f));
    if (f == NULL) {
        return imap_parse_nomem(c);
    }
    cmd->args = f;
    if (cmd->uid && !imap_fetch_add(c, f, &imap_fetch_uid)) {
        return false;
    }
    if (!imap_parse_sp_set(c, &f->set) || !imap_parse_sp(c) || !imap_parse_fetch_items(c, f)) {
        return false;
    }
    if (imap_take(c, ' ') && !parse_modifiers(c, f)) {
        return false;
    }
    cmd->condstore = f->condstore;
    return imap_parse_end(c);
}

/* A set that reaches past the view may mean messages that another session was told are there. */
static bool reaches_past(const struct imap_view *v, const struct imap_fetch *f, bool uid)
{
    uint32_t last = uid ? uidset_max(&v->uids) : imap_view_exists(v);
    for (size_t i = 0; i < f->set.n; i++) {
        if (f->set.ranges[i].last == 0 || f->set.ranges[i].last > last) {
            return true;
        }
    }
    return false;
}

static enum err report(struct imap_command *cmd, const struct imap_fetch_run *run, uint32_t missing, uint32_t wanted)
{
    if (run->failed != OK) {
        return run->failed;
    }
    /* RFC 3501, 6.4.8: UIDs that are not there are no error; but the answer to nothing else is not nothing. */
    bool gone = missing > 0 && (!cmd->uid || missing == wanted);
    if (run->expunged || gone) {
        return imap_no(cmd, "EXPUNGEISSUED", "Some of the messages no longer exist");
    }
    return OK;
}

static enum err fetch_run(struct imap_session *s, struct imap_command *cmd)
{
    const struct imap_fetch *f = cmd->args;
    cmd->about = IMAP_ABOUT_MESSAGE;
    enum err e = OK;
    if (reaches_past(s->view, f, cmd->uid)) {
        e = imap_sync(s, false);
        if (e != OK || s->ended) {
            return e;
        }
    }
    struct uidset uids;
    uidset_init(&uids);
    e = imap_resolve(s, cmd, &f->set, &uids);
    uint32_t missing = 0;
    struct imap_fetch_run run = {.s = s, .out = &s->out, .view = s->view};
    if (e == OK) {
        e = imap_fetch_messages(&run, f, &uids, &missing);
    }
    if (e == OK) {
        e = report(cmd, &run, missing, uidset_count(&uids));
    }
    uidset_fini(&uids);
    return e;
}

IMAP_CMD(fetch) = {
    .name = "FETCH",
    .states = IMAP_STATE_SELECTED,
    .flags = IMAP_CMD_UID | IMAP_CMD_NO_EXPUNGE,
    .parse = fetch_parse,
    .run = fetch_run,
};
