/* OpDirAccountRemove: gives a name back. The account's own rows go by OpAccountRemove in its shard. ERR_NOTFOUND. */
#include "storage/apply/dir_op.h"

struct plan {
    struct dir_name name;
    struct dir_account account;
    struct dir_config config;
};

static enum err prepare(struct op_context *ox, const void *request, void **out_plan)
{
    const Pb__OpDirAccountRemove *req = request;
    struct plan *p = arena_zalloc(ox->arena, sizeof(*p));
    if (p == NULL) {
        return ERR_NOMEM;
    }
    enum err e = dir_op_name(ox, req->name, &p->name);
    if (e == OK) {
        e = dir_account_get(&ox->store, &p->name, &p->account);
    }
    if (e == OK) {
        e = dir_config_get(&ox->store, &p->config);
    }
    *out_plan = p;
    return e;
}

static enum err commit(struct op_context *ox, const void *request, void *plan, struct buf *result)
{
    struct plan *p = plan;
    (void)request;
    (void)result;
    if (p->account.shard.v > p->config.shards || p->config.counts[p->account.shard.v] == 0) {
        return ERR_CORRUPT;
    }
    p->config.counts[p->account.shard.v]--;
    ox->changed = true;
    enum err e = dir_account_del(&ox->store, &p->name);
    return e == OK ? dir_config_put(&ox->store, &p->config) : e;
}

STORAGE_OP(dir_account_remove) = {
    .method = METHOD_DIR_ACCOUNT_REMOVE,
    .request = &pb__op_dir_account_remove__descriptor,
    .prepare = prepare,
    .commit = commit,
};
