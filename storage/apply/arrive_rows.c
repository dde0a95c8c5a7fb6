/* OpArriveRows: a page of an arriving account's rows, in key order, behind the ones before. A page that is here is
 * fine. ERR_STALE (no such move, or another page comes first), ERR_INVAL (a row that no account has). */
#include "storage/apply/op.h"
#include "storage/mailbox/kept.h"
#include "storage/mailbox/moving.h"

struct plan {
    struct op_account *account;
    struct arrival_row arrival;
    bool there;
};

/* All rows can be one of an account's, and ascend. */
static enum err check_page(struct slice after, struct slice page, struct slice *out_last)
{
    struct slice last = after;
    while (page.n > 0) {
        struct moving_row row;
        enum err e = moving_row_take(&page, &row);
        if (e == OK && slice_cmp(row.key, last) <= 0) {
            e = ERR_INVAL;
        }
        if (e != OK) {
            return e;
        }
        last = row.key;
    }
    *out_last = last;
    return OK;
}

static enum err prepare(struct op_context *ox, const void *request, void **out_plan)
{
    const Pb__OpArriveRows *req = request;
    struct plan *p = arena_zalloc(ox->arena, sizeof(*p));
    struct slice last;
    if (p == NULL) {
        return ERR_NOMEM;
    }
    *out_plan = p;
    enum err e = op_arrival(ox, req->account, req->id, &p->account, &p->arrival);
    if (e == OK) {
        e = check_page(pb_slice(req->after), pb_slice(req->rows), &last);
    }
    if (e != OK) {
        return e;
    }
    struct slice cursor = slice_make(p->arrival.cursor, p->arrival.cursor_bytes);
    p->there = slice_cmp(last, cursor) <= 0;
    return p->there || (slice_eq(cursor, pb_slice(req->after)) && !p->arrival.ready) ? OK : ERR_STALE;
}

/* The shard finds kept messages by time, and counts them. */
static enum err take_kept(struct op_context *ox, struct account_id a, const struct moving_row *row)
{
    struct kept_row kept;
    if (get_be16(row->key.p + row->key.n - 2) != 0) {
        return OK;
    }
    memcpy(&kept, row->value.p, sizeof(kept));
    struct kept_totals one = {.messages = 1, .bytes = kept.size};
    enum err e = kept_time_put(&ox->store, a, get_be64(row->key.p + 1));
    return e == OK ? kept_totals_add(&ox->store, a, &one) : e;
}

static enum err take(struct op_context *ox, struct plan *p, const struct moving_row *row)
{
    struct key k;
    moving_row_key(&k, &ox->store, p->account->id, row->key);
    p->arrival.rows++;
    p->arrival.crc = moving_row_crc(p->arrival.crc, row);
    p->arrival.cursor_bytes = (uint32_t)row->key.n;
    memcpy(p->arrival.cursor, row->key.p, row->key.n);
    enum err e = store_put(&ox->store, &k, row->value);
    return e == OK && row->key.p[0] == ACCOUNT_KEPT ? take_kept(ox, p->account->id, row) : e;
}

static enum err commit(struct op_context *ox, const void *request, void *plan, struct buf *result)
{
    const Pb__OpArriveRows *req = request;
    struct plan *p = plan;
    struct slice page = pb_slice(req->rows);
    enum err e = OK;
    (void)result;
    if (p->there) {
        return OK;
    }
    ox->changed = true;
    while (e == OK && page.n > 0) {
        struct moving_row row;
        e = moving_row_take(&page, &row);
        if (e == OK) {
            e = take(ox, p, &row);
        }
    }
    return e == OK ? arrival_put(&ox->store, p->account->id, &p->arrival) : e;
}

STORAGE_OP(arrive_rows) = {
    .method = METHOD_ARRIVE_ROWS,
    .gate = OP_GATE_OPEN,
    .grows = true,
    .request = &pb__op_arrive_rows__descriptor,
    .prepare = prepare,
    .commit = commit,
};
