/* OpMailboxCreate: also for a \NoSelect name, which gets a mailbox again. Missing parents become mailboxes. ERR_EXISTS,
 * ERR_INVAL, ERR_LIMIT. */
#include "storage/apply/folder_op.h"

struct plan {
    struct op_account *account;
    struct name_path path;
    size_t depth; /* components that exist */
    struct tree_entry at;
    uint32_t parent;
};

static enum err prepare(struct op_context *ox, const void *request, void **out_plan)
{
    const Pb__OpMailboxCreate *req = request;
    struct plan *p = arena_zalloc(ox->arena, sizeof(*p));
    if (p == NULL) {
        return ERR_NOMEM;
    }
    *out_plan = p;
    if (req->special_use > SPECIAL_USE_TRASH) {
        return ERR_INVAL;
    }
    enum err e = op_own_account(ox, req->account, &p->account);
    if (e == OK) {
        e = op_name(ox, req->name, &p->path);
    }
    if (e == OK) {
        e = tree_descend(&ox->store, p->account->id, &p->path, &p->depth, &p->at, &p->parent);
    }
    if (e != OK) {
        return e;
    }
    if (p->depth == p->path.n && p->at.mailbox != 0) {
        return ERR_EXISTS;
    }
    return folder_room(p->account, p->path.n - p->depth);
}

static enum err make(struct op_context *ox, const Pb__OpMailboxCreate *req, struct plan *p, struct op_mailbox **out)
{
    size_t last = p->path.n - 1;
    uint32_t node = 0;
    uint32_t parent = p->at.node;
    if (p->depth == p->path.n) {
        node = p->at.node;
        parent = p->parent;
    } else {
        enum err e = folder_make_parents(ox, p->account, &p->path, p->depth, last, &parent);
        if (e != OK) {
            return e;
        }
    }
    return folder_make(ox, p->account, parent, p->path.part[last], node, req->special_use, out);
}

static enum err commit(struct op_context *ox, const void *request, void *plan, struct buf *result)
{
    struct op_mailbox *m;
    Pb__OpMailboxCreateResult answer = PB__OP_MAILBOX_CREATE_RESULT__INIT;
    enum err e = make(ox, request, plan, &m);
    if (e != OK) {
        return e;
    }
    answer.mailbox = m->id;
    answer.mailbox_objectid = pb_bytes(slice_make(m->row.objectid, sizeof(m->row.objectid)));
    answer.uidvalidity = m->row.uidvalidity;
    return pb_pack(&answer.base, result);
}

STORAGE_OP(mailbox_create) = {
    .method = METHOD_MAILBOX_CREATE,
    .grows = true,
    .request = &pb__op_mailbox_create__descriptor,
    .prepare = prepare,
    .commit = commit,
};
