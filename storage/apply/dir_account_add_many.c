/* OpDirAccountAddMany: up to 500 names; those that exist are reported as they are, aliases among them are refused
 * (ERR_EXISTS). */
#include "storage/apply/dir_op.h"

#define NAMES_MAX 500

struct plan {
    struct dir_name *names;
    struct dir_config config;
};

static enum err check_one(struct op_context *ox, const char *text, struct dir_name *out)
{
    struct dir_account taken;
    enum err e = dir_op_name(ox, text, out);
    if (e != OK) {
        return e;
    }
    e = dir_account_get(&ox->store, out, &taken);
    return e == ERR_NOTFOUND ? dir_op_check_free(ox, out) : e;
}

static enum err prepare(struct op_context *ox, const void *request, void **out_plan)
{
    const Pb__OpDirAccountAddMany *req = request;
    if (req->n_names > NAMES_MAX) {
        return ERR_LIMIT;
    }
    struct plan *p = arena_zalloc(ox->arena, sizeof(*p));
    if (p == NULL) {
        return ERR_NOMEM;
    }
    *out_plan = p;
    p->names = arena_calloc(ox->arena, req->n_names + 1, sizeof(*p->names));
    if (p->names == NULL) {
        return ERR_NOMEM;
    }
    enum err e = dir_op_check_shards(0, req->shards);
    for (size_t i = 0; e == OK && i < req->n_names; i++) {
        e = check_one(ox, req->names[i], &p->names[i]);
    }
    return e == OK ? dir_config_get(&ox->store, &p->config) : e;
}

/* A name may stand in the list twice: the second one meets the first one's account. */
static enum err add_one(struct op_context *ox, struct plan *p, uint32_t shards, const struct dir_name *n,
                        struct dir_account *out)
{
    enum err e = dir_account_get(&ox->store, n, out);
    if (e != ERR_NOTFOUND) {
        return e;
    }
    *out = dir_config_assign(&p->config, 0, shards);
    ox->changed = true;
    return dir_account_put(&ox->store, n, out);
}

static enum err commit(struct op_context *ox, const void *request, void *plan, struct buf *result)
{
    const Pb__OpDirAccountAddMany *req = request;
    struct plan *p = plan;
    Pb__OpDirAccountAddManyResult answer = PB__OP_DIR_ACCOUNT_ADD_MANY_RESULT__INIT;
    Pb__OpDirAccountAddResult *rows = arena_calloc(ox->arena, req->n_names + 1, sizeof(*rows));
    answer.accounts = arena_calloc(ox->arena, req->n_names + 1, sizeof(*answer.accounts));
    if (rows == NULL || answer.accounts == NULL) {
        return ERR_NOMEM;
    }
    for (size_t i = 0; i < req->n_names; i++) {
        struct dir_account a;
        enum err e = add_one(ox, p, req->shards, &p->names[i], &a);
        if (e != OK) {
            return e;
        }
        pb__op_dir_account_add_result__init(&rows[i]);
        rows[i].account = a.account.v;
        rows[i].shard = a.shard.v;
        answer.accounts[i] = &rows[i];
    }
    answer.n_accounts = req->n_names;
    enum err e = ox->changed ? dir_config_put(&ox->store, &p->config) : OK;
    return e == OK ? pb_pack(&answer.base, result) : e;
}

STORAGE_OP(dir_account_add_many) = {
    .method = METHOD_DIR_ACCOUNT_ADD_MANY,
    .grows = true,
    .request = &pb__op_dir_account_add_many__descriptor,
    .prepare = prepare,
    .commit = commit,
};
