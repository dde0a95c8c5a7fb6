/* OpArriveEmail: one email of an account that arrives, with its body, under the number that it has at the source. One
 * that is here is fine. The thread index travels as rows. ERR_STALE (no such move, or not the next one), ERR_INVAL,
 * ERR_LIMIT, ERR_NOTFOUND (reservation). */
#include "storage/apply/op.h"
#include "storage/mailbox/email.h"
#include "storage/mailbox/moving.h"

struct plan {
    struct op_account *account;
    struct arrival_row arrival;
    struct email_row row;
    struct op_mail mail;
    bool there;
};

static enum err prepare(struct op_context *ox, const void *request, void **out_plan)
{
    const Pb__OpArriveEmail *req = request;
    struct plan *p = arena_zalloc(ox->arena, sizeof(*p));
    if (p == NULL) {
        return ERR_NOMEM;
    }
    *out_plan = p;
    enum err e = op_arrival(ox, req->account, req->id, &p->account, &p->arrival);
    if (e != OK) {
        return e;
    }
    p->there = req->email <= p->arrival.last_email;
    if (p->there) {
        return OK;
    }
    if (req->after != p->arrival.last_email || p->arrival.ready) {
        return ERR_STALE;
    }
    if (req->row.len != sizeof(p->row) || req->email == 0 || req->email == UINT64_MAX) {
        return ERR_INVAL;
    }
    memcpy(&p->row, req->row.data, sizeof(p->row));
    return op_mail_check(ox, req->body, req->record, &req->account, 1, &p->mail);
}

static enum err commit(struct op_context *ox, const void *request, void *plan, struct buf *result)
{
    const Pb__OpArriveEmail *req = request;
    struct plan *p = plan;
    (void)result;
    if (p->there) {
        return OK;
    }
    p->row.body_index = p->mail.body.ref.index;
    p->row.body_ordinal = p->mail.body.ref.ordinal;
    p->row.body_bytes = p->mail.body.ref.bytes;
    enum err e = op_body_use(ox, &p->mail.body);
    if (e == OK) {
        e = email_put(&ox->store, p->account->id, req->email, &p->row, p->mail.record);
    }
    p->arrival.last_email = req->email;
    p->arrival.emails++;
    return e == OK ? arrival_put(&ox->store, p->account->id, &p->arrival) : e;
}

STORAGE_OP(arrive_email) = {
    .method = METHOD_ARRIVE_EMAIL,
    .gate = OP_GATE_OPEN,
    .grows = true,
    .takes_body = true,
    .request = &pb__op_arrive_email__descriptor,
    .prepare = prepare,
    .commit = commit,
};
