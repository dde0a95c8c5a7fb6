/* OpAccountCreateMany: up to 200 accounts; those that exist are left as they are. ERR_INVAL, ERR_LIMIT. */
#include "storage/apply/folder_op.h"

#define ACCOUNTS_MAX 200

static enum err prepare(struct op_context *ox, const void *request, void **out_plan)
{
    const Pb__OpAccountCreateMany *req = request;
    (void)ox;
    (void)out_plan;
    if (req->n_accounts > ACCOUNTS_MAX) {
        return ERR_LIMIT;
    }
    for (size_t i = 0; i < req->n_accounts; i++) {
        enum err e = account_op_check(req->accounts[i]);
        if (e != OK) {
            return e;
        }
    }
    return OK;
}

static enum err commit(struct op_context *ox, const void *request, void *plan, struct buf *result)
{
    const Pb__OpAccountCreateMany *req = request;
    (void)plan;
    (void)result;
    for (size_t i = 0; i < req->n_accounts; i++) {
        struct op_account *there;
        enum err e = op_account_any(ox, req->accounts[i]->account, &there);
        if (e == ERR_NOTFOUND) {
            e = account_op_make(ox, req->accounts[i]);
        }
        if (e != OK) {
            return e;
        }
    }
    return OK;
}

STORAGE_OP(account_create_many) = {
    .method = METHOD_ACCOUNT_CREATE_MANY,
    .grows = true,
    .request = &pb__op_account_create_many__descriptor,
    .prepare = prepare,
    .commit = commit,
};
