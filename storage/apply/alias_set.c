/* OpAliasSet: an address of one of our domains ("@domain": its catch-all) stands for other addresses. Replaces what was
 * there. ERR_NOTFOUND (domain; or alias, to remove), ERR_EXISTS (an account has the name), ERR_INVAL, ERR_LIMIT. */
#include "storage/apply/dir_op.h"

struct plan {
    struct dir_name name;
    struct dir_targets targets;
};

static enum err check_targets(const Pb__OpAliasSet *req, struct dir_targets *out)
{
    if (req->n_targets > DIR_TARGETS_MAX) {
        return ERR_LIMIT;
    }
    if (req->n_targets == 0 && !req->remove) {
        return ERR_INVAL;
    }
    for (size_t i = 0; i < req->n_targets; i++) {
        struct slice t = slice_str(req->targets[i]);
        size_t at = slice_find(t, '@');
        if (t.n > DIR_ADDRESS_BYTES_MAX || at == 0 || at + 1 >= t.n || slice_find(t, ' ') < t.n) {
            return ERR_INVAL;
        }
        out->list[i] = t;
    }
    out->n = req->n_targets;
    return OK;
}

static enum err check_name(struct op_context *ox, const Pb__OpAliasSet *req, struct plan *p)
{
    bool exists = false;
    struct dir_account taken;
    struct dir_targets old;
    enum err e = dir_name_parse_alias(ox->arena, slice_str(req->address), &p->name);
    if (e == OK) {
        e = dir_domain_exists(&ox->store, p->name.domain, &exists);
    }
    if (e == OK && !exists) {
        e = ERR_NOTFOUND;
    }
    if (e != OK) {
        return e;
    }
    if (req->remove) {
        return dir_alias_get(&ox->store, &p->name, ox->arena, &old);
    }
    e = dir_account_get(&ox->store, &p->name, &taken);
    if (e == OK) {
        return ERR_EXISTS;
    }
    return e == ERR_NOTFOUND ? OK : e;
}

static enum err prepare(struct op_context *ox, const void *request, void **out_plan)
{
    const Pb__OpAliasSet *req = request;
    struct plan *p = arena_zalloc(ox->arena, sizeof(*p));
    if (p == NULL) {
        return ERR_NOMEM;
    }
    *out_plan = p;
    enum err e = check_targets(req, &p->targets);
    return e == OK ? check_name(ox, req, p) : e;
}

static enum err commit(struct op_context *ox, const void *request, void *plan, struct buf *result)
{
    const Pb__OpAliasSet *req = request;
    const struct plan *p = plan;
    (void)result;
    ox->changed = true;
    enum err e = dir_alias_del(&ox->store, &p->name);
    if (e != OK || req->remove) {
        return e;
    }
    return dir_alias_put(&ox->store, &p->name, &p->targets);
}

STORAGE_OP(alias_set) = {
    .method = METHOD_ALIAS_SET,
    .request = &pb__op_alias_set__descriptor,
    .prepare = prepare,
    .commit = commit,
};
