/* OpHandoffDone: another shard has taken its part (or finally refused recipients, `failed`); removes the row and its
 * reference to the body. A row that is gone is fine. */
#include "storage/apply/handoff.h"

struct plan {
    bool there;
    struct handoff_head head;
};

static enum err prepare(struct op_context *ox, const void *request, void **out_plan)
{
    const Pb__OpHandoffDone *req = request;
    struct shard_id to = {req->shard};
    struct key k;
    struct buf value;
    struct slice op;
    struct plan *p = arena_zalloc(ox->arena, sizeof(*p));
    if (p == NULL) {
        return ERR_NOMEM;
    }
    *out_plan = p;
    buf_init(&value, SIZE_MAX / 2);
    handoff_key(&k, &ox->store, req->index, to);
    enum err e = store_get_long(&ox->store, &k, &value);
    if (e == OK) {
        e = handoff_decode(buf_slice(&value), &p->head, &op);
        p->there = true;
    }
    buf_fini(&value);
    return e == ERR_NOTFOUND ? OK : e;
}

static enum err commit(struct op_context *ox, const void *request, void *plan, struct buf *result)
{
    const Pb__OpHandoffDone *req = request;
    const struct plan *p = plan;
    struct shard_id to = {req->shard};
    struct key k;
    (void)result;
    ox->unrecorded = true; /* the row never comes again */
    if (!p->there) {
        return OK;
    }
    handoff_key(&k, &ox->store, req->index, to);
    enum err e = store_del_long(&ox->store, &k);
    if (e != OK) {
        return e;
    }
    return body_ref_drop(&ox->store, p->head.body_index, (uint16_t)p->head.body_ordinal, ox->head.entry_ms);
}

STORAGE_OP(handoff_done) = {
    .method = METHOD_HANDOFF_DONE,
    .request = &pb__op_handoff_done__descriptor,
    .prepare = prepare,
    .commit = commit,
};
