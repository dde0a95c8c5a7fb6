/* OpRecentClaim: this session sees as \Recent what no other has (RFC 3501, 2.3.2): moves the watermark to UIDNEXT and
 * answers the old one. */
#include "storage/apply/op.h"

static enum err prepare(struct op_context *ox, const void *request, void **out_plan)
{
    const Pb__OpRecentClaim *req = request;
    struct op_account *a;
    struct op_mailbox *m = NULL;
    enum err e = op_own_account(ox, req->account, &a);
    if (e == OK) {
        e = op_mailbox(ox, a, req->mailbox, &m);
    }
    *out_plan = m;
    return e;
}

static enum err commit(struct op_context *ox, const void *request, void *plan, struct buf *result)
{
    struct op_mailbox *m = plan;
    Pb__OpRecentClaimResult answer = PB__OP_RECENT_CLAIM_RESULT__INIT;
    (void)request;
    answer.recent_uid = m->row.recent_uid;
    if (m->row.recent_uid != m->row.uidnext) {
        m->row.recent_uid = m->row.uidnext;
        m->row.recent = 0;
        m->dirty = true;
        ox->changed = true;
    }
    return pb_pack(&answer.base, result);
}

STORAGE_OP(recent_claim) = {
    .method = METHOD_RECENT_CLAIM,
    .request = &pb__op_recent_claim__descriptor,
    .prepare = prepare,
    .commit = commit,
};
