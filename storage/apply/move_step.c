/* OpMoveStep: a move goes on at the source: COPYING -> FENCED -> SEALED -> over, or from one of the first two to
 * ABORTING -> over. Only a step that the state allows is taken, so that whoever proposes it late changes nothing; the
 * state it is in already is fine. ERR_NOTFOUND (no such move), ERR_STALE, ERR_INVAL; ERR_LOCKED: the fence has to wait.
 */
#include "storage/apply/folder_op.h"
#include "storage/mailbox/moving.h"

struct plan {
    bool there;                 /* as it is to be, already */
    struct op_account *account; /* NULL: gone; only an abort gets here then */
    struct move_row row;
};

static bool allowed(uint32_t from, uint32_t to)
{
    switch (to) {
    case MOVE_FENCED:
        return from == MOVE_COPYING;
    case MOVE_SEALED:
        return from == MOVE_FENCED;
    case MOVE_ABORTING:
        return from == MOVE_COPYING || from == MOVE_FENCED;
    default:
        return to == MOVE_OVER && (from == MOVE_SEALED || from == MOVE_ABORTING);
    }
}

/* Deleted mailboxes are purged first: what travels is what lives. */
static enum err check_purged(struct op_context *ox, struct account_id a)
{
    struct key k;
    bool empty = true;
    key_shard(&k, &ox->store, SHARD_PURGE);
    key_u64(&k, a.v);
    enum err e = store_range_empty(&ox->store, &k, &empty);
    return e == OK && !empty ? ERR_LOCKED : e;
}

static enum err check_account(struct op_context *ox, const Pb__OpMoveStep *req, const struct plan *p)
{
    uint32_t state = p->account == NULL ? ACCOUNT_REMOVED : p->account->row.state;
    if (req->state == MOVE_SEALED) {
        return state == ACCOUNT_FENCED ? OK : ERR_STALE;
    }
    if (req->state != MOVE_FENCED) {
        return OK;
    }
    if (state != ACCOUNT_LIVE) {
        return ERR_STALE;
    }
    return p->account->row.uploads > 0 && !req->force ? ERR_LOCKED : check_purged(ox, p->account->id);
}

static enum err prepare(struct op_context *ox, const void *request, void **out_plan)
{
    const Pb__OpMoveStep *req = request;
    struct plan *p = arena_zalloc(ox->arena, sizeof(*p));
    if (p == NULL) {
        return ERR_NOMEM;
    }
    *out_plan = p;
    ox->unrecorded = true; /* what the state allows is taken once */
    if (req->account == 0 || req->account != ox->head.account.v || req->id.len != MOVE_ID_BYTES) {
        return ERR_INVAL;
    }
    enum err e = move_get(&ox->store, ox->head.account, &p->row);
    if (e != OK) {
        p->there = e == ERR_NOTFOUND && req->state == MOVE_OVER;
        return p->there ? OK : e;
    }
    bool same = memcmp(p->row.id, req->id.data, MOVE_ID_BYTES) == 0;
    p->there = same && p->row.state == req->state;
    if (p->there || !same || !allowed(p->row.state, req->state)) {
        return p->there ? OK : ERR_STALE;
    }
    e = op_account_any(ox, req->account, &p->account);
    if (e != OK && e != ERR_NOTFOUND) {
        return e;
    }
    return check_account(ox, req, p);
}

/* The account's part of the step. Its rows are purged when the move is over: by then the destination has gone live. */
static enum err change_account(struct op_context *ox, const struct plan *p, uint32_t to)
{
    struct op_account *a = p->account;
    if (a == NULL) {
        return OK;
    }
    if (to == MOVE_FENCED) {
        a->row.state = ACCOUNT_FENCED;
    } else if (to == MOVE_SEALED) {
        a->row.state = ACCOUNT_MOVED;
        a->row.inbox = p->row.to;
    } else if (to == MOVE_ABORTING && a->row.state == ACCOUNT_FENCED) {
        a->row.state = ACCOUNT_LIVE;
    } else {
        return to == MOVE_OVER && p->row.state == MOVE_SEALED && a->row.state == ACCOUNT_MOVED
                   ? purge_queue_put(&ox->store, a->id, 0, &(struct purge_queued){.entry_ms = p->row.state_ms})
                   : OK;
    }
    a->dirty = true;
    return OK;
}

static enum err commit(struct op_context *ox, const void *request, void *plan, struct buf *result)
{
    const Pb__OpMoveStep *req = request;
    struct plan *p = plan;
    (void)result;
    if (p->there) {
        return OK;
    }
    enum err e = change_account(ox, p, req->state);
    ox->changed = true;
    if (e != OK) {
        return e;
    }
    if (req->state == MOVE_OVER) {
        return move_del(&ox->store, ox->head.account);
    }
    p->row.state = req->state;
    p->row.state_ms = ox->head.entry_ms;
    return move_put(&ox->store, ox->head.account, &p->row);
}

STORAGE_OP(move_step) = {
    .method = METHOD_MOVE_STEP,
    .gate = OP_GATE_OPEN,
    .request = &pb__op_move_step__descriptor,
    .prepare = prepare,
    .commit = commit,
};
