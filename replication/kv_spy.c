#include "replication/kv_spy.h"

#include <string.h>

#include "proto/base/assert.h"
#include "proto/base/mem.h"

struct spy_cursor {
    struct kv_cursor cursor; /* first */
    struct kv_cursor *inner;
    struct kv_spy *spy;
    uint8_t at[KV_KEY_BYTES_MAX];
    size_t at_n;
};

static struct kv_spy *spy_of(struct kv_txn *t)
{
    return (struct kv_spy *)(void *)t;
}

static struct spy_cursor *cursor_of(struct kv_cursor *c)
{
    return (struct spy_cursor *)(void *)c;
}

static enum err spy_get(struct kv_txn *t, struct slice key, struct slice *out)
{
    return kv_get(spy_of(t)->inner, key, out);
}

static enum err spy_put(struct kv_txn *t, struct slice key, struct slice value)
{
    spy_of(t)->wrote(spy_of(t)->ctx, key);
    return kv_put(spy_of(t)->inner, key, value);
}

static enum err spy_reserve(struct kv_txn *t, struct slice key, size_t n, uint8_t **out)
{
    spy_of(t)->wrote(spy_of(t)->ctx, key);
    return kv_reserve(spy_of(t)->inner, key, n, out);
}

static enum err spy_del(struct kv_txn *t, struct slice key)
{
    spy_of(t)->wrote(spy_of(t)->ctx, key);
    return kv_del(spy_of(t)->inner, key);
}

static enum err spy_cursor_open(struct kv_txn *t, struct kv_cursor **out)
{
    struct spy_cursor *c = mem_zalloc(sizeof(*c));
    if (c == NULL) {
        return ERR_NOMEM;
    }
    enum err e = kv_cursor_open(spy_of(t)->inner, &c->inner);
    if (e != OK) {
        mem_free(c);
        return e;
    }
    c->cursor.ops = t->ops;
    c->cursor.txn = t;
    c->spy = spy_of(t);
    *out = &c->cursor;
    return OK;
}

static void spy_cursor_close(struct kv_cursor *cursor)
{
    kv_cursor_close(cursor_of(cursor)->inner);
    mem_free(cursor_of(cursor));
}

/* Remembers where it stands: a deletion names no key. */
static enum err stand(struct spy_cursor *c, enum err e, const struct slice *key)
{
    c->at_n = 0;
    if (e == OK) {
        ASSERT(key->n <= sizeof(c->at));
        memcpy(c->at, key->p, key->n);
        c->at_n = key->n;
    }
    return e;
}

static enum err spy_seek(struct kv_cursor *cursor, struct slice key, struct slice *out_key, struct slice *out_value)
{
    struct spy_cursor *c = cursor_of(cursor);
    return stand(c, kv_cursor_seek(c->inner, key, out_key, out_value), out_key);
}

static enum err spy_next(struct kv_cursor *cursor, struct slice *out_key, struct slice *out_value)
{
    struct spy_cursor *c = cursor_of(cursor);
    return stand(c, kv_cursor_next(c->inner, out_key, out_value), out_key);
}

static enum err spy_prev(struct kv_cursor *cursor, struct slice *out_key, struct slice *out_value)
{
    struct spy_cursor *c = cursor_of(cursor);
    return stand(c, kv_cursor_prev(c->inner, out_key, out_value), out_key);
}

static enum err spy_cursor_del(struct kv_cursor *cursor)
{
    struct spy_cursor *c = cursor_of(cursor);
    if (c->at_n > 0) {
        c->spy->wrote(c->spy->ctx, slice_make(c->at, c->at_n));
    }
    return kv_cursor_del(c->inner);
}

static const struct kv_ops spy_ops = {
    .get = spy_get,
    .put = spy_put,
    .reserve = spy_reserve,
    .del = spy_del,
    .cursor_open = spy_cursor_open,
    .cursor_close = spy_cursor_close,
    .cursor_seek = spy_seek,
    .cursor_next = spy_next,
    .cursor_prev = spy_prev,
    .cursor_del = spy_cursor_del,
};

struct kv_txn *kv_spy_init(struct kv_spy *s, struct kv_txn *inner, void (*wrote)(void *ctx, struct slice key),
                           void *ctx)
{
    s->txn.ops = &spy_ops;
    s->txn.kv = inner->kv;
    s->inner = inner;
    s->wrote = wrote;
    s->ctx = ctx;
    return &s->txn;
}
