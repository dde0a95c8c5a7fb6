/* OpExpunge: removes messages, for good unless the leader keeps what is expunged. pop3_term: a POP3 session's QUIT
 * counts only under the leadership that gave it its lock, in that one's shard (ERR_STALE). */
#include "storage/apply/rows.h"

struct plan {
    struct op_mailbox *mailbox;
    struct op_rows rows;
};

static enum err prepare(struct op_context *ox, const void *request, void **out_plan)
{
    const Pb__OpExpunge *req = request;
    struct op_account *a;
    struct uidset *uids;
    struct plan *p = arena_zalloc(ox->arena, sizeof(*p));
    if (p == NULL) {
        return ERR_NOMEM;
    }
    *out_plan = p;
    if (req->pop3_term != 0 && !ox->early &&
        (req->pop3_term != ox->pos.term || (req->pop3_shard != 0 && req->pop3_shard != ox->head.shard.v))) {
        return ERR_STALE;
    }
    enum err e = op_own_account(ox, req->account, &a);
    if (e == OK) {
        e = op_mailbox(ox, a, req->mailbox, &p->mailbox);
    }
    if (e == OK) {
        e = op_uids(ox, req->uids, &uids);
    }
    if (e == OK) {
        e = op_rows_collect(ox, p->mailbox, uids, &p->rows);
    }
    if (e == OK && req->only_deleted) {
        op_rows_keep(&p->rows, FLAG_DELETED);
    }
    return e;
}

static enum err commit(struct op_context *ox, const void *request, void *plan, struct buf *result)
{
    struct plan *p = plan;
    Pb__OpExpungeResult answer = PB__OP_EXPUNGE_RESULT__INIT;
    struct uidset *uids;
    (void)request;
    enum op_fate fate = ox->head.keep ? OP_FATE_KEEP : OP_FATE_DROP;
    enum err e = p->rows.n > 0 ? op_rows_expunge(ox, p->mailbox, &p->rows, fate) : OK;
    if (e == OK) {
        e = op_rows_uids(ox, &p->rows, &uids);
    }
    if (e == OK) {
        e = op_pack_uids(ox, uids, &answer.uids);
    }
    if (e != OK) {
        return e;
    }
    answer.modseq = p->mailbox->account->modseq;
    return pb_pack(&answer.base, result);
}

STORAGE_OP(expunge) = {
    .method = METHOD_EXPUNGE,
    .request = &pb__op_expunge__descriptor,
    .prepare = prepare,
    .commit = commit,
};
