/* OpKeptDrop, proposed by the leader: one bounded step over the shard's kept messages, oldest first. */
#include "storage/apply/keeping.h"

static enum err commit(struct op_context *ox, const void *request, void *plan, struct buf *result)
{
    const Pb__OpKeptDrop *req = request;
    uint32_t max = req->messages == 0 || req->messages > KEPT_DROP_MAX ? KEPT_DROP_MAX : req->messages;
    (void)plan;
    (void)result;
    ox->unrecorded = true; /* done twice it just goes further, to the same end */
    return keeping_drop_before(ox, req->before_ms, max, req->bytes == 0 ? UINT64_MAX : req->bytes);
}

STORAGE_OP(kept_drop) = {
    .method = METHOD_KEPT_DROP,
    .request = &pb__op_kept_drop__descriptor,
    .commit = commit,
};
