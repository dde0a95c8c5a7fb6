/* OpMailboxSubscribe: a name in or out of the list of subscriptions, whether a mailbox has it or not. ERR_INVAL,
 * ERR_LIMIT, ERR_NOTFOUND (account). */
#include "storage/apply/op.h"
#include "storage/mailbox/subscription.h"

struct plan {
    struct op_account *account;
    struct slice name;
    bool already;
};

static enum err prepare(struct op_context *ox, const void *request, void **out_plan)
{
    const Pb__OpMailboxSubscribe *req = request;
    struct name_path path;
    bool has = false;
    struct plan *p = arena_zalloc(ox->arena, sizeof(*p));
    if (p == NULL) {
        return ERR_NOMEM;
    }
    *out_plan = p;
    enum err e = op_own_account(ox, req->account, &p->account);
    if (e == OK) {
        e = op_name(ox, req->name, &path);
    }
    if (e == OK) {
        e = name_canonical(ox->arena, slice_str(req->name), &p->name);
    }
    if (e == OK) {
        e = subscription_has(&ox->store, p->account->id, p->name, &has);
    }
    p->already = has == (req->subscribed != 0);
    if (e == OK && !p->already && req->subscribed) {
        e = subscription_check(&ox->store, p->account->id, &p->account->row, p->name);
    }
    return e;
}

static enum err commit(struct op_context *ox, const void *request, void *plan, struct buf *result)
{
    const Pb__OpMailboxSubscribe *req = request;
    struct plan *p = plan;
    (void)result;
    if (p->already) {
        return OK;
    }
    (void)op_modseq(ox, p->account);
    if (req->subscribed) {
        return subscription_add(&ox->store, p->account->id, &p->account->row, p->name);
    }
    return subscription_remove(&ox->store, p->account->id, &p->account->row, p->name);
}

STORAGE_OP(mailbox_subscribe) = {
    .method = METHOD_MAILBOX_SUBSCRIBE,
    .request = &pb__op_mailbox_subscribe__descriptor,
    .prepare = prepare,
    .commit = commit,
};
