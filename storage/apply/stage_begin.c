/* OpStageBegin: reserves this entry's index for a body that will come in chunks. ERR_NOTFOUND, ERR_INVAL, ERR_LIMIT
 * (size; too many are open; what is expected does not fit into a budget now), ERR_QUOTA (it would not fit anyway). */
#include "storage/apply/op.h"
#include "storage/apply/staging.h"

struct plan {
    struct op_account *account;
    struct op_account *shard;
};

static enum err check(const Pb__OpStageBegin *req, const struct plan *p)
{
    if (req->size == 0) {
        return ERR_INVAL;
    }
    if (req->size > STAGE_BODY_BYTES_MAX || p->account->row.uploads >= STAGE_ACCOUNT_UPLOADS_MAX ||
        p->shard->row.uploads >= STAGE_SHARD_UPLOADS_MAX) {
        return ERR_LIMIT;
    }
    if (p->account->row.staged_bytes + req->expected > STAGE_ACCOUNT_BYTES_MAX ||
        p->shard->row.staged_bytes + req->expected > STAGE_SHARD_BYTES_MAX) {
        return ERR_LIMIT;
    }
    return op_quota_check(p->account, 1, 0); /* the size is only an upper bound: what uses the body is measured */
}

/* What a delivery, or the move itself, stages for an account that lives in another shard stays here (adr/0010). */
static enum err own_account(struct op_context *ox, const Pb__OpStageBegin *req, struct op_account **out)
{
    struct op_account *a;
    enum err e = op_own_account(ox, req->account, out);
    if (e != ERR_MOVED || !req->away) {
        return e;
    }
    e = op_account_any(ox, req->account, &a);
    if (e == OK) {
        ox->unrecorded = false;
        *out = a;
    }
    return e;
}

static enum err prepare(struct op_context *ox, const void *request, void **out_plan)
{
    const Pb__OpStageBegin *req = request;
    struct plan *p = arena_zalloc(ox->arena, sizeof(*p));
    if (p == NULL) {
        return ERR_NOMEM;
    }
    *out_plan = p;
    enum err e = own_account(ox, req, &p->account);
    if (e == OK) {
        e = op_account_any(ox, 0, &p->shard);
    }
    return e == OK ? check(req, p) : e;
}

static enum err commit(struct op_context *ox, const void *request, void *plan, struct buf *result)
{
    const Pb__OpStageBegin *req = request;
    struct plan *p = plan;
    Pb__OpStageBeginResult answer = PB__OP_STAGE_BEGIN_RESULT__INIT;
    struct stage_row row = {.account = req->account, .entry_ms = ox->head.entry_ms, .size = req->size};
    enum err e = stage_put(&ox->store, ox->pos.index, &row);
    if (e != OK) {
        return e;
    }
    p->account->row.uploads++;
    p->account->dirty = true;
    p->shard->row.uploads++;
    p->shard->dirty = true;
    ox->changed = true;
    answer.staged_index = ox->pos.index;
    return pb_pack(&answer.base, result);
}

STORAGE_OP(stage_begin) = {
    .method = METHOD_STAGE_BEGIN,
    .grows = true,
    .gate = OP_GATE_AWAY,
    .request = &pb__op_stage_begin__descriptor,
    .prepare = prepare,
    .commit = commit,
};
