#include "storage/mailbox/info.h"

#include "proto/base/hash.h"
#include "storage/mailbox/pb.h"
#include "storage/mailbox/subscription.h"

void info_from_row(uint32_t mailbox, const struct mailbox_row *row, Pb__MailboxInfo *out)
{
    out->mailbox = mailbox;
    out->special_use = row->special_use;
    out->objectid = pb_bytes(slice_make(row->objectid, sizeof(row->objectid)));
    out->uidvalidity = row->uidvalidity;
    out->uidnext = row->uidnext;
    out->highestmodseq = row->modseq;
    out->messages = row->messages;
    out->unseen = row->unseen;
    out->deleted = row->deleted;
    out->recent_uid = row->recent_uid;
    out->recent = row->recent;
    out->size_bytes = row->size_bytes;
}

enum err info_fill(const struct store *s, struct account_id a, uint32_t mailbox, const struct mailbox_row *row,
                   struct arena *arena, Pb__MailboxInfo *out)
{
    struct buf name;
    bool children = false;
    bool subscribed = false;
    info_from_row(mailbox, row, out);
    buf_init(&name, NAME_BYTES_MAX + 1);
    enum err e = tree_path(s, a, row->node, &name);
    if (e == OK) {
        out->name = arena_slice_str(arena, buf_slice(&name));
        e = out->name == NULL ? ERR_NOMEM : OK;
    }
    if (e == OK) {
        e = tree_has_children(s, a, row->node, &children);
    }
    if (e == OK) {
        e = subscription_has(s, a, buf_slice(&name), &subscribed);
    }
    buf_fini(&name);
    out->has_children = children;
    out->subscribed = subscribed;
    return e == ERR_LIMIT ? ERR_CORRUPT : e;
}

/* --- the list --- */

struct listed {
    Pb__MailboxInfo info;
    struct mailbox_row row;
    struct slice name;
    struct listed *next; /* of the same hash bucket */
};

struct lister {
    const struct store *store;
    struct account_id account;
    struct arena *arena;
    Pb__MailboxInfo **list;
    size_t n;
    size_t cap;
    struct listed **buckets;
    size_t mask;
};

static enum err push(struct lister *l, Pb__MailboxInfo *info)
{
    if (l->n == l->cap) {
        size_t cap = l->cap * 2;
        Pb__MailboxInfo **grown = arena_calloc(l->arena, cap, sizeof(Pb__MailboxInfo *));
        if (grown == NULL) {
            return ERR_NOMEM;
        }
        memcpy(grown, l->list, l->n * sizeof(Pb__MailboxInfo *));
        l->list = grown;
        l->cap = cap;
    }
    l->list[l->n++] = info;
    return OK;
}

static struct listed **bucket_of(const struct lister *l, struct slice name)
{
    return &l->buckets[hash_stable(name.p, name.n) & l->mask];
}

static enum err add_item(struct lister *l, const struct tree_item *item)
{
    struct listed *x = arena_zalloc(l->arena, sizeof(*x));
    if (x == NULL) {
        return ERR_NOMEM;
    }
    pb__mailbox_info__init(&x->info);
    if (item->entry.mailbox == 0) {
        x->info.noselect = true;
    } else {
        enum err e = mailbox_get_live(l->store, l->account, item->entry.mailbox, &x->row);
        if (e != OK) {
            return e == ERR_NOTFOUND ? ERR_CORRUPT : e;
        }
        info_from_row(item->entry.mailbox, &x->row, &x->info);
    }
    x->info.name = arena_slice_str(l->arena, item->path);
    if (x->info.name == NULL) {
        return ERR_NOMEM;
    }
    x->info.has_children = item->has_children;
    x->name = item->path;
    struct listed **bucket = bucket_of(l, x->name);
    x->next = *bucket;
    *bucket = x;
    return push(l, &x->info);
}

static enum err mark_subscribed(struct lister *l, struct slice name)
{
    for (struct listed *x = *bucket_of(l, name); x != NULL; x = x->next) {
        if (slice_eq(x->name, name)) {
            x->info.subscribed = true;
            return OK;
        }
    }
    Pb__MailboxInfo *info = arena_alloc(l->arena, sizeof(*info));
    if (info == NULL) {
        return ERR_NOMEM;
    }
    pb__mailbox_info__init(info);
    info->name = arena_slice_str(l->arena, name);
    info->subscribed = true;
    info->nonexistent = true;
    return info->name == NULL ? ERR_NOMEM : push(l, info);
}

static enum err walk_subscriptions(struct lister *l)
{
    struct key prefix;
    struct scan sc;
    struct slice rest;
    struct slice value;
    key_account(&prefix, l->store, l->account, ACCOUNT_SUBSCRIBED);
    enum err e = scan_open(&sc, l->store, &prefix);
    if (e != OK) {
        return e;
    }
    for (e = scan_next(&sc, &rest, &value); e == OK; e = scan_next(&sc, &rest, &value)) {
        e = mark_subscribed(l, value);
        if (e != OK) {
            break;
        }
    }
    scan_close(&sc);
    return e == ERR_NOTFOUND ? OK : e;
}

enum err info_list(const struct store *s, struct account_id a, struct arena *arena, Pb__MailboxInfo ***out,
                   size_t *out_n)
{
    struct tree_list tree;
    struct lister l = {.store = s, .account = a, .arena = arena};
    enum err e = tree_list(s, a, 0, arena, &tree);
    if (e != OK) {
        return e;
    }
    size_t buckets = 16;
    while (buckets < tree.n) {
        buckets *= 2;
    }
    l.mask = buckets - 1;
    l.cap = tree.n + 16;
    l.buckets = arena_calloc(arena, buckets, sizeof(struct listed *));
    l.list = arena_calloc(arena, l.cap, sizeof(Pb__MailboxInfo *));
    if (l.buckets == NULL || l.list == NULL) {
        return ERR_NOMEM;
    }
    for (size_t i = 0; e == OK && i < tree.n; i++) {
        e = add_item(&l, &tree.items[i]);
    }
    if (e == OK) {
        e = walk_subscriptions(&l);
    }
    *out = l.list;
    *out_n = l.n;
    return e;
}
