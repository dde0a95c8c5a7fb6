/* An address to accounts: exact name, alias (followed, loops cut), the same without +detail, the domain's catch-all. */
#include "storage/directory/directory.h"
#include "storage/method/method.h"

#define STEPS_MAX 200 /* names looked up for one address */

struct resolving {
    struct store store;
    struct arena *arena;
    Pb__ResolvedTarget *targets[DIR_TARGETS_MAX];
    size_t n;
    struct slice seen[STEPS_MAX]; /* canonical names already followed */
    size_t n_seen;
};

static enum err target_add(struct resolving *r, const struct dir_account *a, char *name, char *detail, char *remote)
{
    for (size_t i = 0; i < r->n; i++) {
        if (a != NULL && r->targets[i]->account == a->account.v) {
            return OK; /* one copy each, however many aliases lead there */
        }
    }
    if (r->n == DIR_TARGETS_MAX) {
        return OK;
    }
    Pb__ResolvedTarget *t = arena_alloc(r->arena, sizeof(*t));
    if (t == NULL || (name == NULL && remote == NULL)) {
        return ERR_NOMEM;
    }
    pb__resolved_target__init(t);
    if (a != NULL) {
        t->account = a->account.v;
        t->shard = a->shard.v;
        t->name = name;
    }
    if (detail != NULL) {
        t->detail = detail;
    }
    if (remote != NULL) {
        t->remote_address = remote;
    }
    r->targets[r->n++] = t;
    return OK;
}

static bool seen_before(struct resolving *r, struct slice name)
{
    for (size_t i = 0; i < r->n_seen; i++) {
        if (slice_eq(r->seen[i], name)) {
            return true;
        }
    }
    if (r->n_seen == STEPS_MAX) {
        return true;
    }
    r->seen[r->n_seen++] = name;
    return false;
}

static enum err follow(struct resolving *r, struct slice address, unsigned depth, bool *out_known);

static enum err alias_follow(struct resolving *r, const struct dir_name *n, unsigned depth, bool *out_known)
{
    struct dir_targets *t = arena_alloc(r->arena, sizeof(*t));
    enum err e = t == NULL ? ERR_NOMEM : dir_alias_get(&r->store, n, r->arena, t);
    if (e == ERR_NOTFOUND) {
        *out_known = false;
        return OK;
    }
    *out_known = e == OK;
    for (size_t i = 0; e == OK && i < t->n; i++) {
        bool known;
        e = follow(r, t->list[i], depth + 1, &known);
    }
    return e;
}

/* The name itself, as an account or an alias. */
static enum err name_follow(struct resolving *r, const struct dir_name *n, char *detail, unsigned depth,
                            bool *out_known)
{
    struct dir_account a;
    enum err e = dir_account_get(&r->store, n, &a);
    if (e == OK) {
        *out_known = true;
        return target_add(r, &a, dir_name_text(r->arena, n), detail, NULL);
    }
    return e == ERR_NOTFOUND ? alias_follow(r, n, depth, out_known) : e;
}

static enum err local_follow(struct resolving *r, const struct dir_name *n, unsigned depth, bool *out_known)
{
    size_t plus = slice_find(n->local, '+');
    enum err e = name_follow(r, n, NULL, depth, out_known);
    if (e == OK && !*out_known && plus > 0 && plus < n->local.n) {
        struct dir_name base = {.local = slice_sub(n->local, 0, plus), .domain = n->domain};
        char *detail = arena_slice_str(r->arena, slice_sub(n->local, plus + 1, n->local.n));
        e = detail == NULL ? ERR_NOMEM : name_follow(r, &base, detail, depth, out_known);
    }
    if (e == OK && !*out_known) {
        struct dir_name any = {.local = slice_make(n->local.p, 0), .domain = n->domain};
        e = alias_follow(r, &any, depth, out_known);
    }
    return e;
}

/* One address: of a domain that is ours, or a remote target of an alias. known: somebody is there. */
static enum err follow(struct resolving *r, struct slice address, unsigned depth, bool *out_known)
{
    struct dir_name n;
    bool ours = false;
    *out_known = false;
    enum err e = dir_name_parse(r->arena, address, &n);
    if (e == OK) {
        e = dir_domain_exists(&r->store, n.domain, &ours);
    }
    if (e == ERR_INVAL) {
        return depth == 0 ? ERR_INVAL : OK;
    }
    if (e != OK) {
        return e;
    }
    char *text = dir_name_text(r->arena, &n);
    if (text == NULL) {
        return ERR_NOMEM;
    }
    if (seen_before(r, slice_str(text))) {
        return OK;
    }
    if (!ours) {
        return depth == 0 ? OK : target_add(r, NULL, NULL, NULL, text);
    }
    return local_follow(r, &n, depth, out_known);
}

static enum err kind_of(struct resolving *r, struct slice address, bool known, Pb__ReadResolveResult__Kind *out)
{
    struct dir_name n;
    bool ours;
    enum err e = dir_name_parse(r->arena, address, &n);
    if (e == OK) {
        e = dir_domain_exists(&r->store, n.domain, &ours);
    }
    if (e == OK) {
        *out = !ours               ? PB__READ_RESOLVE_RESULT__KIND__NOT_LOCAL
               : known && r->n > 0 ? PB__READ_RESOLVE_RESULT__KIND__LOCAL
                                   : PB__READ_RESOLVE_RESULT__KIND__NO_SUCH_USER;
    }
    return e;
}

static enum err run(struct read_context *rc, const ProtobufCMessage *req_base, struct buf *meta, struct buf *attach)
{
    const Pb__ReadResolve *req = (const Pb__ReadResolve *)(const void *)req_base;
    struct resolving *r = arena_zalloc(rc->arena, sizeof(*r));
    bool known = false;
    (void)attach;
    if (r == NULL) {
        return ERR_NOMEM;
    }
    r->store = method_store(rc);
    r->arena = rc->arena;
    Pb__ReadResolveResult res = PB__READ_RESOLVE_RESULT__INIT;
    enum err e = follow(r, slice_str(req->address), 0, &known);
    if (e == OK) {
        e = kind_of(r, slice_str(req->address), known, &res.kind);
    }
    if (e == ERR_INVAL) { /* no address of anybody's: a login name without a domain, say */
        res.kind = PB__READ_RESOLVE_RESULT__KIND__NO_SUCH_USER;
        return pb_pack(&res.base, meta);
    }
    res.targets = r->targets;
    res.n_targets = r->n;
    return e != OK ? e : pb_pack(&res.base, meta);
}

STORAGE_METHOD(resolve) = {.method = METHOD_RESOLVE, .run = run};
