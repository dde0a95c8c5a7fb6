/* OpMailboxDelete: hides the mailbox and frees its quota at once; OpPurge deletes its rows in steps. With children the
 * name stays as \NoSelect. ERR_PERM (INBOX), ERR_NOTFOUND, ERR_NONEMPTY (\NoSelect with children: RFC 3501, 6.3.4). */
#include "storage/apply/folder_op.h"

struct plan {
    struct op_account *account;
    struct name_path path;
    struct tree_entry at;
    uint32_t parent;
    bool has_children;
    struct op_mailbox *mailbox; /* NULL: \NoSelect */
    struct slice keep_as;       /* empty: its messages are not kept */
};

/* A value of the store holds 4,080 bytes: of a name longer than that the last components are left out. */
#define KEEP_AS_BYTES_MAX 4000

static enum err keep_as(struct op_context *ox, const char *name, struct slice *out)
{
    struct slice full;
    if (!ox->head.keep) {
        return OK;
    }
    enum err e = name_canonical(ox->arena, slice_str(name), &full);
    if (e != OK) {
        return e;
    }
    while (full.n > KEEP_AS_BYTES_MAX) {
        full.n--;
        while (full.p[full.n] != '/') {
            full.n--;
        }
    }
    *out = full;
    return OK;
}

static enum err check(struct op_context *ox, struct plan *p)
{
    if (name_is_inbox(&p->path)) {
        return ERR_PERM;
    }
    enum err e = tree_find(&ox->store, p->account->id, &p->path, &p->at, &p->parent);
    if (e == OK) {
        e = tree_has_children(&ox->store, p->account->id, p->at.node, &p->has_children);
    }
    if (e != OK) {
        return e;
    }
    if (p->at.mailbox == 0) {
        return p->has_children ? ERR_NONEMPTY : OK;
    }
    e = op_mailbox(ox, p->account, p->at.mailbox, &p->mailbox);
    return e == ERR_NOTFOUND ? ERR_CORRUPT : e;
}

static enum err prepare(struct op_context *ox, const void *request, void **out_plan)
{
    const Pb__OpMailboxDelete *req = request;
    struct plan *p = arena_zalloc(ox->arena, sizeof(*p));
    if (p == NULL) {
        return ERR_NOMEM;
    }
    *out_plan = p;
    enum err e = op_own_account(ox, req->account, &p->account);
    if (e == OK) {
        e = op_name(ox, req->name, &p->path);
    }
    if (e == OK) {
        e = keep_as(ox, req->name, &p->keep_as);
    }
    return e == OK ? check(ox, p) : e;
}

static enum err hide(struct op_context *ox, struct plan *p)
{
    struct account_row *acct = &p->account->row;
    struct mailbox_row *row = &p->mailbox->row;
    row->state = MAILBOX_DELETED;
    row->node = 0;
    row->modseq = p->account->modseq;
    p->mailbox->dirty = true;
    acct->used_messages -= row->messages;
    acct->used_bytes -= row->size_bytes;
    struct purge_queued q = {.entry_ms = ox->head.entry_ms, .keep_as = p->keep_as};
    return purge_queue_put(&ox->store, p->account->id, p->mailbox->id, &q);
}

static enum err commit(struct op_context *ox, const void *request, void *plan, struct buf *result)
{
    struct plan *p = plan;
    struct slice name = p->path.part[p->path.n - 1];
    enum err e;
    (void)request;
    (void)result;
    (void)op_modseq(ox, p->account);
    if (p->has_children) {
        struct tree_entry bare = {.node = p->at.node, .mailbox = 0};
        e = tree_put(&ox->store, p->account->id, p->parent, name, bare);
    } else {
        e = tree_del(&ox->store, p->account->id, p->parent, name, p->at.node);
        p->account->row.nodes--;
    }
    return e == OK && p->mailbox != NULL ? hide(ox, p) : e;
}

STORAGE_OP(mailbox_delete) = {
    .method = METHOD_MAILBOX_DELETE,
    .request = &pb__op_mailbox_delete__descriptor,
    .prepare = prepare,
    .commit = commit,
};
