/* The folder tree with counters and subscriptions: LIST, LSUB and STATUS answer from it. */
#include <stdlib.h>

#include "storage/mailbox/subscription.h"
#include "storage/method/method.h"

struct listing {
    const struct read_context *rc;
    struct store store;
    struct account_id account;
    Pb__MailboxInfo **list;
    size_t n;
    size_t cap;
};

static Pb__MailboxInfo *info_add(struct listing *l)
{
    if (l->n == l->cap) {
        size_t cap = l->cap == 0 ? 64 : 2 * l->cap;
        Pb__MailboxInfo **bigger = arena_calloc(l->rc->arena, cap, sizeof(*bigger));
        if (bigger == NULL) {
            return NULL;
        }
        if (l->n > 0) {
            memcpy(bigger, l->list, l->n * sizeof(*bigger));
        }
        l->list = bigger;
        l->cap = cap;
    }
    Pb__MailboxInfo *info = arena_alloc(l->rc->arena, sizeof(*info));
    if (info != NULL) {
        pb__mailbox_info__init(info);
        l->list[l->n++] = info;
    }
    return info;
}

static enum err item_add(struct listing *l, uint32_t mailbox, char *name, bool has_children)
{
    Pb__MailboxInfo *info = info_add(l);
    struct mailbox_row *row = arena_alloc(l->rc->arena, sizeof(*row));
    bool subscribed = false;
    if (info == NULL || row == NULL || name == NULL) {
        return ERR_NOMEM;
    }
    enum err e = subscription_has(&l->store, l->account, slice_str(name), &subscribed);
    if (e == OK && mailbox != 0) {
        e = mailbox_get(&l->store, l->account, mailbox, row);
    }
    if (e != OK) {
        return e == ERR_NOTFOUND ? ERR_CORRUPT : e;
    }
    if (mailbox != 0) {
        method_mailbox_info(info, mailbox, name, row);
    } else {
        info->name = name;
        info->noselect = 1;
    }
    info->subscribed = subscribed;
    info->has_children = has_children;
    return OK;
}

static enum err one_add(struct listing *l, const char *name)
{
    struct name_path path;
    struct tree_entry entry;
    struct slice canonical;
    uint32_t parent;
    bool children = false;
    enum err e = name_split(slice_str(name), &path);
    if (e == OK) {
        e = tree_find(&l->store, l->account, &path, &entry, &parent);
    }
    if (e == OK) {
        e = tree_has_children(&l->store, l->account, entry.node, &children);
    }
    if (e == OK) {
        e = name_canonical(l->rc->arena, slice_str(name), &canonical);
    }
    return e == OK ? item_add(l, entry.mailbox, arena_slice_str(l->rc->arena, canonical), children) : e;
}

static int by_name(const void *a, const void *b)
{
    const struct tree_item *const *x = a;
    const struct tree_item *const *y = b;
    return slice_cmp((*x)->path, (*y)->path);
}

/* Subscriptions whose mailbox is gone. items are sorted by path. */
static enum err subscriptions_add(struct listing *l, struct tree_item **items, size_t n_items)
{
    struct scan sc;
    struct key k;
    struct slice rest;
    struct slice name;
    key_account(&k, &l->store, l->account, ACCOUNT_SUBSCRIBED);
    enum err e = scan_open(&sc, &l->store, &k);
    if (e != OK) {
        return e;
    }
    for (e = scan_next(&sc, &rest, &name); e == OK; e = scan_next(&sc, &rest, &name)) {
        struct tree_item probe = {.path = name};
        struct tree_item *at = &probe;
        if (n_items > 0 && bsearch(&at, items, n_items, sizeof(*items), by_name) != NULL) {
            continue;
        }
        Pb__MailboxInfo *info = info_add(l);
        char *text = arena_slice_str(l->rc->arena, name);
        if (info == NULL || text == NULL) {
            e = ERR_NOMEM;
            break;
        }
        info->name = text;
        info->subscribed = 1;
        info->nonexistent = 1;
    }
    scan_close(&sc);
    return e == ERR_NOTFOUND ? OK : e;
}

static enum err all_add(struct listing *l)
{
    struct tree_list tree;
    enum err e = tree_list(&l->store, l->account, 0, l->rc->arena, &tree);
    struct tree_item **sorted = e == OK ? arena_calloc(l->rc->arena, tree.n + 1, sizeof(*sorted)) : NULL;
    if (e == OK && sorted == NULL) {
        e = ERR_NOMEM;
    }
    for (size_t i = 0; e == OK && i < tree.n; i++) {
        const struct tree_item *t = &tree.items[i];
        sorted[i] = &tree.items[i];
        e = item_add(l, t->entry.mailbox, arena_slice_str(l->rc->arena, t->path), t->has_children);
    }
    if (e == OK) {
        qsort(sorted, tree.n, sizeof(*sorted), by_name);
        e = subscriptions_add(l, sorted, tree.n);
    }
    return e;
}

static enum err run(struct read_context *rc, const ProtobufCMessage *req_base, struct buf *meta, struct buf *attach)
{
    const Pb__ReadMailboxes *req = (const Pb__ReadMailboxes *)(const void *)req_base;
    struct listing l = {.rc = rc, .store = method_store(rc), .account = {req->account}};
    struct account_row account;
    (void)attach;
    enum err e = account_get_live(&l.store, l.account, &account);
    if (e == OK) {
        e = req->name[0] != '\0' ? one_add(&l, req->name) : all_add(&l);
    }
    Pb__ReadMailboxesResult res = PB__READ_MAILBOXES_RESULT__INIT;
    res.mailboxes = l.list;
    res.n_mailboxes = l.n;
    res.modseq = account.modseq;
    return e == OK ? pb_pack(&res.base, meta) : e;
}

STORAGE_METHOD(mailboxes) = {.method = METHOD_MAILBOXES, .run = run};
