#include "frontend/imap/imap_store.h"

#include "frontend/imap/imap_flag.h"
#include "frontend/imap/imap_sync.h"
#include "proto/rpc/flags.h"

struct store_args {
    struct imap_set set;
    Pb__OpStore__Mode mode;
    bool silent;
    struct imap_flags flags;
    uint64_t unchanged_since;
    bool has_unchanged_since;
};

/* store-modifier = "UNCHANGEDSINCE" SP mod-sequence-valzer (RFC 7162, 3.1.3) */
static bool parse_modifiers(struct imap_cursor *c, struct store_args *a)
{
    if (!imap_take_word(c, "UNCHANGEDSINCE")) {
        return imap_parse_fail(c, "Unknown STORE modifier");
    }
    a->has_unchanged_since = true;
    return imap_parse_sp(c) && imap_parse_number63(c, &a->unchanged_since) && imap_parse_char(c, ')') &&
           imap_parse_sp(c);
}

/* store-att-flags = (["+" / "-"] "FLAGS" [".SILENT"]) SP (flag-list / (flag *(SP flag))) */
static bool parse_name(struct imap_cursor *c, struct store_args *a)
{
    a->mode = PB__OP_STORE__MODE__REPLACE;
    if (imap_take(c, '+')) {
        a->mode = PB__OP_STORE__MODE__ADD;
    } else if (imap_take(c, '-')) {
        a->mode = PB__OP_STORE__MODE__REMOVE;
    }
    if (imap_take_word(c, "FLAGS.SILENT")) {
        a->silent = true;
        return true;
    }
    return imap_take_word(c, "FLAGS") || imap_parse_fail(c, "Expected FLAGS");
}

static bool store_parse(struct imap_cursor *c, struct imap_command *cmd)
{
    struct store_args *a = arena_zalloc(c->arena, sizeof(*a));
    if (a == NULL) {
        return imap_parse_nomem(c);
    }
    cmd->args = a;
    if (!imap_parse_sp_set(c, &a->set) || !imap_parse_sp(c)) {
        return false;
    }
    if (imap_take(c, '(') && !parse_modifiers(c, a)) {
        return false;
    }
    cmd->condstore = a->has_unchanged_since;
    return parse_name(c, a) && imap_parse_sp(c) && imap_parse_flags(c, &a->flags) && imap_parse_end(c);
}

/* "* 3 FETCH (UID 8 FLAGS (\Seen) MODSEQ (9))": UID with UID STORE, FLAGS unless silent, MODSEQ with CONDSTORE. */
static void report_row(struct imap_session *s, bool uid, bool flags, uint32_t seq, const struct imap_row *row)
{
    struct imap_out *o = &s->out;
    const char *space = "";
    imap_out_bytes(o, "* ", 2);
    imap_out_u64(o, seq);
    imap_out_bytes(o, " FETCH (", 8);
    if (uid) {
        imap_out_bytes(o, "UID ", 4);
        imap_out_u64(o, row->uid);
        space = " ";
    }
    if (flags) {
        imap_out_str(o, space);
        imap_out_bytes(o, "FLAGS ", 6);
        imap_out_flags(o, s->view, row->flags, row->overflow, row->recent);
        space = " ";
    }
    if (s->condstore) {
        imap_out_str(o, space);
        imap_out_str(o, "MODSEQ (");
        imap_out_u64(o, row->modseq);
        imap_out_char(o, ')');
    }
    imap_out_bytes(o, ")\r\n", 3);
}

static void report(struct imap_session *s, const struct imap_command *cmd, const struct imap_stored *st, bool flags)
{
    struct imap_view_walk walk = {0};
    struct imap_row row = {.uid = 0};
    if (!flags && !s->condstore) {
        return;
    }
    for (size_t i = 0; i < st->n && s->out.err == OK; i++) {
        row.uid = uidset_next(&st->uids, row.uid);
        uint32_t seq = imap_view_walk(s->view, &walk, (struct imap_uid){row.uid}).v;
        row.flags = st->flags[i];
        row.overflow = imap_stored_overflow(st, i);
        row.modseq = st->modseqs[i];
        row.recent = uidset_has(&s->view->recent, row.uid);
        if (seq != 0) {
            report_row(s, cmd->uid || s->condstore, flags, seq, &row);
        }
    }
}

struct store_totals {
    uint32_t passed;
    struct uidset failed;
};

/* One operation under a condition; what failed it goes to *failed. */
static enum err store_if(struct imap_session *s, const struct imap_command *cmd, const struct uidset *chunk,
                         const uint64_t *unchanged_since, bool flags, struct store_totals *totals,
                         struct uidset *failed)
{
    const struct store_args *a = cmd->args;
    Pb__OpStore req = PB__OP_STORE__INIT;
    req.mode = a->mode;
    req.flags = a->flags.system;
    req.keywords = a->flags.keywords;
    req.n_keywords = a->flags.n_keywords;
    req.has_unchanged_since = unchanged_since != NULL;
    req.unchanged_since = unchanged_since != NULL ? *unchanged_since : 0;
    struct imap_stored st;
    imap_stored_init(&st);
    enum err e = imap_store_chunk(s, &req, chunk, &st);
    if (e == OK) {
        totals->passed += (uint32_t)st.n;
        report(s, cmd, &st, flags);
        e = uidset_union(failed, &st.failed);
    }
    imap_stored_fini(&st);
    return e;
}

/* Without .SILENT every message's flags are told, and nothing can be missed. With it the client computes them, which is
 * wrong for a message that somebody else changed since the view: these are found by the condition, stored again, and
 * told after all. */
static enum err store_chunk(struct imap_session *s, const struct imap_command *cmd, const struct uidset *chunk,
                            struct store_totals *totals)
{
    const struct store_args *a = cmd->args;
    const uint64_t *asked = a->has_unchanged_since ? &a->unchanged_since : NULL;
    if (!a->silent) {
        return store_if(s, cmd, chunk, asked, true, totals, &totals->failed);
    }
    uint64_t known = s->view->modseq;
    struct uidset changed;
    uidset_init(&changed);
    known = asked != NULL && *asked < known ? *asked : known;
    enum err e = store_if(s, cmd, chunk, &known, false, totals, &changed);
    if (e == OK && changed.n > 0) {
        e = store_if(s, cmd, &changed, asked, true, totals, &totals->failed);
    }
    uidset_fini(&changed);
    return e;
}

static enum err store_all(struct imap_session *s, const struct imap_command *cmd, const struct uidset *uids,
                          struct store_totals *totals)
{
    struct uidset chunk;
    uidset_init(&chunk);
    struct imap_chunks chunks = {.set = uids};
    bool more = true;
    enum err e = OK;
    while (e == OK && more && s->out.err == OK) {
        e = imap_chunk_next(&chunks, OP_UIDS_MAX, &chunk, &more);
        if (e == OK && more) {
            e = store_chunk(s, cmd, &chunk, totals);
        }
    }
    uidset_fini(&chunk);
    return e;
}

/* "[MODIFIED 7,9]": UIDs or numbers, as the command had them. */
static enum err reply_modified(struct imap_session *s, struct imap_command *cmd, const struct uidset *failed)
{
    struct uidset seqs;
    const char *text = NULL;
    uidset_init(&seqs);
    enum err e = cmd->uid ? uidset_copy(&seqs, failed) : imap_view_to_seqs(s->view, failed, &seqs);
    if (e == OK) {
        e = imap_uids_text(&seqs, cmd->arena, &text);
    }
    if (e == OK) {
        (void)imap_ok(cmd, arena_printf(cmd->arena, "MODIFIED %s", text), "Some messages had changed");
    }
    uidset_fini(&seqs);
    return e;
}

static enum err finish(struct imap_session *s, struct imap_command *cmd, const struct store_totals *totals,
                       uint32_t wanted)
{
    uint32_t failed = uidset_count(&totals->failed);
    if (failed > 0) {
        return reply_modified(s, cmd, &totals->failed);
    }
    /* RFC 2180, 4.2.1: with .SILENT it is enough that the others were stored. */
    const struct store_args *a = cmd->args;
    if (totals->passed < wanted && !cmd->uid && !a->silent) {
        return imap_no(cmd, "EXPUNGEISSUED", "Some of the messages no longer exist");
    }
    return OK;
}

static enum err store_run(struct imap_session *s, struct imap_command *cmd)
{
    const struct store_args *a = cmd->args;
    struct uidset uids;
    struct store_totals totals = {.passed = 0};
    uidset_init(&uids);
    uidset_init(&totals.failed);
    /* Our own changes must not look like somebody else's (store_chunk). */
    enum err e = a->silent && s->view->n_own > 0 ? imap_sync(s, cmd->uid) : OK;
    if (e == OK && s->ended) {
        return OK;
    }
    if (e == OK) {
        e = imap_resolve(s, cmd, &a->set, &uids);
    }
    if (e == OK) {
        e = store_all(s, cmd, &uids, &totals);
    }
    if (e == OK) {
        e = finish(s, cmd, &totals, uidset_count(&uids));
    }
    uidset_fini(&uids);
    uidset_fini(&totals.failed);
    return e;
}

IMAP_CMD(store) = {
    .name = "STORE",
    .capability = "CONDSTORE",
    .states = IMAP_STATE_SELECTED,
    .flags = IMAP_CMD_UID | IMAP_CMD_NO_EXPUNGE | IMAP_CMD_WRITE,
    .parse = store_parse,
    .run = store_run,
};
