#include "storage/kv/kv_mem.h"

#include "proto/base/assert.h"
#include "proto/base/list.h"
#include "proto/base/mem.h"
#include "storage/kv/mem_tree.h"

#define LIMIT_BYTES_DEFAULT ((uint64_t)1 << 40)

struct mem_kv {
    struct kv base;
    struct mem_node *root; /* as committed */
    uint64_t bytes;        /* of keys and values */
    uint64_t limit_bytes;
    struct kv_mem_faults faults;
    bool crashed;
    bool writing;
    uint64_t commits;
    uint64_t operations;
    struct list txns;
};

struct mem_txn {
    struct kv_txn base;
    struct list node;
    struct list cursors;
    struct mem_node *root;
    uint64_t bytes;
    bool write;
    enum err failed; /* a write that failed: only abort is left, as on LMDB */
};

enum mem_cursor_place { AT_START, ON_KEY, AT_DELETED, AT_END };

struct mem_cursor {
    struct kv_cursor base;
    struct list node;
    enum mem_cursor_place place;
    size_t key_n;
    uint8_t key[KV_KEY_BYTES_MAX];
};

static struct mem_kv *kv_of(struct kv *kv)
{
    return (struct mem_kv *)(void *)kv;
}

static struct mem_txn *txn_of(struct kv_txn *t)
{
    return (struct mem_txn *)(void *)t;
}

static struct mem_cursor *cursor_of(struct kv_cursor *c)
{
    return (struct mem_cursor *)(void *)c;
}

/* Counts an operation and says whether its fault is due. */
static bool due(uint64_t *countdown)
{
    return *countdown > 0 && --*countdown == 0;
}

/* --- faults --- */

static enum err before_read(struct mem_txn *t)
{
    struct mem_kv *kv = kv_of(t->base.kv);
    kv->operations++;
    if (kv->crashed) {
        return ERR_IO;
    }
    if (t->failed != OK) {
        return t->failed;
    }
    return due(&kv->faults.get_corrupt_nth) ? ERR_CORRUPT : OK;
}

static enum err before_write(struct mem_txn *t)
{
    struct mem_kv *kv = kv_of(t->base.kv);
    ASSERT(t->write);
    kv->operations++;
    if (kv->crashed) {
        return ERR_IO;
    }
    if (t->failed == OK && due(&kv->faults.put_full_nth)) {
        t->failed = ERR_FULL;
    }
    return t->failed;
}

/* --- transactions --- */

static enum err mem_begin(struct kv *base, bool write, struct kv_txn **out)
{
    struct mem_kv *kv = kv_of(base);
    if (kv->crashed) {
        return ERR_IO;
    }
    ASSERT(!write || !kv->writing);
    struct mem_txn *t = mem_zalloc(sizeof(*t));
    if (t == NULL) {
        return ERR_NOMEM;
    }
    t->base.ops = base->ops;
    t->base.kv = base;
    t->write = write;
    t->root = mem_tree_ref(kv->root);
    t->bytes = kv->bytes;
    list_init(&t->cursors);
    list_push_back(&kv->txns, &t->node);
    kv->writing = kv->writing || write;
    *out = &t->base;
    return OK;
}

static void txn_free(struct mem_txn *t)
{
    if (t->write) {
        kv_of(t->base.kv)->writing = false;
    }
    list_remove(&t->node);
    mem_tree_unref(t->root);
    mem_free(t);
}

static void mem_abort(struct kv_txn *base)
{
    ASSERT(list_empty(&txn_of(base)->cursors));
    txn_free(txn_of(base));
}

static void publish(struct mem_kv *kv, struct mem_txn *t)
{
    struct mem_node *before = kv->root;
    kv->root = t->root;
    kv->bytes = t->bytes;
    kv->commits++;
    t->root = before;
}

/* Each commit is visible at once. */
static void mem_publish(struct kv *base)
{
    (void)base;
}

static enum err mem_commit(struct kv_txn *base)
{
    struct mem_txn *t = txn_of(base);
    struct mem_kv *kv = kv_of(base->kv);
    ASSERT(list_empty(&t->cursors));
    enum err e = kv->crashed ? ERR_IO : t->failed;
    if (e == OK && t->write) {
        kv->operations++;
        if (due(&kv->faults.crash_before_commit_nth)) {
            kv->crashed = true;
            e = ERR_IO;
        } else if (due(&kv->faults.commit_full_nth)) {
            e = ERR_FULL;
        } else {
            publish(kv, t);
            kv->crashed = due(&kv->faults.crash_after_commit_nth);
            e = kv->crashed ? ERR_IO : OK;
        }
    }
    txn_free(t);
    return e;
}

/* --- single keys --- */

static void check_key(struct slice key)
{
    ASSERT(key.n >= 1 && key.n <= KV_KEY_BYTES_MAX);
}

static enum err mem_get(struct kv_txn *base, struct slice key, struct slice *out_value)
{
    struct mem_txn *t = txn_of(base);
    check_key(key);
    enum err e = before_read(t);
    if (e != OK) {
        return e;
    }
    const struct mem_node *n = mem_tree_find(t->root, key);
    if (n == NULL) {
        return ERR_NOTFOUND;
    }
    *out_value = mem_node_value(n);
    return OK;
}

static enum err mem_reserve(struct kv_txn *base, struct slice key, size_t value_n, uint8_t **out_p)
{
    struct mem_txn *t = txn_of(base);
    int64_t changed = 0;
    check_key(key);
    enum err e = before_write(t);
    if (e != OK) {
        return e;
    }
    if (t->bytes + key.n + value_n > kv_of(base->kv)->limit_bytes) {
        t->failed = ERR_FULL;
        return ERR_FULL;
    }
    e = mem_tree_put(&t->root, key, value_n, out_p, &changed);
    if (e != OK) {
        t->failed = e;
        return e;
    }
    t->bytes += (uint64_t)changed;
    return OK;
}

static enum err mem_put(struct kv_txn *base, struct slice key, struct slice value)
{
    uint8_t *p;
    enum err e = mem_reserve(base, key, value.n, &p);
    if (e == OK && value.n > 0) {
        memcpy(p, value.p, value.n);
    }
    return e;
}

static enum err mem_del(struct kv_txn *base, struct slice key)
{
    struct mem_txn *t = txn_of(base);
    int64_t changed = 0;
    check_key(key);
    enum err e = before_write(t);
    if (e != OK) {
        return e;
    }
    e = mem_tree_del(&t->root, key, &changed);
    if (e == OK) {
        t->bytes += (uint64_t)changed;
    } else if (e != ERR_NOTFOUND) {
        t->failed = e;
    }
    return e;
}

/* --- cursors: a key and the tree, so that writes cannot invalidate them --- */

static enum err mem_cursor_open(struct kv_txn *base, struct kv_cursor **out)
{
    struct mem_txn *t = txn_of(base);
    struct mem_cursor *c = mem_zalloc(sizeof(*c));
    if (c == NULL) {
        return ERR_NOMEM;
    }
    c->base.ops = base->ops;
    c->base.txn = base;
    list_push_back(&t->cursors, &c->node);
    *out = &c->base;
    return OK;
}

static void mem_cursor_close(struct kv_cursor *base)
{
    struct mem_cursor *c = cursor_of(base);
    list_remove(&c->node);
    mem_free(c);
}

static struct slice cursor_key(const struct mem_cursor *c)
{
    return slice_make(c->key, c->key_n);
}

static enum err settle(struct mem_cursor *c, const struct mem_node *n, struct slice *out_key, struct slice *out_value)
{
    *out_key = mem_node_key(n);
    *out_value = mem_node_value(n);
    memcpy(c->key, out_key->p, out_key->n);
    c->key_n = out_key->n;
    c->place = ON_KEY;
    return OK;
}

static enum err mem_cursor_seek(struct kv_cursor *base, struct slice key, struct slice *out_key,
                                struct slice *out_value)
{
    struct mem_cursor *c = cursor_of(base);
    struct mem_txn *t = txn_of(base->txn);
    check_key(key);
    enum err e = before_read(t);
    if (e != OK) {
        return e;
    }
    const struct mem_node *n = mem_tree_at_or_after(t->root, key);
    if (n == NULL) {
        c->place = AT_END;
        return ERR_NOTFOUND;
    }
    return settle(c, n, out_key, out_value);
}

static enum err mem_cursor_next(struct kv_cursor *base, struct slice *out_key, struct slice *out_value)
{
    struct mem_cursor *c = cursor_of(base);
    struct mem_txn *t = txn_of(base->txn);
    enum err e = before_read(t);
    if (e != OK) {
        return e;
    }
    const struct mem_node *n = NULL;
    if (c->place == AT_START) {
        n = mem_tree_first(t->root);
    } else if (c->place != AT_END) {
        n = mem_tree_after(t->root, cursor_key(c));
    }
    if (n == NULL) {
        c->place = AT_END;
        return ERR_NOTFOUND;
    }
    return settle(c, n, out_key, out_value);
}

static enum err mem_cursor_prev(struct kv_cursor *base, struct slice *out_key, struct slice *out_value)
{
    struct mem_cursor *c = cursor_of(base);
    struct mem_txn *t = txn_of(base->txn);
    enum err e = before_read(t);
    if (e != OK) {
        return e;
    }
    bool inside = c->place == ON_KEY || c->place == AT_DELETED;
    const struct mem_node *n = inside ? mem_tree_before(t->root, cursor_key(c)) : mem_tree_last(t->root);
    return n == NULL ? ERR_NOTFOUND : settle(c, n, out_key, out_value);
}

static enum err mem_cursor_del(struct kv_cursor *base)
{
    struct mem_cursor *c = cursor_of(base);
    ASSERT(c->place == ON_KEY);
    enum err e = mem_del(base->txn, cursor_key(c));
    if (e == OK) {
        c->place = AT_DELETED;
    }
    return e;
}

/* --- the store --- */

static void mem_stat(struct kv *base, struct kv_stat *out)
{
    const struct mem_kv *kv = kv_of(base);
    memset(out, 0, sizeof(*out));
    out->map_bytes = kv->limit_bytes;
    out->used_bytes = kv->bytes;
    out->file_bytes = kv->bytes;
}

static void drop_txns(struct mem_kv *kv)
{
    LIST_FOREACH_SAFE (it, &kv->txns) {
        struct mem_txn *t = LIST_ENTRY(it, struct mem_txn, node);
        LIST_FOREACH_SAFE (c, &t->cursors) {
            mem_cursor_close(&LIST_ENTRY(c, struct mem_cursor, node)->base);
        }
        txn_free(t);
    }
}

static void mem_close(struct kv *base)
{
    struct mem_kv *kv = kv_of(base);
    ASSERT(kv->crashed || list_empty(&kv->txns));
    drop_txns(kv);
    mem_tree_unref(kv->root);
    mem_free(kv);
}

static const struct kv_ops mem_ops = {
    .begin = mem_begin,
    .commit = mem_commit,
    .commit_durable = mem_commit,
    .publish = mem_publish,
    .abort = mem_abort,
    .get = mem_get,
    .put = mem_put,
    .reserve = mem_reserve,
    .del = mem_del,
    .cursor_open = mem_cursor_open,
    .cursor_close = mem_cursor_close,
    .cursor_seek = mem_cursor_seek,
    .cursor_next = mem_cursor_next,
    .cursor_prev = mem_cursor_prev,
    .cursor_del = mem_cursor_del,
    .stat = mem_stat,
    .close = mem_close,
};

enum err kv_mem_new(struct kv **out)
{
    struct mem_kv *kv = mem_zalloc(sizeof(*kv));
    if (kv == NULL) {
        return ERR_NOMEM;
    }
    kv->base.ops = &mem_ops;
    kv->limit_bytes = LIMIT_BYTES_DEFAULT;
    list_init(&kv->txns);
    *out = &kv->base;
    return OK;
}

struct kv_mem_faults *kv_mem_faults(struct kv *kv)
{
    return &kv_of(kv)->faults;
}

void kv_mem_limit(struct kv *kv, uint64_t bytes)
{
    kv_of(kv)->limit_bytes = bytes;
}

bool kv_mem_crashed(const struct kv *kv)
{
    return ((const struct mem_kv *)(const void *)kv)->crashed;
}

void kv_mem_crash(struct kv *kv)
{
    kv_of(kv)->crashed = true;
}

void kv_mem_reopen(struct kv *kv)
{
    struct mem_kv *m = kv_of(kv);
    const struct kv_mem_faults none = {0};
    drop_txns(m);
    m->faults = none;
    m->crashed = false;
}

uint64_t kv_mem_commits(const struct kv *kv)
{
    return ((const struct mem_kv *)(const void *)kv)->commits;
}

uint64_t kv_mem_operations(const struct kv *kv)
{
    return ((const struct mem_kv *)(const void *)kv)->operations;
}
