/* OpPurge, proposed by the leader: one bounded step of housekeeping. account 0: the shard's own; mailbox 0: the
 * account's (all of a removed one, old dedupe records of a live one). What needs no purge is fine. */
#include "storage/apply/purge.h"

#include "storage/apply/common/dedupe.h"
#include "storage/apply/folder_op.h"

static enum err purge_live_account(struct op_context *ox, struct op_account *a)
{
    a->dirty = dedupe_expiry_due(&a->row, ox->head.entry_ms, DEDUPE_MS_DEFAULT);
    return dedupe_expire(&ox->store, a->id, &a->row, ox->head.entry_ms, DEDUPE_MS_DEFAULT, PURGE_DEDUPE_MAX);
}

static enum err purge_queued_mailbox(struct op_context *ox, struct op_account *a, uint64_t mailbox)
{
    struct purge_queued q;
    bool done;
    enum err e = mailbox > UINT32_MAX ? ERR_NOTFOUND : purge_queue_get(&ox->store, a->id, (uint32_t)mailbox, &q);
    if (e != OK) {
        return e == ERR_NOTFOUND ? OK : e;
    }
    return purge_mailbox(ox, a, (uint32_t)mailbox, &done);
}

static enum err step(struct op_context *ox, const Pb__OpPurge *req)
{
    struct op_account *a;
    if (req->account == 0) {
        return purge_shard(ox);
    }
    enum err e = op_account_any(ox, req->account, &a);
    if (e != OK) {
        return e == ERR_NOTFOUND ? OK : e;
    }
    switch (a->row.state) {
    case ACCOUNT_REMOVED:
    case ACCOUNT_MOVED:
        return req->mailbox != 0 ? purge_queued_mailbox(ox, a, req->mailbox) : purge_account(ox, a);
    case ACCOUNT_CANCELLED:
        return purge_cancelled(ox, a);
    case ACCOUNT_FENCED: /* what is being copied must not change */
    case ACCOUNT_ARRIVING:
    case ACCOUNT_ARRIVED:
        return OK;
    default:
        return req->mailbox != 0 ? purge_queued_mailbox(ox, a, req->mailbox) : purge_live_account(ox, a);
    }
}

static enum err commit(struct op_context *ox, const void *request, void *plan, struct buf *result)
{
    (void)plan;
    (void)result;
    ox->unrecorded = true; /* done twice it just goes further */
    return step(ox, request);
}

STORAGE_OP(purge) = {
    .method = METHOD_PURGE,
    .gate = OP_GATE_OPEN,
    .request = &pb__op_purge__descriptor,
    .commit = commit,
};
