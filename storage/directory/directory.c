#include "storage/directory/directory.h"

#define DIR_VERSION 1
#define CONFIG_HEAD_BYTES 16
#define ACCOUNT_VALUE_BYTES 12

void dir_key(struct key *k, const struct store *s, enum directory_table table)
{
    key_shard(k, s, SHARD_DIRECTORY);
    key_u8(k, (uint8_t)table);
}

static void domain_prefix(struct key *k, const struct store *s, enum directory_table table, struct slice domain)
{
    dir_key(k, s, table);
    key_bytes(k, domain.p, domain.n);
    key_u8(k, 0);
}

void dir_key_name(struct key *k, const struct store *s, enum directory_table table, const struct dir_name *n)
{
    domain_prefix(k, s, table, n->domain);
    key_bytes(k, n->local.p, n->local.n);
    if (table == DIRECTORY_ALIASES) {
        key_u8(k, 0);
    }
}

enum err dir_key_split(enum directory_table table, struct slice rest, struct dir_name *out, uint8_t *out_seq)
{
    size_t tail = table == DIRECTORY_ALIASES ? 2 : 0;
    size_t zero = slice_find(rest, 0);
    if (zero == 0 || zero == rest.n || rest.n - zero - 1 < tail) {
        return ERR_CORRUPT;
    }
    out->domain = slice_sub(rest, 0, zero);
    out->local = slice_sub(rest, zero + 1, rest.n - tail);
    *out_seq = tail == 0 ? 0 : rest.p[rest.n - 1];
    return OK;
}

/* --- domains --- */

enum err dir_domain_exists(const struct store *s, struct slice domain, bool *out)
{
    struct key k;
    struct slice v;
    dir_key(&k, s, DIRECTORY_DOMAINS);
    key_bytes(&k, domain.p, domain.n);
    enum err e = store_get(s, &k, &v);
    if (e != OK && e != ERR_NOTFOUND) {
        return e;
    }
    *out = e == OK;
    return OK;
}

enum err dir_domain_used(const struct store *s, struct slice domain, bool *out)
{
    struct key k;
    bool no_names;
    bool no_aliases;
    domain_prefix(&k, s, DIRECTORY_NAMES, domain);
    enum err e = store_range_empty(s, &k, &no_names);
    if (e != OK) {
        return e;
    }
    domain_prefix(&k, s, DIRECTORY_ALIASES, domain);
    e = store_range_empty(s, &k, &no_aliases);
    if (e == OK) {
        *out = !no_names || !no_aliases;
    }
    return e;
}

enum err dir_domain_put(const struct store *s, struct slice domain)
{
    struct key k;
    uint8_t v[4];
    put_le32(v, DIR_VERSION);
    dir_key(&k, s, DIRECTORY_DOMAINS);
    key_bytes(&k, domain.p, domain.n);
    return store_put_row(s, &k, v, sizeof(v));
}

enum err dir_domain_del(const struct store *s, struct slice domain)
{
    struct key k;
    dir_key(&k, s, DIRECTORY_DOMAINS);
    key_bytes(&k, domain.p, domain.n);
    return store_del_must(s, &k);
}

/* --- accounts --- */

enum err dir_account_decode(struct slice value, struct dir_account *out)
{
    if (value.n != ACCOUNT_VALUE_BYTES) {
        return ERR_CORRUPT;
    }
    out->account.v = get_le64(value.p);
    out->shard.v = get_le32(value.p + 8);
    return OK;
}

enum err dir_account_get(const struct store *s, const struct dir_name *n, struct dir_account *out)
{
    struct key k;
    struct slice v;
    dir_key_name(&k, s, DIRECTORY_NAMES, n);
    enum err e = store_get(s, &k, &v);
    return e != OK ? e : dir_account_decode(v, out);
}

enum err dir_account_put(const struct store *s, const struct dir_name *n, const struct dir_account *a)
{
    struct key k;
    uint8_t v[ACCOUNT_VALUE_BYTES];
    put_le64(v, a->account.v);
    put_le32(v + 8, a->shard.v);
    dir_key_name(&k, s, DIRECTORY_NAMES, n);
    return store_put_row(s, &k, v, sizeof(v));
}

enum err dir_account_del(const struct store *s, const struct dir_name *n)
{
    struct key k;
    dir_key_name(&k, s, DIRECTORY_NAMES, n);
    return store_del_must(s, &k);
}

/* --- aliases --- */

static enum err load_targets(struct scan *sc, struct arena *a, struct dir_targets *out)
{
    struct slice rest;
    struct slice value;
    enum err e;
    out->n = 0;
    for (e = scan_next(sc, &rest, &value); e == OK; e = scan_next(sc, &rest, &value)) {
        if (out->n == DIR_TARGETS_MAX) {
            return ERR_CORRUPT;
        }
        uint8_t *copy = arena_dup(a, value.p, value.n);
        if (copy == NULL) {
            return ERR_NOMEM;
        }
        out->list[out->n++] = slice_make(copy, value.n);
    }
    if (e != ERR_NOTFOUND) {
        return e;
    }
    return out->n == 0 ? ERR_NOTFOUND : OK;
}

enum err dir_alias_get(const struct store *s, const struct dir_name *n, struct arena *a, struct dir_targets *out)
{
    struct key k;
    struct scan sc;
    dir_key_name(&k, s, DIRECTORY_ALIASES, n);
    enum err e = scan_open(&sc, s, &k);
    if (e != OK) {
        return e;
    }
    e = load_targets(&sc, a, out);
    scan_close(&sc);
    return e;
}

enum err dir_alias_put(const struct store *s, const struct dir_name *n, const struct dir_targets *t)
{
    ASSERT(t->n <= DIR_TARGETS_MAX);
    for (size_t i = 0; i < t->n; i++) {
        struct key k;
        dir_key_name(&k, s, DIRECTORY_ALIASES, n);
        key_u8(&k, (uint8_t)i);
        enum err e = store_put(s, &k, t->list[i]);
        if (e != OK) {
            return e;
        }
    }
    return OK;
}

enum err dir_alias_del(const struct store *s, const struct dir_name *n)
{
    struct key k;
    bool done;
    uint32_t budget = DIR_TARGETS_MAX;
    dir_key_name(&k, s, DIRECTORY_ALIASES, n);
    return store_del_range(s, &k, &budget, &done);
}

/* --- counters --- */

enum err dir_config_get(const struct store *s, struct dir_config *out)
{
    struct key k;
    struct slice v;
    memset(out, 0, sizeof(*out));
    out->next_account = 1;
    dir_key(&k, s, DIRECTORY_CONFIG);
    enum err e = store_get(s, &k, &v);
    if (e != OK) {
        return e == ERR_NOTFOUND ? OK : e;
    }
    if (v.n < CONFIG_HEAD_BYTES || get_le32(v.p) != DIR_VERSION) {
        return ERR_CORRUPT;
    }
    uint32_t shards = get_le32(v.p + 4);
    if (shards > DIR_SHARDS_MAX || v.n != CONFIG_HEAD_BYTES + (size_t)shards * 4) {
        return ERR_CORRUPT;
    }
    out->shards = shards;
    out->next_account = get_le64(v.p + 8);
    for (uint32_t i = 1; i <= shards; i++) {
        out->counts[i] = get_le32(v.p + CONFIG_HEAD_BYTES + (size_t)(i - 1) * 4);
    }
    return OK;
}

enum err dir_config_put(const struct store *s, const struct dir_config *c)
{
    struct key k;
    uint8_t *p;
    dir_key(&k, s, DIRECTORY_CONFIG);
    enum err e = kv_reserve(s->t, key_slice(&k), CONFIG_HEAD_BYTES + (size_t)c->shards * 4, &p);
    if (e != OK) {
        return e;
    }
    put_le32(p, DIR_VERSION);
    put_le32(p + 4, c->shards);
    put_le64(p + 8, c->next_account);
    for (uint32_t i = 1; i <= c->shards; i++) {
        put_le32(p + CONFIG_HEAD_BYTES + (size_t)(i - 1) * 4, c->counts[i]);
    }
    return OK;
}

struct dir_account dir_config_assign(struct dir_config *c, uint32_t shard, uint32_t shards)
{
    if (shard == 0) {
        shard = 1;
        for (uint32_t i = 2; i <= shards; i++) {
            if (c->counts[i] < c->counts[shard]) {
                shard = i;
            }
        }
    }
    ASSERT(shard > 0 && shard <= DIR_SHARDS_MAX);
    c->shards = shard > c->shards ? shard : c->shards;
    c->counts[shard]++;
    struct dir_account a = {.account = {c->next_account++}, .shard = {shard}};
    return a;
}
