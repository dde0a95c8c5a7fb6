#include "storage/directory/resolve.h"

#define WORK_MAX (4 * DIR_TARGETS_MAX)

/* Addresses still to be looked at, each once. */
struct resolver {
    const struct store *store;
    struct arena *arena;
    struct dir_resolved *out;
    struct slice work[WORK_MAX];
    size_t n;
};

static void enqueue(struct resolver *r, struct slice address)
{
    for (size_t i = 0; i < r->n; i++) {
        if (slice_ieq(r->work[i], address)) {
            return;
        }
    }
    if (r->n < WORK_MAX) {
        r->work[r->n++] = address;
    }
}

static void add_target(struct resolver *r, const struct dir_target *t)
{
    for (size_t i = 0; i < r->out->n; i++) {
        const struct dir_target *have = &r->out->targets[i];
        bool same_account = t->account.account.v != 0 && have->account.account.v == t->account.account.v;
        if (same_account ||
            (t->account.account.v == 0 && have->account.account.v == 0 && slice_ieq(have->name, t->name))) {
            return;
        }
    }
    if (r->out->n < DIR_TARGETS_MAX) {
        r->out->targets[r->out->n++] = *t;
    }
}

/* An account or an alias of exactly this name. ERR_NOTFOUND. */
static enum err try_name(struct resolver *r, const struct dir_name *n, struct slice detail)
{
    struct dir_target t = {.detail = detail};
    enum err e = n->local.n == 0 ? ERR_NOTFOUND : dir_account_get(r->store, n, &t.account);
    if (e == OK) {
        const char *text = dir_name_text(r->arena, n);
        t.name = slice_str(text);
        if (text == NULL) {
            return ERR_NOMEM;
        }
        add_target(r, &t);
        return OK;
    }
    if (e != ERR_NOTFOUND) {
        return e;
    }
    struct dir_targets *list = arena_alloc(r->arena, sizeof(*list));
    if (list == NULL) {
        return ERR_NOMEM;
    }
    e = dir_alias_get(r->store, n, r->arena, list);
    for (size_t i = 0; e == OK && i < list->n; i++) {
        enqueue(r, list->list[i]);
    }
    return e;
}

/* The part of an address after the first '+' of its local part, as written. */
static struct slice detail_of(struct slice address)
{
    size_t plus = slice_find(address, '+');
    size_t at = address.n;
    while (at > 0 && address.p[at - 1] != '@') {
        at--;
    }
    return plus + 1 < at ? slice_sub(address, plus + 1, at - 1) : slice_make(NULL, 0);
}

static enum err look_up(struct resolver *r, struct slice address, const struct dir_name *name)
{
    struct dir_name n = *name;
    enum err e = try_name(r, &n, slice_make(NULL, 0));
    size_t plus = slice_find(n.local, '+');
    if (e == ERR_NOTFOUND && plus > 0 && plus < n.local.n) {
        n.local = slice_sub(n.local, 0, plus);
        e = try_name(r, &n, detail_of(address));
    }
    if (e == ERR_NOTFOUND) {
        n.local = slice_make(NULL, 0);
        e = try_name(r, &n, slice_make(NULL, 0));
    }
    return e;
}

/* out_local: the domain is ours. ERR_NOTFOUND when nobody has the name there. */
static enum err resolve_one(struct resolver *r, struct slice address, bool *out_local)
{
    struct dir_name name;
    bool ours = false;
    enum err e = dir_name_parse(r->arena, address, &name);
    if (e == OK) {
        e = dir_domain_exists(r->store, name.domain, &ours);
    }
    *out_local = ours;
    if (e == OK && ours) {
        return look_up(r, address, &name);
    }
    return e == ERR_INVAL ? OK : e;
}

enum err dir_resolve(const struct store *s, struct arena *a, struct slice address, struct dir_resolved *out)
{
    bool local = false;
    struct resolver *r = arena_zalloc(a, sizeof(*r));
    if (r == NULL) {
        return ERR_NOMEM;
    }
    out->n = 0;
    out->kind = DIR_NOT_LOCAL;
    r->store = s;
    r->arena = a;
    r->out = out;
    enqueue(r, address);
    for (size_t i = 0; i < r->n; i++) {
        bool ours = false;
        enum err e = resolve_one(r, r->work[i], &ours);
        if (e != OK && e != ERR_NOTFOUND) {
            return e;
        }
        if (i == 0) {
            local = ours;
        } else if (!ours) {
            struct dir_target t = {.name = r->work[i]};
            add_target(r, &t);
        }
    }
    if (local) {
        out->kind = out->n > 0 ? DIR_LOCAL : DIR_NO_SUCH_USER;
    }
    return OK;
}
