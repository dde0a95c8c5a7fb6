/* OpStageChunk never becomes an operation's entry: after this check the leader proposes the chunk as an entry of
 * replication's own (deploy/docs/adr/0004), which asks again when it is applied (stage_charge). ERR_NOTFOUND
 * (reservation), ERR_INVAL (order, size), ERR_LIMIT. */
#include "storage/apply/op.h"
#include "storage/apply/staging.h"

static enum err prepare(struct op_context *ox, const void *request, void **out_plan)
{
    const Pb__OpStageChunk *req = request;
    (void)out_plan;
    if (!ox->early) {
        return ERR_UNSUPPORTED;
    }
    return stage_check_chunk(ox, req->account, req->staged_index, req->offset, ox->body_bytes);
}

static enum err commit(struct op_context *ox, const void *request, void *plan, struct buf *result)
{
    (void)ox;
    (void)request;
    (void)plan;
    (void)result;
    return ERR_UNSUPPORTED;
}

STORAGE_OP(stage_chunk) = {
    .method = METHOD_STAGE_CHUNK,
    .grows = true,
    .takes_body = true,
    .gate = OP_GATE_OPEN, /* a reservation is its own, wherever the account is */
    .request = &pb__op_stage_chunk__descriptor,
    .prepare = prepare,
    .commit = commit,
};
