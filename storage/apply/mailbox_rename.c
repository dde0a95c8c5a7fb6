/* OpMailboxRename: moves one node of the tree; its children come along, UIDVALIDITY stays. Missing parents of the new
 * name become mailboxes. RENAME INBOX (RFC 3501, 6.3.5): its mailbox takes the new name, a fresh one becomes INBOX,
 * INBOX's children stay. ERR_NOTFOUND, ERR_EXISTS, ERR_INVAL (below itself), ERR_LIMIT (too deep, too many). */
#include "storage/apply/folder_op.h"

struct plan {
    struct op_account *account;
    struct name_path from;
    struct name_path to;
    struct tree_entry node; /* what is renamed */
    uint32_t parent;        /* of it */
    size_t to_depth;        /* components of the new name that exist */
    struct tree_entry to_at;
    struct op_mailbox *inbox; /* set for RENAME INBOX */
};

/* The new name may not lie below the old one, and what comes along may not get too deep. */
static enum err check_subtree(struct op_context *ox, const struct plan *p)
{
    struct tree_list below;
    bool inside = false;
    uint32_t deepest = 0;
    enum err e = tree_is_below(&ox->store, p->account->id, p->to_at.node, p->node.node, &inside);
    if (e == OK && inside) {
        e = ERR_INVAL;
    }
    if (e == OK) {
        e = tree_list(&ox->store, p->account->id, p->node.node, ox->arena, &below);
    }
    if (e != OK) {
        return e;
    }
    for (size_t i = 0; i < below.n; i++) {
        deepest = below.items[i].depth > deepest ? below.items[i].depth : deepest;
    }
    return p->to.n + deepest > NAME_DEPTH_MAX ? ERR_LIMIT : OK;
}

static enum err check(struct op_context *ox, struct plan *p)
{
    uint32_t to_parent;
    enum err e = tree_find(&ox->store, p->account->id, &p->from, &p->node, &p->parent);
    if (e == OK) {
        e = tree_descend(&ox->store, p->account->id, &p->to, &p->to_depth, &p->to_at, &to_parent);
    }
    if (e != OK) {
        return e;
    }
    if (p->to_depth == p->to.n) {
        return ERR_EXISTS;
    }
    e = folder_room(p->account, p->to.n - p->to_depth + 1);
    if (e != OK) {
        return e;
    }
    if (name_is_inbox(&p->from)) {
        return op_mailbox(ox, p->account, p->account->row.inbox, &p->inbox);
    }
    return check_subtree(ox, p);
}

static enum err prepare(struct op_context *ox, const void *request, void **out_plan)
{
    const Pb__OpMailboxRename *req = request;
    struct plan *p = arena_zalloc(ox->arena, sizeof(*p));
    if (p == NULL) {
        return ERR_NOMEM;
    }
    *out_plan = p;
    enum err e = op_own_account(ox, req->account, &p->account);
    if (e == OK) {
        e = op_name(ox, req->from, &p->from);
    }
    if (e == OK) {
        e = op_name(ox, req->to, &p->to);
    }
    return e == OK ? check(ox, p) : e;
}

static enum err rename_node(struct op_context *ox, struct plan *p, uint32_t parent)
{
    enum err e = tree_del(&ox->store, p->account->id, p->parent, p->from.part[p->from.n - 1], p->node.node);
    if (e != OK) {
        return e;
    }
    return tree_put(&ox->store, p->account->id, parent, p->to.part[p->to.n - 1], p->node);
}

static enum err rename_inbox(struct op_context *ox, struct plan *p, uint32_t parent)
{
    struct op_mailbox *fresh;
    struct op_account *a = p->account;
    struct tree_entry moved = {.node = a->row.next_mailbox++, .mailbox = p->inbox->id};
    a->row.nodes++;
    p->inbox->row.node = moved.node;
    p->inbox->row.modseq = a->modseq;
    p->inbox->dirty = true;
    enum err e = tree_put(&ox->store, a->id, parent, p->to.part[p->to.n - 1], moved);
    if (e == OK) {
        e = folder_make(ox, a, p->parent, p->from.part[0], p->node.node, SPECIAL_USE_NONE, &fresh);
    }
    if (e == OK) {
        a->row.inbox = fresh->id;
    }
    return e;
}

static enum err commit(struct op_context *ox, const void *request, void *plan, struct buf *result)
{
    struct plan *p = plan;
    uint32_t parent = p->to_at.node;
    (void)request;
    (void)result;
    (void)op_modseq(ox, p->account);
    enum err e = folder_make_parents(ox, p->account, &p->to, p->to_depth, p->to.n - 1, &parent);
    if (e != OK) {
        return e;
    }
    return p->inbox != NULL ? rename_inbox(ox, p, parent) : rename_node(ox, p, parent);
}

STORAGE_OP(mailbox_rename) = {
    .method = METHOD_MAILBOX_RENAME,
    .request = &pb__op_mailbox_rename__descriptor,
    .prepare = prepare,
    .commit = commit,
};
