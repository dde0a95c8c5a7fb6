#include "frontend/imap/imap_store.h"

#include "frontend/imap/imap_flag.h"
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
static void report(struct imap_session *s, const struct imap_command *cmd, const struct imap_stored *st)
{
    const struct store_args *a = cmd->args;
    struct imap_out *o = &s->out;
    struct imap_view_walk walk = {0};
    uint32_t uid = 0;
    for (size_t i = 0; i < st->n && o->err == OK; i++) {
        uid = uidset_next(&st->uids, uid);
        uint32_t seq = imap_view_walk(s->view, &walk, (struct imap_uid){uid}).v;
        if (seq == 0) {
            continue;
        }
        imap_out_bytes(o, "* ", 2);
        imap_out_u64(o, seq);
        imap_out_bytes(o, " FETCH (", 8);
        if (cmd->uid || s->condstore) {
            imap_out_bytes(o, "UID ", 4);
            imap_out_u64(o, uid);
        }
        if (!a->silent) {
            imap_out_str(o, cmd->uid || s->condstore ? " FLAGS " : "FLAGS ");
            imap_out_flags(o, s->view, st->flags[i], imap_stored_overflow(st, i), uidset_has(&s->view->recent, uid));
        }
        if (s->condstore) {
            imap_out_str(o, " MODSEQ (");
            imap_out_u64(o, st->modseqs[i]);
            imap_out_char(o, ')');
        }
        imap_out_bytes(o, ")\r\n", 3);
    }
}

struct store_totals {
    uint32_t passed;
    struct uidset failed;
};

static enum err store_chunk(struct imap_session *s, const struct imap_command *cmd, const struct uidset *chunk,
                            struct store_totals *totals)
{
    const struct store_args *a = cmd->args;
    Pb__OpStore req = PB__OP_STORE__INIT;
    req.mode = a->mode;
    req.flags = a->flags.system;
    req.keywords = a->flags.keywords;
    req.n_keywords = a->flags.n_keywords;
    req.unchanged_since = a->unchanged_since;
    req.has_unchanged_since = a->has_unchanged_since;
    struct imap_stored st;
    imap_stored_init(&st);
    enum err e = imap_store_chunk(s, &req, chunk, &st);
    if (e == OK) {
        totals->passed += (uint32_t)st.n;
        e = uidset_union(&totals->failed, &st.failed);
    }
    if (e == OK && (!a->silent || s->condstore)) {
        report(s, cmd, &st);
    }
    imap_stored_fini(&st);
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
    if (totals->passed < wanted && !cmd->uid) {
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
    enum err e = imap_resolve(s, cmd, &a->set, &uids);
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
