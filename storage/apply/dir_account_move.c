/* OpDirAccountMove: a name follows its account to another shard. A name that is another account's by now, or there
 * already, is fine. ERR_INVAL (name, shard). */
#include "storage/apply/dir_op.h"

struct plan {
    struct dir_name name;
    struct dir_account account;
    struct dir_config config;
    bool moves;
};

static enum err prepare(struct op_context *ox, const void *request, void **out_plan)
{
    const Pb__OpDirAccountMove *req = request;
    struct plan *p = arena_zalloc(ox->arena, sizeof(*p));
    if (p == NULL) {
        return ERR_NOMEM;
    }
    *out_plan = p;
    if (req->to == 0 || req->to > DIR_SHARDS_MAX || req->from == 0) {
        return ERR_INVAL;
    }
    enum err e = dir_name_parse(ox->arena, slice_str(req->name), &p->name);
    if (e == OK) {
        e = dir_account_get(&ox->store, &p->name, &p->account);
        p->moves = e == OK && p->account.account.v == req->account && p->account.shard.v == req->from;
        e = e == ERR_NOTFOUND ? OK : e;
    }
    return e == OK ? dir_config_get(&ox->store, &p->config) : e;
}

static enum err commit(struct op_context *ox, const void *request, void *plan, struct buf *result)
{
    const Pb__OpDirAccountMove *req = request;
    struct plan *p = plan;
    struct dir_config *c = &p->config;
    (void)result;
    if (!p->moves) {
        return OK;
    }
    if (req->from > c->shards || c->counts[req->from] == 0) {
        return ERR_CORRUPT;
    }
    c->counts[req->from]--;
    c->shards = req->to > c->shards ? req->to : c->shards;
    c->counts[req->to]++;
    p->account.shard.v = req->to;
    ox->changed = true;
    enum err e = dir_account_put(&ox->store, &p->name, &p->account);
    return e == OK ? dir_config_put(&ox->store, c) : e;
}

STORAGE_OP(dir_account_move) = {
    .method = METHOD_DIR_ACCOUNT_MOVE,
    .request = &pb__op_dir_account_move__descriptor,
    .prepare = prepare,
    .commit = commit,
};
