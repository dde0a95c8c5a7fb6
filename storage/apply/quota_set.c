/* OpQuotaSet: 0 = no limit. What is there already stays. ERR_NOTFOUND. */
#include "storage/apply/op.h"

static enum err prepare(struct op_context *ox, const void *request, void **out_plan)
{
    const Pb__OpQuotaSet *req = request;
    struct op_account *a = NULL;
    enum err e = op_own_account(ox, req->account, &a);
    *out_plan = a;
    return e;
}

static enum err commit(struct op_context *ox, const void *request, void *plan, struct buf *result)
{
    const Pb__OpQuotaSet *req = request;
    struct op_account *a = plan;
    (void)result;
    a->row.quota_bytes = req->quota_bytes;
    a->row.quota_messages = req->quota_messages;
    a->dirty = true;
    ox->changed = true;
    return OK;
}

STORAGE_OP(quota_set) = {
    .method = METHOD_QUOTA_SET,
    .request = &pb__op_quota_set__descriptor,
    .prepare = prepare,
    .commit = commit,
};
