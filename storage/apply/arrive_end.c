/* OpArriveEnd: what becomes of an account that arrives. READY: all of it is here (counts and checksum agree, else
 * ERR_STALE), and its row, which comes with it. ACTIVATE: it lives here from now on. CANCEL: it does not, and is
 * purged. A move that is not known any more has ended before: fine, but for READY. */
#include "storage/apply/folder_op.h"
#include "storage/mailbox/moving.h"

struct plan {
    bool over;
    struct op_account *account;
    struct arrival_row arrival;
    struct account_row row; /* READY */
};

static enum err check_ready(const Pb__OpArriveEnd *req, struct plan *p)
{
    if (req->row.len != sizeof(p->row)) {
        return ERR_INVAL;
    }
    memcpy(&p->row, req->row.data, sizeof(p->row));
    if (p->row.version != ROW_VERSION || p->row.dedupe_from > p->row.dedupe_to) {
        return ERR_INVAL;
    }
    bool same = p->arrival.emails == req->emails && p->arrival.rows == req->rows && p->arrival.crc == req->crc;
    return same && p->arrival.last_email < p->row.next_email ? OK : ERR_STALE;
}

static enum err prepare(struct op_context *ox, const void *request, void **out_plan)
{
    const Pb__OpArriveEnd *req = request;
    struct plan *p = arena_zalloc(ox->arena, sizeof(*p));
    if (p == NULL) {
        return ERR_NOMEM;
    }
    *out_plan = p;
    enum err e = op_arrival(ox, req->account, req->id, &p->account, &p->arrival);
    if (e == ERR_STALE && req->how != PB__OP_ARRIVE_END__HOW__READY) {
        p->over = true;
        return OK;
    }
    if (e != OK) {
        return e;
    }
    switch ((int)req->how) {
    case PB__OP_ARRIVE_END__HOW__READY:
        return check_ready(req, p);
    case PB__OP_ARRIVE_END__HOW__ACTIVATE:
        return p->arrival.ready ? OK : ERR_STALE;
    case PB__OP_ARRIVE_END__HOW__CANCEL:
        return OK;
    default:
        return ERR_INVAL;
    }
}

/* Uploads and records of this shard's own (an earlier stay) stay its own. */
static void take_row(struct account_row *own, const struct account_row *from)
{
    struct account_row row = *from;
    row.state = ACCOUNT_ARRIVED;
    row.staged_bytes = own->staged_bytes;
    row.uploads = own->uploads;
    if (own->dedupe_to != 0) {
        bool none = row.dedupe_to == 0;
        row.dedupe_from = none || own->dedupe_from < row.dedupe_from ? own->dedupe_from : row.dedupe_from;
        row.dedupe_to = own->dedupe_to > row.dedupe_to ? own->dedupe_to : row.dedupe_to;
    }
    *own = row;
}

static enum err commit(struct op_context *ox, const void *request, void *plan, struct buf *result)
{
    const Pb__OpArriveEnd *req = request;
    struct plan *p = plan;
    (void)result;
    if (p->over) {
        return OK;
    }
    ox->changed = true;
    p->account->dirty = true;
    if (req->how == PB__OP_ARRIVE_END__HOW__READY) {
        if (!p->arrival.ready) {
            take_row(&p->account->row, &p->row);
        }
        p->arrival.ready = 1;
        return arrival_put(&ox->store, p->account->id, &p->arrival);
    }
    enum err e = arrival_del(&ox->store, p->account->id);
    if (req->how == PB__OP_ARRIVE_END__HOW__ACTIVATE) {
        p->account->row.state = ACCOUNT_LIVE;
        return e;
    }
    p->account->row.state = ACCOUNT_CANCELLED;
    p->account->row.inbox = p->arrival.from;
    return e == OK
               ? purge_queue_put(&ox->store, p->account->id, 0, &(struct purge_queued){.entry_ms = ox->head.entry_ms})
               : e;
}

STORAGE_OP(arrive_end) = {
    .method = METHOD_ARRIVE_END,
    .gate = OP_GATE_OPEN,
    .request = &pb__op_arrive_end__descriptor,
    .prepare = prepare,
    .commit = commit,
};
