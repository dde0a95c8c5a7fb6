#include "frontend/imap/imap_session.h"
#include "frontend/imap/imap_sync.h"
#include "proto/base/assert.h"
#include "proto/base/mem.h"

enum err imap_call(struct imap_session *s, enum method m, const ProtobufCMessage *message, struct arena *arena,
                   struct backend_reply *out)
{
    return backend_account_call(s->cfg->backend, &s->account, m, message, slice_make(NULL, 0), arena, out);
}

enum err imap_put_uids(const struct uidset *set, struct arena *arena, ProtobufCBinaryData *out)
{
    struct buf b;
    buf_init(&b, IMAP_ARENA_BYTES_MAX);
    enum err e = uidset_encode(set, &b);
    if (e == OK) {
        out->len = b.len;
        out->data = arena_dup(arena, buf_slice(&b).p, b.len);
        e = out->data == NULL ? ERR_LIMIT : OK;
    }
    buf_fini(&b);
    return e;
}

enum err imap_get_uids(const ProtobufCBinaryData *in, struct uidset *set)
{
    if (in->len == 0) {
        uidset_clear(set);
        return OK;
    }
    return uidset_decode(set, slice_make(in->data, in->len), IMAP_UID_RUNS_MAX);
}

enum err imap_uids_text(const struct uidset *set, struct arena *arena, const char **out)
{
    struct buf b;
    buf_init(&b, IMAP_ARENA_BYTES_MAX);
    enum err e = uidset_format(set, &b);
    const char *text = e == OK ? arena_slice_str(arena, buf_slice(&b)) : NULL;
    buf_fini(&b);
    if (e == OK && text == NULL) {
        e = ERR_LIMIT;
    }
    if (e == OK) {
        *out = text;
    }
    return e;
}

enum err imap_resolve(struct imap_session *s, struct imap_command *cmd, const struct imap_set *set, struct uidset *out)
{
    enum err e = imap_view_resolve(s->view, set, cmd->uid, out);
    if (e == ERR_INVAL) {
        (void)imap_bad(cmd, "No message with such a sequence number");
    }
    return e;
}

void imap_condstore_enable(struct imap_session *s)
{
    if (s->condstore) {
        return;
    }
    s->condstore = true;
    if (s->view != NULL) {
        imap_out_str(&s->out, "* OK [HIGHESTMODSEQ ");
        imap_out_u64(&s->out, s->view->modseq);
        imap_out_str(&s->out, "] CONDSTORE is on\r\n");
    }
}

/* Moves storage's watermark past what this client was shown as \Recent. */
static void claim_recent(struct imap_session *s)
{
    Pb__OpRecentClaim req = PB__OP_RECENT_CLAIM__INIT;
    req.account = s->account.id.v;
    req.mailbox = s->view->mailbox.v;
    struct arena arena;
    arena_init(&arena, 4096);
    struct backend_reply reply;
    enum err e = imap_call(s, METHOD_RECENT_CLAIM, &req.base, &arena, &reply);
    backend_reply_fini(&reply);
    arena_fini(&arena);
    /* A failure shows the messages as \Recent once more, which RFC 3501, 2.3.2 allows. */
    s->recent_due = e != OK;
}

void imap_unselect(struct imap_session *s)
{
    if (s->view == NULL) {
        return;
    }
    if (s->recent_due && !s->view->read_only) {
        claim_recent(s);
    }
    s->recent_due = false;
    s->dirty = false;
    if (s->watch != NULL) {
        backend_watch_remove(s->watch);
    }
    s->watch = NULL;
    imap_view_fini(s->view);
    mem_free(s->view);
    s->view = NULL;
    imap_session_enter(s, IMAP_STATE_AUTHENTICATED);
}
