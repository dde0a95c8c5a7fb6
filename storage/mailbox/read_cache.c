#include "storage/mailbox/read_cache.h"

#include <pthread.h>

#include "proto/base/hash.h"
#include "proto/base/hmap.h"
#include "proto/base/list.h"
#include "proto/base/mem.h"

struct cache_name {
    uint64_t account;
    uint32_t shard;
    uint32_t mailbox;
};

struct cache_entry {
    struct hmap_node node;
    struct list lru;
    struct cache_name name;
    uint64_t modseq;
    size_t bytes;
    struct mailbox_uids sets;
};

struct read_cache {
    pthread_mutex_t lock;
    struct hmap map;
    struct list lru; /* newest first */
    size_t bytes;
    size_t bytes_max;
};

void mailbox_uids_init(struct mailbox_uids *u)
{
    uidset_init(&u->uids);
    uidset_init(&u->unseen);
}

void mailbox_uids_fini(struct mailbox_uids *u)
{
    uidset_fini(&u->uids);
    uidset_fini(&u->unseen);
}

static enum err sets_copy(struct mailbox_uids *to, const struct mailbox_uids *from)
{
    enum err e = uidset_copy(&to->uids, &from->uids);
    return e == OK ? uidset_copy(&to->unseen, &from->unseen) : e;
}

enum err read_cache_new(size_t bytes_max, struct read_cache **out)
{
    struct read_cache *c = mem_zalloc(sizeof(*c));
    if (c == NULL) {
        return ERR_NOMEM;
    }
    if (pthread_mutex_init(&c->lock, NULL) != 0) {
        mem_free(c);
        return ERR_NOMEM;
    }
    hmap_init(&c->map);
    list_init(&c->lru);
    c->bytes_max = bytes_max;
    *out = c;
    return OK;
}

static void drop(struct read_cache *c, struct cache_entry *en)
{
    hmap_remove(&c->map, &en->node);
    list_remove(&en->lru);
    c->bytes -= en->bytes;
    mailbox_uids_fini(&en->sets);
    mem_free(en);
}

void read_cache_free(struct read_cache *c)
{
    if (c == NULL) {
        return;
    }
    LIST_FOREACH_SAFE (it, &c->lru) {
        drop(c, LIST_ENTRY(it, struct cache_entry, lru));
    }
    hmap_fini(&c->map);
    (void)pthread_mutex_destroy(&c->lock);
    mem_free(c);
}

static uint64_t name_hash(const struct cache_name *n)
{
    return hash_table_key(n, sizeof(*n));
}

static struct cache_entry *find(const struct read_cache *c, const struct cache_name *name)
{
    for (struct hmap_node *n = hmap_first(&c->map, name_hash(name)); n != NULL; n = hmap_next(n)) {
        struct cache_entry *en = HMAP_ENTRY(n, struct cache_entry, node);
        if (memcmp(&en->name, name, sizeof(*name)) == 0) {
            return en;
        }
    }
    return NULL;
}

enum err read_cache_get(struct read_cache *c, struct shard_id shard, struct account_id a, uint32_t mailbox,
                        uint64_t modseq_max, struct mailbox_uids *out, uint64_t *out_modseq)
{
    struct cache_name name = {a.v, shard.v, mailbox};
    enum err e = ERR_NOTFOUND;
    (void)pthread_mutex_lock(&c->lock);
    struct cache_entry *en = find(c, &name);
    if (en != NULL && en->modseq <= modseq_max) {
        e = sets_copy(out, &en->sets);
        *out_modseq = en->modseq;
        list_remove(&en->lru);
        list_push_front(&c->lru, &en->lru);
    }
    (void)pthread_mutex_unlock(&c->lock);
    return e;
}

static struct cache_entry *entry_new(const struct cache_name *name, uint64_t modseq, const struct mailbox_uids *u)
{
    struct cache_entry *en = mem_zalloc(sizeof(*en));
    if (en == NULL) {
        return NULL;
    }
    mailbox_uids_init(&en->sets);
    if (sets_copy(&en->sets, u) != OK) {
        mailbox_uids_fini(&en->sets);
        mem_free(en);
        return NULL;
    }
    en->name = *name;
    en->modseq = modseq;
    en->bytes = sizeof(*en) + (u->uids.n + u->unseen.n) * sizeof(struct uidset_run);
    return en;
}

static void insert(struct read_cache *c, struct cache_entry *en)
{
    struct cache_entry *old = find(c, &en->name);
    if (old != NULL && old->modseq >= en->modseq) {
        mailbox_uids_fini(&en->sets);
        mem_free(en);
        return;
    }
    if (old != NULL) {
        drop(c, old);
    }
    if (hmap_insert(&c->map, &en->node, name_hash(&en->name)) != OK) {
        mailbox_uids_fini(&en->sets);
        mem_free(en);
        return;
    }
    list_push_front(&c->lru, &en->lru);
    c->bytes += en->bytes;
    while (c->bytes > c->bytes_max && !list_empty(&c->lru)) {
        drop(c, LIST_ENTRY(c->lru.prev, struct cache_entry, lru));
    }
}

void read_cache_put(struct read_cache *c, struct shard_id shard, struct account_id a, uint32_t mailbox, uint64_t modseq,
                    const struct mailbox_uids *u)
{
    struct cache_name name = {a.v, shard.v, mailbox};
    struct cache_entry *en = entry_new(&name, modseq, u);
    if (en == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&c->lock);
    insert(c, en);
    (void)pthread_mutex_unlock(&c->lock);
}
