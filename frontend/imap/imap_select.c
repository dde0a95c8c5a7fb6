#include "frontend/imap/imap_select.h"

#include "frontend/imap/imap_flag.h"
#include "frontend/imap/imap_objectid.h"
#include "proto/base/mem.h"

/* select-params: CONDSTORE (RFC 7162, 3.1.8) */
static bool parse_params(struct imap_cursor *c, struct imap_command *cmd)
{
    if (!imap_parse_char(c, '(')) {
        return false;
    }
    do {
        if (!imap_take_word(c, "CONDSTORE")) {
            return imap_parse_fail(c, "Unknown SELECT parameter");
        }
        cmd->condstore = true;
    } while (imap_take(c, ' '));
    return imap_parse_char(c, ')');
}

bool imap_parse_select(struct imap_cursor *c, struct imap_command *cmd)
{
    char *name;
    if (!imap_parse_sp(c) || !imap_parse_mailbox(c, &name)) {
        return false;
    }
    cmd->args = name;
    if (imap_take(c, ' ') && !parse_params(c, cmd)) {
        return false;
    }
    return imap_parse_end(c);
}

/* Messages from *out on are \Recent in this session. Storage is written only if the watermark moves. */
static enum err claim_recent(struct imap_session *s, const Pb__MailboxInfo *info, bool read_only, uint32_t *out)
{
    *out = info->recent_uid;
    if (read_only || info->recent_uid >= info->uidnext) {
        return OK;
    }
    Pb__OpRecentClaim req = PB__OP_RECENT_CLAIM__INIT;
    req.account = s->account.id.v;
    req.mailbox = info->mailbox;
    struct backend_reply reply;
    enum err e = imap_call(s, METHOD_RECENT_CLAIM, &req.base, &s->arena, &reply);
    if (e == OK) {
        *out = ((const Pb__OpRecentClaimResult *)reply.message)->recent_uid;
    }
    backend_reply_fini(&reply);
    /* A full disk or a lost quorum does not keep anybody from reading. */
    return OK;
}

static enum err view_fill(struct imap_view *v, const Pb__ReadSelectResult *r, uint32_t recent_uid)
{
    struct uidset uids;
    bool changed;
    uidset_init(&uids);
    v->mailbox.v = r->info->mailbox;
    v->uidvalidity = r->info->uidvalidity;
    v->modseq = r->info->highestmodseq;
    enum err e = imap_get_uids(&r->uids, &uids);
    if (e == OK) {
        e = imap_view_add(v, &uids, recent_uid);
    }
    if (e == OK) {
        e = imap_view_set_keywords(v, r->keywords, r->n_keywords, &changed);
    }
    uidset_fini(&uids);
    v->told_exists = imap_view_exists(v);
    v->told_recent = imap_view_recent(v);
    return e;
}

static void out_number(struct imap_out *o, const char *before, uint64_t n, const char *after)
{
    imap_out_str(o, before);
    imap_out_u64(o, n);
    imap_out_str(o, after);
}

static void respond(struct imap_session *s, const Pb__ReadSelectResult *r)
{
    struct imap_out *o = &s->out;
    const struct imap_view *v = s->view;
    imap_out_flag_tables(o, v);
    out_number(o, "* ", v->told_exists, " EXISTS\r\n");
    out_number(o, "* ", v->told_recent, " RECENT\r\n");
    struct imap_seq unseen = imap_view_seq(v, (struct imap_uid){r->first_unseen_uid});
    if (unseen.v != 0) {
        out_number(o, "* OK [UNSEEN ", unseen.v, "] First unseen\r\n");
    }
    out_number(o, "* OK [UIDVALIDITY ", v->uidvalidity, "] UIDs valid\r\n");
    out_number(o, "* OK [UIDNEXT ", r->info->uidnext, "] Predicted next UID\r\n");
    out_number(o, "* OK [HIGHESTMODSEQ ", v->modseq, "] Highest\r\n");
    imap_out_str(o, "* OK [MAILBOXID ");
    imap_out_objectid(o, 'F', slice_make(r->info->objectid.data, r->info->objectid.len));
    imap_out_str(o, "] Ok\r\n");
}

static enum err enter(struct imap_session *s, const Pb__ReadSelectResult *r, const char *name, bool read_only)
{
    struct imap_view *v = mem_zalloc(sizeof(*v));
    if (v == NULL) {
        return ERR_NOMEM;
    }
    uint32_t recent_uid;
    imap_view_init(v);
    v->read_only = read_only;
    v->inbox = strcmp(name, "INBOX") == 0;
    enum err e = claim_recent(s, r->info, read_only, &recent_uid);
    if (e == OK) {
        e = view_fill(v, r, recent_uid);
    }
    if (e != OK) {
        imap_view_fini(v);
        mem_free(v);
        return e;
    }
    s->view = v;
    imap_session_enter(s, IMAP_STATE_SELECTED);
    respond(s, r);
    return OK;
}

static enum err open_mailbox(struct imap_session *s, const char *name, bool read_only)
{
    Pb__ReadSelect req = PB__READ_SELECT__INIT;
    req.account = s->account.id.v;
    req.name = (char *)(uintptr_t)name;
    struct backend_reply reply;
    enum err e = imap_call(s, METHOD_SELECT, &req.base, &s->arena, &reply);
    if (e == OK) {
        const Pb__ReadSelectResult *r = (const Pb__ReadSelectResult *)reply.message;
        if (r->info == NULL) {
            e = ERR_CORRUPT;
        } else if (r->info->noselect || r->info->nonexistent) {
            e = ERR_NOTFOUND;
        } else {
            e = enter(s, r, name, read_only);
        }
    }
    backend_reply_fini(&reply);
    return e;
}

enum err imap_select(struct imap_session *s, struct imap_command *cmd, bool read_only)
{
    if (s->view != NULL) {
        imap_unselect(s);
        imap_out_str(&s->out, "* OK [CLOSED] Previous mailbox closed\r\n");
    }
    /* The watch comes first, so that no change between the two is missed. Without one every command asks
     * (imap_sync_after). */
    struct backend_watch *watch = NULL;
    if (backend_watch_add(s->cfg->backend, &s->account, s->conn, &watch) != OK) {
        watch = NULL;
    }
    uint64_t seen = watch == NULL ? 0 : backend_watch_modseq(watch);
    enum err e = open_mailbox(s, cmd->args, read_only);
    if (e != OK) {
        if (watch != NULL) {
            backend_watch_remove(watch);
        }
        return e;
    }
    s->watch = watch;
    s->watch_seen = seen;
    return imap_ok(cmd, read_only ? "READ-ONLY" : "READ-WRITE", NULL);
}
