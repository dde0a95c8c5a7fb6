/* OpDirAccountAdd: reserves a name and gives account id and shard. ERR_EXISTS, ERR_NOTFOUND (domain), ERR_INVAL. */
#include "storage/apply/dir_op.h"

struct plan {
    struct dir_name name;
    struct dir_config config;
};

static enum err prepare(struct op_context *ox, const void *request, void **out_plan)
{
    const Pb__OpDirAccountAdd *req = request;
    struct plan *p = arena_zalloc(ox->arena, sizeof(*p));
    if (p == NULL) {
        return ERR_NOMEM;
    }
    enum err e = dir_op_check_shards(req->shard, req->shards);
    if (e == OK) {
        e = dir_op_name(ox, req->name, &p->name);
    }
    if (e == OK) {
        e = dir_op_check_free(ox, &p->name);
    }
    if (e == OK) {
        e = dir_config_get(&ox->store, &p->config);
    }
    *out_plan = p;
    return e;
}

static enum err commit(struct op_context *ox, const void *request, void *plan, struct buf *result)
{
    const Pb__OpDirAccountAdd *req = request;
    struct plan *p = plan;
    Pb__OpDirAccountAddResult answer = PB__OP_DIR_ACCOUNT_ADD_RESULT__INIT;
    struct dir_account a = dir_config_assign(&p->config, req->shard, req->shards);
    ox->changed = true;
    enum err e = dir_account_put(&ox->store, &p->name, &a);
    if (e == OK) {
        e = dir_config_put(&ox->store, &p->config);
    }
    answer.account = a.account.v;
    answer.shard = a.shard.v;
    return e == OK ? pb_pack(&answer.base, result) : e;
}

STORAGE_OP(dir_account_add) = {
    .method = METHOD_DIR_ACCOUNT_ADD,
    .grows = true,
    .request = &pb__op_dir_account_add__descriptor,
    .prepare = prepare,
    .commit = commit,
};
