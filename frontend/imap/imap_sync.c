#include "frontend/imap/imap_sync.h"

#include "frontend/imap/imap_fetch_item.h"
#include "frontend/imap/imap_flag.h"

#define ROUNDS_MAX 1000

/* "* 3 EXPUNGE" for each: every one moves the later ones down. */
enum err imap_report_expunges(struct imap_session *s)
{
    struct imap_view *v = s->view;
    uint32_t told = 0;
    uint32_t recent = 0;
    uint32_t uid = 0;
    struct imap_view_walk walk = {0};
    while ((uid = uidset_next(&v->gone, uid)) != 0 && s->out.err == OK) {
        uint32_t seq = imap_view_walk(v, &walk, (struct imap_uid){uid}).v;
        if (seq > v->told_exists) {
            break; /* came and went without the client ever hearing of it, and so did those after it */
        }
        imap_out_str(&s->out, "* ");
        imap_out_u64(&s->out, seq - told);
        imap_out_str(&s->out, " EXPUNGE\r\n");
        recent += uidset_has(&v->recent, uid) ? 1 : 0;
        told++;
    }
    if (v->gone.n == 0) {
        return OK;
    }
    enum err e = imap_view_drop_gone(v);
    /* The client counts for itself; what is new in the view is still to be told. */
    v->told_exists -= told;
    v->told_recent -= recent < v->told_recent ? recent : v->told_recent;
    return e;
}

void imap_report_exists(struct imap_session *s)
{
    struct imap_view *v = s->view;
    uint32_t exists = imap_view_exists(v);
    uint32_t recent = imap_view_recent(v);
    if (exists != v->told_exists) {
        imap_out_str(&s->out, "* ");
        imap_out_u64(&s->out, exists);
        imap_out_str(&s->out, " EXISTS\r\n");
        v->told_exists = exists;
    }
    if (recent != v->told_recent) {
        imap_out_str(&s->out, "* ");
        imap_out_u64(&s->out, recent);
        imap_out_str(&s->out, " RECENT\r\n");
        v->told_recent = recent;
    }
}

enum err imap_report_keywords(struct imap_session *s, char *const *names, size_t n)
{
    bool changed = false;
    enum err e = imap_view_set_keywords(s->view, names, n, &changed);
    if (changed) {
        imap_out_flag_tables(&s->out, s->view);
    }
    return e;
}

/* With `full`, history was too short: what is not in the whole set has gone, what is beyond the view is new. */
static enum err apply_full(struct imap_view *v, const Pb__ReadSyncResult *r, uint32_t recent_uid)
{
    struct uidset now;
    struct uidset gone;
    uidset_init(&now);
    uidset_init(&gone);
    enum err e = imap_get_uids(&r->uids, &now);
    if (e == OK) {
        e = uidset_copy(&gone, &v->uids);
    }
    if (e == OK) {
        e = uidset_subtract(&gone, &now);
    }
    if (e == OK) {
        e = uidset_union(&v->gone, &gone);
    }
    uint32_t last = uidset_max(&v->uids);
    if (e == OK && last > 0) {
        e = uidset_remove_range(&now, 1, last);
    }
    if (e == OK) {
        e = imap_view_add(v, &now, recent_uid);
    }
    uidset_fini(&now);
    uidset_fini(&gone);
    return e;
}

static enum err apply_steps(struct imap_view *v, const Pb__ReadSyncResult *r, uint32_t recent_uid)
{
    struct uidset set;
    uidset_init(&set);
    enum err e = imap_get_uids(&r->new_uids, &set);
    if (e == OK) {
        e = imap_view_add(v, &set, recent_uid);
    }
    if (e == OK) {
        e = imap_get_uids(&r->vanished, &set);
    }
    if (e == OK) {
        e = imap_view_vanish(v, &set);
    }
    uidset_fini(&set);
    return e;
}

/* "* 5 FETCH (UID 7 FLAGS (\Seen) MODSEQ (12))" */
static void report_change(struct imap_session *s, uint32_t seq, const struct imap_row *row)
{
    struct imap_out *o = &s->out;
    imap_out_str(o, "* ");
    imap_out_u64(o, seq);
    imap_out_str(o, " FETCH (UID ");
    imap_out_u64(o, row->uid);
    imap_out_str(o, " FLAGS ");
    imap_out_flags(o, s->view, row->flags, row->overflow, uidset_has(&s->view->recent, row->uid));
    if (s->condstore) {
        imap_out_str(o, " MODSEQ (");
        imap_out_u64(o, row->modseq);
        imap_out_char(o, ')');
    }
    imap_out_str(o, ")\r\n");
}

/* Rows changed by others, in UID order. What was expunged meanwhile is not worth a line. */
static enum err report_changes(struct imap_session *s, const Pb__ReadSyncResult *r)
{
    struct uidset set;
    uidset_init(&set);
    enum err e = imap_get_uids(&r->changed_uids, &set);
    uint32_t n = uidset_count(&set);
    if (e == OK && (r->changed_flags.len != (size_t)n * 8 || r->changed_modseqs.len != (size_t)n * 8)) {
        e = ERR_CORRUPT;
    }
    struct imap_view_walk walk = {0};
    struct imap_overflow overflow = {slice_make(r->changed_overflow.data, r->changed_overflow.len)};
    struct imap_row row = {.uid = 0};
    for (size_t i = 0; e == OK && i < n && s->out.err == OK; i++) {
        row.uid = uidset_next(&set, row.uid);
        row.flags = get_le64(r->changed_flags.data + 8 * i);
        row.modseq = get_le64(r->changed_modseqs.data + 8 * i);
        e = imap_overflow_next(&overflow, row.flags, &row.overflow);
        struct imap_uid uid = {row.uid};
        uint32_t seq = imap_view_walk(s->view, &walk, uid).v;
        if (e == OK && seq != 0 && !uidset_has(&s->view->gone, row.uid) &&
            !imap_view_own_has(s->view, uid, row.modseq)) {
            report_change(s, seq, &row);
        }
    }
    uidset_fini(&set);
    return e;
}

/* Numbers first, then what refers to them. */
static enum err apply(struct imap_session *s, const Pb__ReadSyncResult *r, bool expunge)
{
    struct imap_view *v = s->view;
    uint32_t recent_uid = r->info != NULL ? r->info->recent_uid : 0;
    enum err e = imap_report_keywords(s, r->keywords, r->n_keywords);
    if (e == OK) {
        e = r->full ? apply_full(v, r, recent_uid) : apply_steps(v, r, recent_uid);
    }
    if (e != OK) {
        return e;
    }
    if (expunge) {
        e = imap_report_expunges(s);
    }
    s->recent_due = s->recent_due || imap_view_exists(v) > v->told_exists;
    imap_report_exists(s);
    if (e == OK) {
        e = report_changes(s, r);
    }
    if (e == OK && r->modseq > v->modseq) {
        v->modseq = r->modseq;
    }
    return e;
}

static void mailbox_lost(struct imap_session *s)
{
    imap_bye(s, "The selected mailbox was deleted", "mailbox deleted");
}

/* RENAME INBOX gives the name to a fresh mailbox, with a new MODSEQ for the old one and no change in it: then it is
 * time to look. Sessions that had it selected have to come back (ARCHITECTURE, 5a). */
static enum err check_inbox(struct imap_session *s)
{
    static char name[] = "INBOX";
    Pb__ReadMailboxes req = PB__READ_MAILBOXES__INIT;
    req.account = s->account.id.v;
    req.name = name;
    struct arena arena;
    struct backend_reply reply;
    arena_init(&arena, IMAP_ARENA_BYTES_MAX);
    enum err e = imap_call(s, METHOD_MAILBOXES, &req.base, &arena, &reply);
    if (e == OK) {
        const Pb__ReadMailboxesResult *r = (const Pb__ReadMailboxesResult *)reply.message;
        if (r->n_mailboxes == 0 || r->mailboxes[0]->mailbox != s->view->mailbox.v) {
            imap_bye(s, "INBOX was renamed", "mailbox renamed");
        }
    }
    backend_reply_fini(&reply);
    arena_fini(&arena);
    return e;
}

static bool is_empty(const Pb__ReadSyncResult *r)
{
    return !r->full && r->changed_flags.len == 0 && r->new_uids.len <= 1 && r->vanished.len <= 1;
}

/* What one answer says; *out_more asks for the next. */
static enum err take_answer(struct imap_session *s, const Pb__ReadSyncResult *r, bool expunge, bool *out_more)
{
    uint64_t since = s->view->modseq;
    if (r->deleted) {
        mailbox_lost(s);
        return OK;
    }
    enum err e = apply(s, r, expunge);
    *out_more = r->more && s->view->modseq > since;
    if (e == OK && s->view->inbox && s->view->modseq > since && is_empty(r)) {
        e = check_inbox(s);
    }
    return e;
}

static enum err round_trip(struct imap_session *s, bool expunge, bool *out_more)
{
    Pb__ReadSync req = PB__READ_SYNC__INIT;
    req.account = s->account.id.v;
    req.mailbox = s->view->mailbox.v;
    req.since = s->view->modseq;
    req.uidvalidity = s->view->uidvalidity;
    struct arena arena;
    arena_init(&arena, IMAP_ARENA_BYTES_MAX);
    struct backend_reply reply;
    enum err e = imap_call(s, METHOD_SYNC, &req.base, &arena, &reply);
    *out_more = false;
    if (e == ERR_NOTFOUND || e == ERR_STALE) {
        mailbox_lost(s);
        e = OK;
    } else if (e == OK) {
        e = take_answer(s, (const Pb__ReadSyncResult *)reply.message, expunge, out_more);
    }
    backend_reply_fini(&reply);
    arena_fini(&arena);
    return e;
}

enum err imap_sync(struct imap_session *s, bool expunge)
{
    /* Read before the call, so that a hint that comes meanwhile is not taken for seen. */
    uint64_t seen = s->watch == NULL ? 0 : backend_watch_modseq(s->watch);
    bool more = true;
    for (unsigned i = 0; more && i < ROUNDS_MAX && !s->ended && s->out.err == OK; i++) {
        enum err e = round_trip(s, expunge, &more);
        if (e != OK) {
            return e;
        }
    }
    s->watch_seen = seen;
    s->dirty = false;
    imap_view_own_prune(s->view, s->view->modseq);
    return OK;
}

void imap_sync_after(struct imap_session *s, struct imap_command *cmd)
{
    if (s->view == NULL || s->out.err != OK) {
        return;
    }
    bool expunge = cmd->uid || (cmd->cmd->flags & IMAP_CMD_NO_EXPUNGE) == 0;
    bool hint = s->watch == NULL || backend_watch_modseq(s->watch) != s->watch_seen;
    enum err e = OK;
    if (hint || s->dirty || (cmd->cmd->flags & IMAP_CMD_SYNC) != 0) {
        e = imap_sync(s, expunge);
    } else if (expunge) {
        e = imap_report_expunges(s);
    }
    /* NOOP that cannot ask must not say that nothing is new. Other replies stand: what was not reported comes with the
     * next one. */
    if (e != OK && (cmd->cmd->flags & IMAP_CMD_SYNC) != 0 && cmd->reply.status == IMAP_STATUS_OK) {
        struct imap_error text = imap_error_of(e, IMAP_ABOUT_MAILBOX);
        (void)imap_no(cmd, text.code, text.text);
    }
}
