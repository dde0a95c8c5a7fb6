/* OpAccountRemove: hides an account; OpPurge deletes its rows in steps. ERR_NOTFOUND. */
#include "storage/apply/folder_op.h"

static enum err prepare(struct op_context *ox, const void *request, void **out_plan)
{
    const Pb__OpAccountRemove *req = request;
    struct op_account *a = NULL;
    enum err e = op_own_account(ox, req->account, &a);
    *out_plan = a;
    return e;
}

static enum err commit(struct op_context *ox, const void *request, void *plan, struct buf *result)
{
    struct op_account *a = plan;
    (void)request;
    (void)result;
    (void)op_modseq(ox, a);
    a->row.state = ACCOUNT_REMOVED;
    struct purge_queued q = {.entry_ms = ox->head.entry_ms};
    return purge_queue_put(&ox->store, a->id, 0, &q);
}

STORAGE_OP(account_remove) = {
    .method = METHOD_ACCOUNT_REMOVE,
    .request = &pb__op_account_remove__descriptor,
    .prepare = prepare,
    .commit = commit,
};
