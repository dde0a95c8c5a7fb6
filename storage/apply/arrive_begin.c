/* OpArriveBegin: an account is to arrive from another shard. Again with the same id it tells how far the copy is, so
 * that a new leader of the source goes on there. A copy of another id that is not complete is given up. ERR_EXISTS: an
 * account that lives here; ERR_LOCKED: rows of an earlier stay or copy are purged first. */
#include "storage/apply/folder_op.h"
#include "storage/mailbox/moving.h"

enum what { GOES_ON, BEGINS, RETURNS, GIVES_UP };

struct plan {
    enum what what;
    struct op_account *account; /* NULL: there is none */
    struct arrival_row row;
};

static enum err check_there(struct op_context *ox, const Pb__OpArriveBegin *req, struct plan *p)
{
    bool gone = false;
    enum err e;
    switch (p->account->row.state) {
    case ACCOUNT_ARRIVING:
    case ACCOUNT_ARRIVED:
        e = arrival_get(&ox->store, p->account->id, &p->row);
        if (e != OK) {
            return e == ERR_NOTFOUND ? ERR_CORRUPT : e;
        }
        if (memcmp(p->row.id, req->id.data, MOVE_ID_BYTES) == 0) {
            p->what = GOES_ON;
            return OK;
        }
        p->what = GIVES_UP;
        return p->row.ready ? ERR_LOCKED : OK; /* its source may have sealed it */
    case ACCOUNT_MOVED:
    case ACCOUNT_CANCELLED:
        e = moving_account_bare(&ox->store, p->account->id, &gone);
        p->what = RETURNS;
        return e == OK && !gone ? ERR_LOCKED : e;
    case ACCOUNT_LIVE:
    case ACCOUNT_FENCED:
        return ERR_EXISTS;
    default:
        return ERR_LOCKED;
    }
}

static enum err prepare(struct op_context *ox, const void *request, void **out_plan)
{
    const Pb__OpArriveBegin *req = request;
    struct plan *p = arena_zalloc(ox->arena, sizeof(*p));
    if (p == NULL) {
        return ERR_NOMEM;
    }
    *out_plan = p;
    ox->unrecorded = true; /* done twice it is the same */
    if (req->account == 0 || req->account != ox->head.account.v || req->id.len != MOVE_ID_BYTES ||
        req->from == ox->head.shard.v || ox->head.shard.v == 0) {
        return ERR_INVAL;
    }
    p->what = BEGINS;
    enum err e = op_account_any(ox, req->account, &p->account);
    if (e == ERR_NOTFOUND) {
        p->account = NULL;
        return OK;
    }
    return e == OK ? check_there(ox, req, p) : e;
}

static enum err begin(struct op_context *ox, const Pb__OpArriveBegin *req, struct plan *p)
{
    struct account_row row;
    enum err e = OK;
    p->row = (struct arrival_row){.version = ROW_VERSION, .from = req->from, .started_ms = ox->head.entry_ms};
    memcpy(p->row.id, req->id.data, MOVE_ID_BYTES);
    if (p->what == RETURNS) {
        struct purge_queued q;
        p->account->row.state = ACCOUNT_ARRIVING;
        p->account->row.inbox = req->from;
        p->account->dirty = true;
        e = purge_queue_get(&ox->store, p->account->id, 0, &q);
        e = e == OK ? purge_queue_del(&ox->store, p->account->id, 0) : e == ERR_NOTFOUND ? OK : e;
    } else {
        memset(&row, 0, sizeof(row));
        row.version = ROW_VERSION;
        row.state = ACCOUNT_ARRIVING;
        row.created_ms = ox->head.entry_ms;
        row.inbox = req->from;
        e = op_account_add(ox, req->account, &row, &p->account);
        if (e == OK) {
            p->account->dirty = true;
        }
    }
    return e == OK ? arrival_put(&ox->store, p->account->id, &p->row) : e;
}

static enum err give_up(struct op_context *ox, struct plan *p)
{
    p->account->row.state = ACCOUNT_CANCELLED; /* `inbox` is its source already */
    p->account->dirty = true;
    enum err e = arrival_del(&ox->store, p->account->id);
    return e == OK
               ? purge_queue_put(&ox->store, p->account->id, 0, &(struct purge_queued){.entry_ms = ox->head.entry_ms})
               : e;
}

static enum err commit(struct op_context *ox, const void *request, void *plan, struct buf *result)
{
    const Pb__OpArriveBegin *req = request;
    struct plan *p = plan;
    Pb__OpArriveBeginResult answer = PB__OP_ARRIVE_BEGIN_RESULT__INIT;
    enum err e = OK;
    if (p->what == GIVES_UP) {
        ox->changed = true;
        e = give_up(ox, p);
        answer.last_email = UINT64_MAX; /* nothing begins until it is gone */
    } else if (p->what != GOES_ON) {
        ox->changed = true;
        e = begin(ox, req, p);
    }
    if (e != OK) {
        return e;
    }
    if (p->what != GIVES_UP) {
        answer.last_email = p->row.last_email;
        answer.ready = p->row.ready != 0;
        answer.cursor = pb_bytes(slice_make(p->row.cursor, p->row.cursor_bytes));
    }
    return pb_pack(&answer.base, result);
}

STORAGE_OP(arrive_begin) = {
    .method = METHOD_ARRIVE_BEGIN,
    .gate = OP_GATE_OPEN,
    .grows = true,
    .request = &pb__op_arrive_begin__descriptor,
    .prepare = prepare,
    .commit = commit,
};
