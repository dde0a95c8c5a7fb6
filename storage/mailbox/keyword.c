#include "storage/mailbox/keyword.h"

void flagset_init(struct flagset *f, uint64_t system_flags)
{
    memset(f, 0, sizeof(*f));
    f->bits = system_flags & FLAG_SYSTEM_MASK;
}

/* Keeps FLAG_OVERFLOW true to its meaning. */
static void settle(struct flagset *f)
{
    static const uint8_t none[OVERFLOW_BYTES];
    f->bits &= ~FLAG_OVERFLOW;
    if (memcmp(f->over, none, sizeof(none)) != 0) {
        f->bits |= FLAG_OVERFLOW;
    }
}

void flagset_add_keyword(struct flagset *f, uint16_t keyword)
{
    ASSERT(keyword < KEYWORDS_MAX);
    if (keyword < FLAG_KEYWORDS_MAX) {
        f->bits |= UINT64_C(1) << (FLAG_KEYWORD_SHIFT + keyword);
        return;
    }
    unsigned bit = (unsigned)keyword - FLAG_KEYWORDS_MAX;
    f->over[bit / 8] = (uint8_t)(f->over[bit / 8] | 1u << bit % 8);
    f->bits |= FLAG_OVERFLOW;
}

bool flagset_has_keyword(const struct flagset *f, uint16_t keyword)
{
    if (keyword < FLAG_KEYWORDS_MAX) {
        return (f->bits >> (FLAG_KEYWORD_SHIFT + keyword) & 1) != 0;
    }
    unsigned bit = (unsigned)keyword - FLAG_KEYWORDS_MAX;
    return bit / 8 < OVERFLOW_BYTES && (f->over[bit / 8] >> bit % 8 & 1) != 0;
}

bool flagset_eq(const struct flagset *a, const struct flagset *b)
{
    return a->bits == b->bits && memcmp(a->over, b->over, sizeof(a->over)) == 0;
}

void flagset_union(struct flagset *a, const struct flagset *b)
{
    a->bits |= b->bits;
    for (size_t i = 0; i < OVERFLOW_BYTES; i++) {
        a->over[i] |= b->over[i];
    }
}

void flagset_subtract(struct flagset *a, const struct flagset *b)
{
    a->bits &= ~b->bits;
    for (size_t i = 0; i < OVERFLOW_BYTES; i++) {
        a->over[i] = (uint8_t)(a->over[i] & ~b->over[i]);
    }
    settle(a);
}

static void overflow_key(struct key *k, const struct store *s, struct account_id a, uint32_t mailbox, uint32_t uid)
{
    key_mailbox(k, s, a, ACCOUNT_OVERFLOW, mailbox);
    key_u32(k, uid);
}

enum err flagset_get(const struct store *s, struct account_id a, uint32_t mailbox, uint32_t uid, uint64_t bits,
                     struct flagset *out)
{
    struct key k;
    out->bits = bits;
    memset(out->over, 0, sizeof(out->over));
    if ((bits & FLAG_OVERFLOW) == 0) {
        return OK;
    }
    overflow_key(&k, s, a, mailbox, uid);
    enum err e = store_get_row(s, &k, out->over, sizeof(out->over));
    return e == ERR_NOTFOUND ? ERR_CORRUPT : e;
}

enum err flagset_put(const struct store *s, struct account_id a, uint32_t mailbox, uint32_t uid, uint64_t had,
                     const struct flagset *f)
{
    struct key k;
    if (((had | f->bits) & FLAG_OVERFLOW) == 0) {
        return OK;
    }
    overflow_key(&k, s, a, mailbox, uid);
    if ((f->bits & FLAG_OVERFLOW) == 0) {
        return store_del_must(s, &k);
    }
    return store_put_row(s, &k, f->over, sizeof(f->over));
}

static enum err load(struct scan *sc, uint32_t n, struct arena *arena, struct keyword_table *out)
{
    for (uint32_t i = 0; i < n; i++) {
        struct slice rest;
        struct slice value;
        enum err e = scan_next(sc, &rest, &value);
        if (e == ERR_NOTFOUND || (e == OK && (rest.n != 2 || get_be16(rest.p) != i))) {
            return ERR_CORRUPT;
        }
        if (e != OK) {
            return e;
        }
        out->names[i] = arena_slice_str(arena, value);
        if (out->names[i] == NULL) {
            return ERR_NOMEM;
        }
    }
    return OK;
}

enum err keyword_table_get(const struct store *s, struct account_id a, uint32_t mailbox, uint32_t n,
                           struct arena *arena, struct keyword_table *out)
{
    struct key prefix;
    struct scan sc;
    out->n = 0;
    out->names = NULL;
    if (n == 0) {
        return OK;
    }
    if (n > KEYWORDS_MAX) {
        return ERR_CORRUPT;
    }
    out->names = arena_calloc(arena, n, sizeof(*out->names));
    if (out->names == NULL) {
        return ERR_NOMEM;
    }
    key_mailbox(&prefix, s, a, ACCOUNT_KEYWORDS, mailbox);
    enum err e = scan_open(&sc, s, &prefix);
    if (e != OK) {
        return e;
    }
    e = load(&sc, n, arena, out);
    scan_close(&sc);
    if (e == OK) {
        out->n = n;
    }
    return e;
}

int keyword_find(const struct keyword_table *t, struct slice name)
{
    for (size_t i = 0; i < t->n; i++) {
        if (slice_ieq_str(name, t->names[i])) {
            return (int)i;
        }
    }
    return -1;
}

enum err keyword_check(struct slice name)
{
    if (name.n == 0) {
        return ERR_INVAL;
    }
    if (name.n > KEYWORD_BYTES_MAX) {
        return ERR_LIMIT;
    }
    for (size_t i = 0; i < name.n; i++) {
        uint8_t c = name.p[i];
        if (c <= ' ' || c == 0x7f || memchr("(){%*\"\\]", c, 8) != NULL) {
            return ERR_INVAL;
        }
    }
    return OK;
}

enum err keyword_put(const struct store *s, struct account_id a, uint32_t mailbox, uint16_t keyword, struct slice name)
{
    struct key k;
    key_mailbox(&k, s, a, ACCOUNT_KEYWORDS, mailbox);
    key_u16(&k, keyword);
    return store_put(s, &k, name);
}
