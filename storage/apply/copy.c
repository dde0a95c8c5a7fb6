/* OpCopy. Without copy_id one atomic step. With it a step of a larger one (copy_record.h): `last` makes it count,
 * `undo` takes back what was made so far (1,000 messages an entry: dest_uids says which; OpPurge does the rest).
 * ERR_NOTFOUND (destination), ERR_STALE (source; or the copy is being undone), ERR_QUOTA, ERR_LIMIT, ERR_INVAL. */
#include "storage/apply/copy_record.h"
#include "storage/apply/rows.h"

struct plan {
    struct op_account *account;
    struct op_copying copying;
    struct copy_record record;
    bool recorded; /* the record is in the store */
};

static enum err load_record(struct op_context *ox, const Pb__OpCopy *req, struct plan *p)
{
    if (req->copy_id.len == 0) {
        return req->undo ? ERR_INVAL : OK;
    }
    if (req->copy_id.len != 16) {
        return ERR_INVAL;
    }
    enum err e = copy_record_get(&ox->store, p->account->id, req->copy_id.data, &p->record);
    p->recorded = e == OK;
    return e == ERR_NOTFOUND ? OK : e;
}

static enum err check_step(struct op_context *ox, const Pb__OpCopy *req, struct plan *p)
{
    enum err e = op_copying_plan(ox, p->account, req->mailbox, req->uids, req->to, false, &p->copying);
    if (e != OK || req->copy_id.len == 0) {
        return e;
    }
    if (p->recorded && (p->record.undoing || p->record.mailbox != p->copying.to->id)) {
        return ERR_STALE;
    }
    return copy_record_room(&p->record, p->copying.to->row.uidnext);
}

static enum err prepare(struct op_context *ox, const void *request, void **out_plan)
{
    const Pb__OpCopy *req = request;
    struct plan *p = arena_zalloc(ox->arena, sizeof(*p));
    if (p == NULL) {
        return ERR_NOMEM;
    }
    *out_plan = p;
    enum err e = op_own_account(ox, req->account, &p->account);
    if (e == OK) {
        e = load_record(ox, req, p);
    }
    if (e != OK || req->undo) {
        return e;
    }
    return check_step(ox, req, p);
}

static enum err undo(struct op_context *ox, const Pb__OpCopy *req, struct plan *p, struct buf *result)
{
    Pb__OpCopyResult answer = PB__OP_COPY_RESULT__INIT;
    struct uidset *removed = op_set(ox);
    enum err e = p->recorded ? copy_undo_step(ox, p->account, req->copy_id.data, &p->record, removed) : OK;
    if (e == OK) {
        e = op_pack_uids(ox, removed, &answer.dest_uids);
    }
    if (e != OK) {
        return e;
    }
    answer.to_mailbox = p->record.mailbox;
    answer.modseq = p->account->modseq;
    return pb_pack(&answer.base, result);
}

static enum err keep_record(struct op_context *ox, const Pb__OpCopy *req, struct plan *p, uint32_t first)
{
    if (req->copy_id.len == 0) {
        return OK;
    }
    ox->changed = ox->changed || p->recorded || !req->last;
    if (req->last) {
        return p->recorded ? copy_record_del(&ox->store, p->account->id, req->copy_id.data) : OK;
    }
    if (p->copying.rows.n > 0) {
        copy_record_add(&p->record, first, first + (uint32_t)p->copying.rows.n - 1);
    }
    p->record.mailbox = p->copying.to->id;
    p->record.entry_ms = ox->head.entry_ms;
    return copy_record_put(&ox->store, p->account->id, req->copy_id.data, &p->record);
}

static enum err commit(struct op_context *ox, const void *request, void *plan, struct buf *result)
{
    const Pb__OpCopy *req = request;
    struct plan *p = plan;
    uint32_t first = 0;
    if (req->undo) {
        return undo(ox, req, p, result);
    }
    enum err e = p->copying.rows.n > 0 ? op_copying_commit(ox, &p->copying, false, &first) : OK;
    if (e == OK) {
        e = keep_record(ox, req, p, first);
    }
    return e == OK ? op_copying_result(ox, &p->copying, first, result) : e;
}

STORAGE_OP(copy) = {
    .method = METHOD_COPY,
    .grows = true,
    .request = &pb__op_copy__descriptor,
    .prepare = prepare,
    .commit = commit,
};
