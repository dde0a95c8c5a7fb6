/* ReadDirectoryList: domains, accounts or aliases in the order of their keys (domain, then local part), paged: `after`
 * is the last name of the page before. */
#include "storage/directory/directory.h"
#include "storage/method/method.h"

#define LIST_MAX 1000

struct lister {
    struct read_context *rc;
    const struct store *store;
    const Pb__ReadDirectoryList *req;
    enum directory_table table;
    Pb__DirectoryItem **items;
    size_t n;
    size_t max;
    size_t bytes;
};

static enum err add_item(struct lister *l, const struct dir_name *name, Pb__DirectoryItem **out)
{
    Pb__DirectoryItem *item = arena_alloc(l->rc->arena, sizeof(*item));
    if (item == NULL) {
        return ERR_NOMEM;
    }
    pb__directory_item__init(item);
    item->name =
        l->table == DIRECTORY_DOMAINS ? arena_slice_str(l->rc->arena, name->domain) : dir_name_text(l->rc->arena, name);
    if (item->name == NULL) {
        return ERR_NOMEM;
    }
    l->items[l->n++] = item;
    l->bytes += strlen(item->name) + 32;
    *out = item;
    return OK;
}

/* The targets of one alias lie in rows of their own, which come one after another. */
static enum err add_alias_target(struct lister *l, Pb__DirectoryItem *item, struct slice target)
{
    if (item->targets == NULL) {
        item->targets = arena_calloc(l->rc->arena, DIR_TARGETS_MAX, sizeof(*item->targets));
    }
    char *text = arena_slice_str(l->rc->arena, target);
    if (item->targets == NULL || text == NULL) {
        return ERR_NOMEM;
    }
    if (item->n_targets == DIR_TARGETS_MAX) {
        return ERR_CORRUPT;
    }
    item->targets[item->n_targets++] = text;
    l->bytes += target.n + 4;
    return OK;
}

static enum err split(const struct lister *l, struct slice rest, struct dir_name *out, uint8_t *out_seq)
{
    if (l->table != DIRECTORY_DOMAINS) {
        return dir_key_split(l->table, rest, out, out_seq);
    }
    out->domain = rest;
    out->local = slice_make(NULL, 0);
    *out_seq = 0;
    return OK;
}

/* ERR_LIMIT: the page is full. */
static enum err take_row(struct lister *l, struct slice rest, struct slice value)
{
    struct dir_name name;
    struct dir_account account;
    uint8_t seq;
    enum err e = split(l, rest, &name, &seq);
    if (e != OK) {
        return e;
    }
    Pb__DirectoryItem *item = l->n > 0 ? l->items[l->n - 1] : NULL;
    if (seq == 0) {
        if (l->n == l->max || l->bytes > REPLY_BYTES_MAX - DIR_TARGETS_MAX * (DIR_ADDRESS_BYTES_MAX + 4)) {
            return ERR_LIMIT;
        }
        e = add_item(l, &name, &item);
    }
    if (e != OK || l->table == DIRECTORY_DOMAINS) {
        return e;
    }
    if (l->table == DIRECTORY_ALIASES) {
        return item == NULL ? ERR_CORRUPT : add_alias_target(l, item, value);
    }
    e = dir_account_decode(value, &account);
    if (e == OK) {
        item->account = account.account.v;
        item->shard = account.shard.v;
    }
    return e;
}

/* The key that the page begins behind. */
static enum err start_key(const struct lister *l, struct key *out)
{
    struct dir_name after;
    struct slice after_text = slice_str(l->req->after);
    dir_key(out, l->store, l->table);
    if (l->table == DIRECTORY_DOMAINS) {
        if (after_text.n > DIR_DOMAIN_BYTES_MAX) {
            return ERR_INVAL;
        }
        key_bytes(out, after_text.p, after_text.n);
        if (after_text.n > 0) {
            key_u8(out, 0);
        }
        return OK;
    }
    if (after_text.n == 0) {
        return OK;
    }
    enum err e = dir_name_parse_alias(l->rc->arena, after_text, &after);
    if (e == OK) {
        dir_key_name(out, l->store, l->table, &after);
        key_u8(out, l->table == DIRECTORY_ALIASES ? UINT8_MAX : 0);
    }
    return e;
}

static enum err list(struct lister *l, bool *out_more)
{
    struct key prefix;
    struct key at;
    struct scan sc;
    struct slice rest;
    struct slice value;
    struct slice domain;
    enum err e = start_key(l, &at);
    dir_key(&prefix, l->store, l->table);
    if (e == OK && l->req->domain[0] != '\0' && l->table != DIRECTORY_DOMAINS) {
        e = dir_domain_parse(l->rc->arena, slice_str(l->req->domain), &domain);
        if (e == OK) {
            key_bytes(&prefix, domain.p, domain.n);
            key_u8(&prefix, 0);
            at = slice_cmp(key_slice(&at), key_slice(&prefix)) < 0 ? prefix : at;
        }
    }
    if (e == OK) {
        e = scan_open(&sc, l->store, &prefix);
    }
    if (e != OK) {
        return e;
    }
    for (e = scan_seek(&sc, &at, &rest, &value); e == OK; e = scan_next(&sc, &rest, &value)) {
        /* The scan's prefix may hold the domain: the rest is taken from the table on. */
        size_t cut = prefix.n - (STORE_PREFIX_BYTES + 2);
        e = take_row(l, slice_make(rest.p - cut, rest.n + cut), value);
        if (e != OK) {
            break;
        }
    }
    scan_close(&sc);
    *out_more = e == ERR_LIMIT;
    return e == ERR_LIMIT || e == ERR_NOTFOUND ? OK : e;
}

static enum err run(struct read_context *rc, const ProtobufCMessage *request, struct buf *meta, struct buf *attach)
{
    const Pb__ReadDirectoryList *req = (const Pb__ReadDirectoryList *)request;
    struct store s = method_store(rc);
    struct lister l = {.rc = rc, .store = &s, .req = req, .table = DIRECTORY_DOMAINS};
    bool more = false;
    Pb__ReadDirectoryListResult answer = PB__READ_DIRECTORY_LIST_RESULT__INIT;
    (void)attach;
    if (req->what == PB__READ_DIRECTORY_LIST__WHAT__ACCOUNTS) {
        l.table = DIRECTORY_NAMES;
    } else if (req->what == PB__READ_DIRECTORY_LIST__WHAT__ALIASES) {
        l.table = DIRECTORY_ALIASES;
    } else if (req->what != PB__READ_DIRECTORY_LIST__WHAT__DOMAINS) {
        return ERR_INVAL;
    }
    l.max = req->limit > 0 && req->limit < LIST_MAX ? req->limit : LIST_MAX;
    l.items = arena_calloc(rc->arena, l.max, sizeof(Pb__DirectoryItem *));
    if (l.items == NULL) {
        return ERR_NOMEM;
    }
    enum err e = list(&l, &more);
    answer.items = l.items;
    answer.n_items = l.n;
    answer.more = more;
    return e == OK ? pb_pack(&answer.base, meta) : e;
}

STORAGE_METHOD(directory_list) = {
    .method = METHOD_DIRECTORY_LIST,
    .request = &pb__read_directory_list__descriptor,
    .run = run,
};
