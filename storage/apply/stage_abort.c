/* OpStageAbort: an upload that nothing will use. A reservation that is gone is fine; another account's is ERR_NOTFOUND.
 */
#include "storage/apply/op.h"
#include "storage/apply/staging.h"

struct plan {
    bool there;
    struct stage_row row;
};

static enum err prepare(struct op_context *ox, const void *request, void **out_plan)
{
    const Pb__OpStageAbort *req = request;
    struct plan *p = arena_zalloc(ox->arena, sizeof(*p));
    if (p == NULL) {
        return ERR_NOMEM;
    }
    *out_plan = p;
    enum err e = stage_get(&ox->store, req->staged_index, &p->row);
    if (e == ERR_NOTFOUND) {
        return OK;
    }
    p->there = e == OK;
    return e == OK && p->row.account != req->account ? ERR_NOTFOUND : e;
}

static enum err commit(struct op_context *ox, const void *request, void *plan, struct buf *result)
{
    const Pb__OpStageAbort *req = request;
    const struct plan *p = plan;
    (void)result;
    return p->there ? stage_kill(ox, req->staged_index, &p->row) : OK;
}

STORAGE_OP(stage_abort) = {
    .method = METHOD_STAGE_ABORT,
    .gate = OP_GATE_AWAY,
    .request = &pb__op_stage_abort__descriptor,
    .prepare = prepare,
    .commit = commit,
};
