/* OpAccountCreate: an account with INBOX and the special-use folders. ERR_EXISTS, ERR_INVAL, ERR_LIMIT. */
#include "storage/apply/folder_op.h"

static enum err prepare(struct op_context *ox, const void *request, void **out_plan)
{
    const Pb__OpAccountCreate *req = request;
    struct account_row taken;
    struct account_id id = {req->account};
    (void)out_plan;
    if (ox->head.account.v != 0 && ox->head.account.v != req->account) {
        return ERR_INVAL;
    }
    enum err e = account_op_check(req);
    if (e == OK) {
        e = account_get(&ox->store, id, &taken);
        e = e == OK ? ERR_EXISTS : e;
    }
    return e == ERR_NOTFOUND ? OK : e;
}

static enum err commit(struct op_context *ox, const void *request, void *plan, struct buf *result)
{
    (void)plan;
    (void)result;
    return account_op_make(ox, request);
}

STORAGE_OP(account_create) = {
    .method = METHOD_ACCOUNT_CREATE,
    .grows = true,
    .request = &pb__op_account_create__descriptor,
    .prepare = prepare,
    .commit = commit,
};
