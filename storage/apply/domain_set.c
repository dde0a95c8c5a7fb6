/* OpDomainSet: a domain is ours, or no more. ERR_NONEMPTY: it still has accounts or aliases. Setting what is set is
 * fine. */
#include "storage/apply/op.h"
#include "storage/directory/directory.h"

struct plan {
    struct slice domain;
    bool exists;
};

static enum err prepare(struct op_context *ox, const void *request, void **out_plan)
{
    const Pb__OpDomainSet *req = request;
    bool used;
    struct plan *p = arena_zalloc(ox->arena, sizeof(*p));
    if (p == NULL) {
        return ERR_NOMEM;
    }
    enum err e = dir_domain_parse(ox->arena, slice_str(req->name), &p->domain);
    if (e == OK) {
        e = dir_domain_exists(&ox->store, p->domain, &p->exists);
    }
    if (e == OK && req->remove && !p->exists) {
        e = ERR_NOTFOUND;
    }
    if (e == OK && req->remove) {
        e = dir_domain_used(&ox->store, p->domain, &used);
        if (e == OK && used) {
            e = ERR_NONEMPTY;
        }
    }
    *out_plan = p;
    return e;
}

static enum err commit(struct op_context *ox, const void *request, void *plan, struct buf *result)
{
    const Pb__OpDomainSet *req = request;
    const struct plan *p = plan;
    (void)result;
    if (p->exists && !req->remove) {
        return OK;
    }
    ox->changed = true;
    return req->remove ? dir_domain_del(&ox->store, p->domain) : dir_domain_put(&ox->store, p->domain);
}

STORAGE_OP(domain_set) = {
    .method = METHOD_DOMAIN_SET,
    .request = &pb__op_domain_set__descriptor,
    .prepare = prepare,
    .commit = commit,
};
