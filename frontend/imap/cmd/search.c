#include "frontend/imap/imap_search.h"
#include "frontend/imap/imap_sync.h"

static bool search_parse(struct imap_cursor *c, struct imap_command *cmd)
{
    struct imap_search *search = arena_zalloc(c->arena, sizeof(*search));
    if (search == NULL) {
        return imap_parse_nomem(c);
    }
    cmd->args = search;
    bool ok = imap_parse_search(c, search);
    cmd->condstore = search->has_modseq;
    return ok;
}

/* What was found and is in the view, as UIDs or numbers. */
static enum err to_numbers(const struct imap_session *s, const struct imap_command *cmd, const struct uidset *found,
                           struct uidset *out)
{
    struct uidset ours;
    uidset_init(&ours);
    enum err e = uidset_intersect(&ours, found, &s->view->uids);
    if (e == OK) {
        e = cmd->uid ? uidset_copy(out, &ours) : imap_view_to_seqs(s->view, &ours, out);
    }
    uidset_fini(&ours);
    return e;
}

/* RFC 7162, 3.1.10: with MIN or MAX alone, MODSEQ is of these messages only. */
static enum err narrow_modseq(struct imap_session *s, const struct imap_search *search, const struct uidset *found,
                              struct arena *arena, uint64_t *io_modseq)
{
    if (!search->has_modseq || found->n == 0 || search->want_all || search->want_count ||
        (!search->want_min && !search->want_max)) {
        return OK;
    }
    Pb__SearchKey key = PB__SEARCH_KEY__INIT;
    struct uidset ends;
    struct uidset again;
    uidset_init(&ends);
    uidset_init(&again);
    key.op = PB__SEARCH_KEY__OP__UIDS;
    enum err e = search->want_min ? uidset_add(&ends, uidset_at(found, 0)) : OK;
    if (e == OK && search->want_max) {
        e = uidset_add(&ends, uidset_max(found));
    }
    if (e == OK) {
        e = imap_put_uids(&ends, arena, &key.uids);
    }
    if (e == OK) {
        e = imap_search_uids(s, &key, &again, io_modseq);
    }
    uidset_fini(&ends);
    uidset_fini(&again);
    return e;
}

static enum err search_run(struct imap_session *s, struct imap_command *cmd)
{
    const struct imap_search *search = cmd->args;
    if (search->bad_charset) {
        return ERR_CHARSET;
    }
    /* What was acknowledged to anybody before this command is searched: the view learns of it first. */
    enum err e = imap_sync(s, cmd->uid);
    if (e != OK || s->ended) {
        return e;
    }
    e = imap_search_resolve(search, s->view, cmd->arena);
    if (e == ERR_INVAL) {
        return imap_bad(cmd, "No message with such a sequence number");
    }
    struct uidset found;
    struct uidset numbers;
    uint64_t modseq = 0;
    uidset_init(&found);
    uidset_init(&numbers);
    if (e == OK) {
        e = imap_search_uids(s, search->key, &found, &modseq);
    }
    if (e == OK) {
        e = narrow_modseq(s, search, &found, cmd->arena, &modseq);
    }
    if (e == OK) {
        e = to_numbers(s, cmd, &found, &numbers);
    }
    if (e == OK) {
        imap_search_format(&s->out, search, cmd->tag, cmd->uid, &numbers, modseq);
    }
    uidset_fini(&found);
    uidset_fini(&numbers);
    return e;
}

IMAP_CMD(search) = {
    .name = "SEARCH",
    .capability = "ESEARCH",
    .states = IMAP_STATE_SELECTED,
    .flags = IMAP_CMD_UID | IMAP_CMD_NO_EXPUNGE,
    .parse = search_parse,
    .run = search_run,
};
