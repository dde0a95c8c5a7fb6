/* OpMoveStart: an account begins to move to another shard; the source's leader drives it from here (moving.h). An
 * account that is moving there already is fine. ERR_NOTFOUND, ERR_INVAL (shard), ERR_EXISTS (it moves elsewhere),
 * ERR_LIMIT (too many move at once). */
#include "storage/apply/op.h"
#include "storage/mailbox/moving.h"

#define TO_MAX 1000 /* as DIR_SHARDS_MAX: what the directory can name */

struct plan {
    struct op_account *account;
    bool moving;
};

static enum err check_other(struct op_context *ox, const Pb__OpMoveStart *req, struct plan *p)
{
    struct move_row row;
    uint32_t n = 0;
    enum err e = move_get(&ox->store, p->account->id, &row);
    if (e == OK) {
        p->moving = true;
        return row.to == req->to && row.state != MOVE_ABORTING ? OK : ERR_EXISTS;
    }
    if (e == ERR_NOTFOUND) {
        e = move_count(&ox->store, &n);
    }
    return e == OK && n >= MOVES_MAX ? ERR_LIMIT : e;
}

static enum err prepare(struct op_context *ox, const void *request, void **out_plan)
{
    const Pb__OpMoveStart *req = request;
    struct plan *p = arena_zalloc(ox->arena, sizeof(*p));
    if (p == NULL) {
        return ERR_NOMEM;
    }
    *out_plan = p;
    if (req->to == 0 || req->to > TO_MAX || req->to == ox->head.shard.v || ox->head.shard.v == 0) {
        return ERR_INVAL;
    }
    enum err e = op_own_account(ox, req->account, &p->account);
    return e == OK ? check_other(ox, req, p) : e;
}

static enum err commit(struct op_context *ox, const void *request, void *plan, struct buf *result)
{
    const Pb__OpMoveStart *req = request;
    const struct plan *p = plan;
    (void)result;
    if (p->moving) {
        return OK;
    }
    struct move_row row = {.version = ROW_VERSION,
                           .state = MOVE_COPYING,
                           .to = req->to,
                           .started_ms = ox->head.entry_ms,
                           .state_ms = ox->head.entry_ms};
    struct u128 id = op_new_id(ox);
    memcpy(row.id, id.b, sizeof(row.id));
    ox->changed = true;
    return move_put(&ox->store, p->account->id, &row);
}

STORAGE_OP(move_start) = {
    .method = METHOD_MOVE_START,
    .request = &pb__op_move_start__descriptor,
    .prepare = prepare,
    .commit = commit,
};
