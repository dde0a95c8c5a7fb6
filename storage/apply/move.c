/* OpMove (RFC 6851): one atomic step; quota does not matter. Moving within a mailbox gives new UIDs. ERR_NOTFOUND
 * (destination), ERR_STALE (source). */
#include "storage/apply/rows.h"

static enum err prepare(struct op_context *ox, const void *request, void **out_plan)
{
    const Pb__OpMove *req = request;
    struct op_account *a;
    struct op_copying *c = arena_zalloc(ox->arena, sizeof(*c));
    if (c == NULL) {
        return ERR_NOMEM;
    }
    *out_plan = c;
    enum err e = op_own_account(ox, req->account, &a);
    return e == OK ? op_copying_plan(ox, a, req->mailbox, req->uids, req->to, true, c) : e;
}

static enum err commit(struct op_context *ox, const void *request, void *plan, struct buf *result)
{
    struct op_copying *c = plan;
    uint32_t first = 0;
    (void)request;
    if (c->rows.n > 0) {
        enum err e = op_copying_commit(ox, c, true, &first);
        if (e == OK) {
            e = op_rows_expunge(ox, c->from, &c->rows, OP_FATE_MOVE);
        }
        if (e != OK) {
            return e;
        }
    }
    return op_copying_result(ox, c, first, result);
}

STORAGE_OP(move) = {
    .method = METHOD_MOVE,
    .request = &pb__op_move__descriptor,
    .prepare = prepare,
    .commit = commit,
};
