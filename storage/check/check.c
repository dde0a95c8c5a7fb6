#include "storage/check/check.h"

#include "proto/base/hash.h"
#include "storage/check/check_run.h"

/* --- counted names --- */

void counts_init(struct counts *c)
{
    hmap_init(&c->map);
    arena_init(&c->arena, SIZE_MAX / 2);
}

void counts_fini(struct counts *c)
{
    hmap_fini(&c->map);
    arena_fini(&c->arena);
}

static uint64_t name_hash(uint64_t a, uint64_t b)
{
    uint64_t name[2] = {a, b};
    return hash_stable(name, sizeof(name));
}

struct counted *counts_find(const struct counts *c, uint64_t a, uint64_t b)
{
    for (struct hmap_node *n = hmap_first(&c->map, name_hash(a, b)); n != NULL; n = hmap_next(n)) {
        struct counted *x = HMAP_ENTRY(n, struct counted, node);
        if (x->a == a && x->b == b) {
            return x;
        }
    }
    return NULL;
}

struct counted *counts_get(struct counts *c, uint64_t a, uint64_t b)
{
    struct counted *x = counts_find(c, a, b);
    if (x != NULL) {
        return x;
    }
    x = arena_zalloc(&c->arena, sizeof(*x));
    if (x == NULL) {
        return NULL;
    }
    x->a = a;
    x->b = b;
    return hmap_insert(&c->map, &x->node, name_hash(a, b)) == OK ? x : NULL;
}

/* --- findings and walks --- */

void check_report(struct check_run *r, const struct key *k, const char *what)
{
    struct check_finding f = {.key = key_slice(k), .what = what};
    r->totals.findings++;
    if (r->cfg->finding != NULL) {
        r->cfg->finding(r->cfg->ctx, &f);
    }
}

void check_report_row(struct check_run *r, const struct key *prefix, struct slice rest, const char *what)
{
    struct key k = *prefix;
    size_t room = sizeof(k.b) - k.n;
    key_bytes(&k, rest.p, rest.n < room ? rest.n : room);
    check_report(r, &k, what);
}

enum err check_walk(struct check_run *r, const struct key *prefix, void *ctx,
                    enum err (*row)(void *ctx, const struct key *prefix, struct slice rest, struct slice value))
{
    struct scan sc;
    struct slice rest;
    struct slice value;
    enum err e = scan_open(&sc, &r->store, prefix);
    if (e != OK) {
        return e;
    }
    for (e = scan_next(&sc, &rest, &value); e == OK; e = scan_next(&sc, &rest, &value)) {
        e = row(ctx, prefix, rest, value);
        if (e == ERR_CORRUPT) {
            check_report_row(r, prefix, rest, "a row that leads to one that cannot be read");
            e = OK;
        }
        if (e != OK) {
            break;
        }
    }
    scan_close(&sc);
    return e == ERR_NOTFOUND ? OK : e;
}

/* --- the walk over a shard --- */

/* Every row belongs to a table that exists. */
static enum err known_table(void *ctx, const struct key *prefix, struct slice rest, struct slice value)
{
    struct check_run *r = ctx;
    (void)value;
    if (rest.n == 0 || strchr("abcdhikopsK", rest.p[0]) == NULL || rest.p[0] == '\0' ||
        (rest.p[0] == SHARD_KEPT_TOTAL && rest.n != 1)) {
        check_report_row(r, prefix, rest, "a row of no known table");
        return OK;
    }
    if (rest.p[0] == SHARD_ACCOUNTS &&
        (rest.n < 10 || rest.p[9] == '\0' || strchr("ACDMNSTZekmortvxz", rest.p[9]) == NULL)) {
        check_report_row(r, prefix, rest, "an account's row of no known table");
    }
    return OK;
}

static enum err check_tables(struct check_run *r)
{
    struct key prefix = {.n = 0};
    key_bytes(&prefix, r->store.prefix, STORE_PREFIX_BYTES);
    return check_walk(r, &prefix, r, known_table);
}

/* Hops from account to account. */
static enum err next_account(struct check_run *r, uint64_t from, uint64_t *out)
{
    struct key prefix;
    struct key at;
    struct scan sc;
    struct slice rest;
    struct slice value;
    key_shard(&prefix, &r->store, SHARD_ACCOUNTS);
    at = prefix;
    key_u64(&at, from);
    enum err e = scan_open(&sc, &r->store, &prefix);
    if (e != OK) {
        return e;
    }
    e = scan_seek(&sc, &at, &rest, &value);
    if (e == OK) {
        *out = rest.n < 8 ? UINT64_MAX : get_be64(rest.p);
    }
    scan_close(&sc);
    return e;
}

static enum err check_accounts(struct check_run *r)
{
    uint64_t at = 0;
    for (;;) {
        struct account_id id = {0};
        enum err e = next_account(r, at, &id.v);
        if (e == ERR_NOTFOUND) {
            return OK;
        }
        if (e == OK && id.v != UINT64_MAX) {
            e = check_account(r, id);
        }
        if (e != OK || id.v == UINT64_MAX) {
            return e;
        }
        at = id.v + 1;
    }
}

enum err storage_check(struct kv_txn *t, const uint8_t prefix[5], const struct check_config *cfg,
                       struct check_totals *out)
{
    struct check_run r = {.store = {.t = t}, .cfg = cfg};
    memcpy(r.store.prefix, prefix, STORE_PREFIX_BYTES);
    counts_init(&r.bodies);
    counts_init(&r.staged);
    counts_init(&r.uploads);
    enum err e = check_tables(&r);
    if (e == OK) {
        e = check_shard_rows(&r);
    }
    if (e == OK) {
        e = check_accounts(&r);
    }
    if (e == OK) {
        e = check_kept_shard(&r);
    }
    if (e == OK) {
        e = check_bodies(&r);
    }
    counts_fini(&r.bodies);
    counts_fini(&r.staged);
    counts_fini(&r.uploads);
    if (e == OK) {
        *out = r.totals;
    }
    return e;
}
