/* Pages through domains, accounts or aliases, in name order by domain. */
#include "storage/directory/directory.h"
#include "storage/method/method.h"

#define ITEMS_MAX 1000

struct paging {
    const struct read_context *rc;
    struct store store;
    const Pb__ReadDirectoryList *req;
    uint32_t limit;
    Pb__DirectoryItem **items;
    size_t n;
    bool more;
};

static enum err item_add(struct paging *p, char *name, Pb__DirectoryItem **out)
{
    Pb__DirectoryItem *item = arena_alloc(p->rc->arena, sizeof(*item));
    if (item == NULL || name == NULL) {
        return ERR_NOMEM;
    }
    pb__directory_item__init(item);
    item->name = name;
    p->items[p->n++] = item;
    *out = item;
    return OK;
}

static enum err alias_targets(struct paging *p, const struct dir_name *n, Pb__DirectoryItem *item)
{
    struct dir_targets *t = arena_alloc(p->rc->arena, sizeof(*t));
    enum err e = t == NULL ? ERR_NOMEM : dir_alias_get(&p->store, n, p->rc->arena, t);
    char **list = e == OK ? arena_calloc(p->rc->arena, t->n + 1, sizeof(*list)) : NULL;
    if (e == OK && list == NULL) {
        e = ERR_NOMEM;
    }
    for (size_t i = 0; e == OK && i < t->n; i++) {
        list[i] = arena_slice_str(p->rc->arena, t->list[i]);
        e = list[i] == NULL ? ERR_NOMEM : OK;
    }
    if (e == OK) {
        item->targets = list;
        item->n_targets = t->n;
    }
    return e;
}

/* One row of the walk; rows of an alias after its first are skipped. */
static enum err row_add(struct paging *p, enum directory_table table, struct slice rest, struct slice value)
{
    struct dir_name n = {.local = slice_make(NULL, 0), .domain = rest};
    struct dir_account account = {.account = {0}};
    uint8_t seq = 0;
    Pb__DirectoryItem *item;
    enum err e = table == DIRECTORY_DOMAINS ? OK : dir_key_split(table, rest, &n, &seq);
    if (e == OK && table == DIRECTORY_NAMES) {
        e = dir_account_decode(value, &account);
    }
    if (e != OK || seq > 0) {
        return e;
    }
    if (p->n == p->limit) {
        p->more = true;
        return OK;
    }
    e = item_add(p, table == DIRECTORY_DOMAINS ? arena_slice_str(p->rc->arena, rest) : dir_name_text(p->rc->arena, &n),
                 &item);
    if (e == OK && table == DIRECTORY_NAMES) {
        item->account = account.account.v;
        item->shard = account.shard.v;
    }
    return e == OK && table == DIRECTORY_ALIASES ? alias_targets(p, &n, item) : e;
}

/* Where the page begins: after `after`, or at the domain. */
static enum err start_key(struct paging *p, enum directory_table table, struct key *out)
{
    struct dir_name n = {.local = slice_make(NULL, 0)};
    const Pb__ReadDirectoryList *req = p->req;
    enum err e = OK;
    dir_key(out, &p->store, table);
    if (req->after[0] != '\0' && table == DIRECTORY_DOMAINS) {
        key_bytes(out, req->after,
                  strlen(req->after) < DIR_DOMAIN_BYTES_MAX ? strlen(req->after) : DIR_DOMAIN_BYTES_MAX);
        key_u8(out, 0);
    } else if (req->after[0] != '\0') {
        e = dir_name_parse_alias(p->rc->arena, slice_str(req->after), &n);
        if (e == OK) {
            dir_key_name(out, &p->store, table, &n);
            key_u8(out, table == DIRECTORY_ALIASES ? UINT8_MAX : 0);
        }
    }
    return e;
}

/* The whole table, or one domain's range of it. */
static enum err prefix_key(struct paging *p, enum directory_table table, struct key *out)
{
    struct slice domain;
    dir_key(out, &p->store, table);
    if (p->req->domain[0] == '\0' || table == DIRECTORY_DOMAINS) {
        return OK;
    }
    enum err e = dir_domain_parse(p->rc->arena, slice_str(p->req->domain), &domain);
    if (e == OK) {
        key_bytes(out, domain.p, domain.n);
        key_u8(out, 0);
    }
    return e;
}

static enum err walk(struct paging *p, enum directory_table table)
{
    struct scan sc;
    struct key prefix;
    struct key at;
    struct slice rest;
    struct slice value;
    struct key whole;
    dir_key(&whole, &p->store, table);
    enum err e = prefix_key(p, table, &prefix);
    if (e == OK) {
        e = start_key(p, table, &at);
    }
    if (e == OK) {
        e = scan_open(&sc, &p->store, &prefix);
    }
    if (e != OK) {
        return e;
    }
    bool from_start = at.n < prefix.n || memcmp(at.b, prefix.b, prefix.n) != 0;
    e = from_start ? scan_next(&sc, &rest, &value) : scan_seek(&sc, &at, &rest, &value);
    for (; e == OK && !p->more; e = scan_next(&sc, &rest, &value)) {
        /* rest begins after the prefix: the domain is part of it only in a walk over the whole table */
        struct slice full = slice_make(rest.p - (prefix.n - whole.n), rest.n + (prefix.n - whole.n));
        e = row_add(p, table, full, value);
        if (e != OK) {
            break;
        }
    }
    scan_close(&sc);
    return e == ERR_NOTFOUND ? OK : e;
}

static enum err run(struct read_context *rc, const ProtobufCMessage *req_base, struct buf *meta, struct buf *attach)
{
    struct paging p = {
        .rc = rc, .store = method_store(rc), .req = (const Pb__ReadDirectoryList *)(const void *)req_base};
    enum directory_table table = DIRECTORY_DOMAINS;
    (void)attach;
    if (p.req->what == PB__READ_DIRECTORY_LIST__WHAT__ACCOUNTS) {
        table = DIRECTORY_NAMES;
    } else if (p.req->what == PB__READ_DIRECTORY_LIST__WHAT__ALIASES) {
        table = DIRECTORY_ALIASES;
    }
    p.limit = p.req->limit == 0 || p.req->limit > ITEMS_MAX ? ITEMS_MAX : p.req->limit;
    p.items = arena_calloc(rc->arena, p.limit, sizeof(*p.items));
    if (p.items == NULL) {
        return ERR_NOMEM;
    }
    enum err e = walk(&p, table);
    Pb__ReadDirectoryListResult res = PB__READ_DIRECTORY_LIST_RESULT__INIT;
    res.items = p.items;
    res.n_items = p.n;
    res.more = p.more;
    return e == OK ? pb_pack(&res.base, meta) : e;
}

STORAGE_METHOD(directory_list) = {.method = METHOD_DIRECTORY_LIST, .run = run};
