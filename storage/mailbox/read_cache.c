#include "storage/mailbox/read_cache.h"

#include <pthread.h>

#include "proto/base/hmap.h"
#include "proto/base/list.h"
#include "proto/base/mem.h"

struct cached {
    struct hmap_node node;
    struct list lru;
    struct account_id account;
    uint32_t mailbox;
    uint32_t first_unseen;
    uint64_t modseq;
    size_t n;
    uint8_t uids[];
};

struct read_cache {
    pthread_mutex_t lock;
    struct hmap map;
    struct list lru; /* oldest first */
    size_t bytes;
    size_t bytes_max;
};

enum err read_cache_new(size_t bytes_max, struct read_cache **out)
{
    struct read_cache *c = mem_zalloc(sizeof(*c));
    if (c == NULL) {
        return ERR_NOMEM;
    }
    pthread_mutex_init(&c->lock, NULL);
    hmap_init(&c->map);
    list_init(&c->lru);
    c->bytes_max = bytes_max;
    *out = c;
    return OK;
}

static void cached_drop(struct read_cache *c, struct cached *e)
{
    hmap_remove(&c->map, &e->node);
    list_remove(&e->lru);
    c->bytes -= sizeof(*e) + e->n;
    mem_free(e);
}

void read_cache_free(struct read_cache *c)
{
    while (!list_empty(&c->lru)) {
        cached_drop(c, LIST_ENTRY(c->lru.next, struct cached, lru));
    }
    hmap_fini(&c->map);
    pthread_mutex_destroy(&c->lock);
    mem_free(c);
}

static uint64_t cached_hash(struct account_id a, uint32_t mailbox)
{
    return a.v * UINT64_C(0x9E3779B97F4A7C15) ^ mailbox;
}

static struct cached *cached_find(struct read_cache *c, struct account_id a, uint32_t mailbox)
{
    for (struct hmap_node *n = hmap_first(&c->map, cached_hash(a, mailbox)); n != NULL; n = hmap_next(n)) {
        struct cached *e = HMAP_ENTRY(n, struct cached, node);
        if (e->account.v == a.v && e->mailbox == mailbox) {
            return e;
        }
    }
    return NULL;
}

static bool cache_hit(struct read_cache *c, struct account_id a, uint32_t mailbox, uint64_t modseq, struct buf *out,
                      uint32_t *out_first_unseen, enum err *out_err)
{
    bool hit = false;
    pthread_mutex_lock(&c->lock);
    struct cached *e = cached_find(c, a, mailbox);
    if (e != NULL && e->modseq == modseq) {
        hit = true;
        *out_first_unseen = e->first_unseen;
        *out_err = buf_append(out, e->uids, e->n);
        list_remove(&e->lru);
        list_push_back(&c->lru, &e->lru);
    }
    pthread_mutex_unlock(&c->lock);
    return hit;
}

static void cache_put(struct read_cache *c, struct account_id a, uint32_t mailbox, uint64_t modseq, struct slice uids,
                      uint32_t first_unseen)
{
    struct cached *e = sizeof(*e) + uids.n > c->bytes_max ? NULL : mem_alloc(sizeof(*e) + uids.n);
    if (e == NULL) {
        return; /* the next SELECT scans again */
    }
    e->account = a;
    e->mailbox = mailbox;
    e->modseq = modseq;
    e->first_unseen = first_unseen;
    e->n = uids.n;
    memcpy(e->uids, uids.p, uids.n);
    pthread_mutex_lock(&c->lock);
    struct cached *old = cached_find(c, a, mailbox);
    if (old != NULL) {
        cached_drop(c, old);
    }
    while (c->bytes + sizeof(*e) + e->n > c->bytes_max) {
        cached_drop(c, LIST_ENTRY(c->lru.next, struct cached, lru));
    }
    if (hmap_insert(&c->map, &e->node, cached_hash(a, mailbox)) == OK) {
        list_push_back(&c->lru, &e->lru);
        c->bytes += sizeof(*e) + e->n;
    } else {
        mem_free(e);
    }
    pthread_mutex_unlock(&c->lock);
}

static enum err scan_uids(const struct store *s, struct account_id a, uint32_t mailbox, struct buf *out, uint32_t *out_first_unseen)
{
    struct uidset uids;
    struct uidset unseen;
    uidset_init(&uids);
    uidset_init(&unseen);
    enum err e = message_uids(s, a, mailbox, &uids, &unseen);
    if (e == OK) {
        e = uidset_encode(&uids, out);
    }
    if (e == OK) {
        *out_first_unseen = uidset_at(&unseen, 0);
    }
    uidset_fini(&uids);
    uidset_fini(&unseen);
    return e;
}

enum err read_cache_uids(struct read_cache *c, const struct store *s, struct account_id a, uint32_t mailbox,
                         const struct mailbox_row *row, struct buf *out, uint32_t *out_first_unseen)
{
    enum err e = OK;
    if (c != NULL && cache_hit(c, a, mailbox, row->modseq, out, out_first_unseen, &e)) {
        return e;
    }
    size_t before = out->len;
    e = scan_uids(s, a, mailbox, out, out_first_unseen);
    if (e == OK && c != NULL) {
        struct slice all = buf_slice(out);
        cache_put(c, a, mailbox, row->modseq, slice_sub(all, before, all.n), *out_first_unseen);
    }
    return e;
}
