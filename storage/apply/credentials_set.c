/* OpCredentialsSet: new verifiers, and a new version, which ends what frontends have cached of a login. ERR_NOTFOUND,
 * ERR_STALE (if_version), ERR_LIMIT. */
#include "storage/apply/folder_op.h"
#include "storage/mailbox/secret.h"

struct plan {
    struct op_account *account;
    struct secret secret;
};

static enum err load_name(struct op_context *ox, struct plan *p)
{
    enum err e = secret_get(&ox->store, p->account->id, &p->secret);
    if (e != OK) {
        return e == ERR_NOTFOUND ? ERR_CORRUPT : e;
    }
    void *copy = arena_dup(ox->arena, p->secret.name.p, p->secret.name.n);
    p->secret.name = slice_make(copy, p->secret.name.n);
    return copy == NULL ? ERR_NOMEM : OK;
}

static enum err prepare(struct op_context *ox, const void *request, void **out_plan)
{
    const Pb__OpCredentialsSet *req = request;
    struct plan *p = arena_zalloc(ox->arena, sizeof(*p));
    if (p == NULL) {
        return ERR_NOMEM;
    }
    *out_plan = p;
    enum err e = op_own_account(ox, req->account, &p->account);
    if (e == OK && req->if_version != 0 && req->if_version != p->account->row.secret_version) {
        e = ERR_STALE;
    }
    if (e == OK) {
        e = account_op_check_credentials(req->credentials);
    }
    return e == OK ? load_name(ox, p) : e;
}

static enum err commit(struct op_context *ox, const void *request, void *plan, struct buf *result)
{
    const Pb__OpCredentialsSet *req = request;
    struct plan *p = plan;
    (void)result;
    enum err e = account_op_pack(ox, req->credentials, &p->secret.credentials);
    if (e != OK) {
        return e;
    }
    p->secret.version = ++p->account->row.secret_version;
    p->account->dirty = true;
    ox->changed = true;
    return secret_put(&ox->store, p->account->id, &p->secret);
}

STORAGE_OP(credentials_set) = {
    .method = METHOD_CREDENTIALS_SET,
    .request = &pb__op_credentials_set__descriptor,
    .prepare = prepare,
    .commit = commit,
};
