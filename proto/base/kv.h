/* The ordered key-value store under everything durable, as an interface: replication/ and storage/ are written against
 * it, storage/kv implements it on LMDB (kv_lmdb) and in memory with crash semantics for the simulator (kv_mem).
 *
 * One key space in memory order. Keys: 1..511 bytes. Values: any size, but anything larger than 4,080 bytes is the
 * caller's to cut into chunks (deploy/docs/ARCHITECTURE.md, section 4: larger ones fragment LMDB). One write
 * transaction at a time, one thread; any number of read transactions, each by one thread at a time, short (< 1 s: a
 * long reader makes the file grow). Slices returned by reads point into the store: valid until the transaction's next
 * write (write transactions) or its end (read transactions).
 *
 * Errors: ERR_NOTFOUND; ERR_FULL (map or disk full before the commit point: the transaction must be aborted, nothing
 * was changed); ERR_NOMEM; ERR_CORRUPT. A failed flush or a fatal environment does not return: the process aborts
 * (promise 1). */
#ifndef PROTO_BASE_KV_H
#define PROTO_BASE_KV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/base/err.h"
#include "proto/base/slice.h"

#ifdef __cplusplus
extern "C" {
#endif

#define KV_KEY_BYTES_MAX 511
#define KV_CHUNK_BYTES 4080

struct kv;
struct kv_txn;
struct kv_cursor;

struct kv_stat {
    uint64_t map_bytes;  /* the limit of the store */
    uint64_t used_bytes; /* in use, free pages not counted */
    uint64_t file_bytes; /* on disk */
    uint64_t free_pages; /* reusable inside the file */
};

struct kv_ops {
    enum err (*begin)(struct kv *kv, bool write, struct kv_txn **out);
    /* ERR_FULL / ERR_NOMEM mean: not committed, aborted, the txn is gone. OK means durable on this disk. */
    enum err (*commit)(struct kv_txn *t);
    /* As commit, cheaper when many follow each other: a read transaction sees it all the same, but on another thread
     * its begin may wait for publish, which the committing thread calls before it waits for anything, a mutex too
     * that a thread may hold in begin, and before another thread writes or closes the store. */
    enum err (*commit_durable)(struct kv_txn *t);
    void (*publish)(struct kv *kv);
    void (*abort)(struct kv_txn *t);
    enum err (*get)(struct kv_txn *t, struct slice key, struct slice *out_value);
    /* Insert or replace. reserve: *out_p gets value_n writable bytes (valid until the next write), nothing is copied.
     */
    enum err (*put)(struct kv_txn *t, struct slice key, struct slice value);
    enum err (*reserve)(struct kv_txn *t, struct slice key, size_t value_n, uint8_t **out_p);
    enum err (*del)(struct kv_txn *t, struct slice key); /* ERR_NOTFOUND when absent */
    /* Cursors are closed before their transaction ends. A fresh one stands before the first pair for next and behind
     * the last for prev; past the end (a seek or next that found nothing) next finds nothing and prev gives the last
     * pair. */
    enum err (*cursor_open)(struct kv_txn *t, struct kv_cursor **out);
    void (*cursor_close)(struct kv_cursor *c);
    /* First key >= key. ERR_NOTFOUND past the end. Writes through the transaction keep cursors valid (positions may be
     * re-sought). */
    enum err (*cursor_seek)(struct kv_cursor *c, struct slice key, struct slice *out_key, struct slice *out_value);
    enum err (*cursor_next)(struct kv_cursor *c, struct slice *out_key, struct slice *out_value);
    enum err (*cursor_prev)(struct kv_cursor *c, struct slice *out_key, struct slice *out_value);
    /* Deletes the current pair; cursor_next then gives the one after it. */
    enum err (*cursor_del)(struct kv_cursor *c);
    void (*stat)(struct kv *kv, struct kv_stat *out);
    void (*close)(struct kv *kv);
};

/* Every implementation's objects start with these. */
struct kv {
    const struct kv_ops *ops;
};
struct kv_txn {
    const struct kv_ops *ops;
    struct kv *kv;
};
struct kv_cursor {
    const struct kv_ops *ops;
    struct kv_txn *txn;
};

static inline MUST_CHECK enum err kv_begin(struct kv *kv, bool write, struct kv_txn **out)
{
    return kv->ops->begin(kv, write, out);
}
static inline MUST_CHECK enum err kv_commit(struct kv_txn *t)
{
    return t->ops->commit(t);
}
static inline MUST_CHECK enum err kv_commit_durable(struct kv_txn *t)
{
    return t->ops->commit_durable(t);
}
static inline void kv_publish(struct kv *kv)
{
    kv->ops->publish(kv);
}
static inline void kv_abort(struct kv_txn *t)
{
    t->ops->abort(t);
}
static inline MUST_CHECK enum err kv_get(struct kv_txn *t, struct slice k, struct slice *out)
{
    return t->ops->get(t, k, out);
}
static inline MUST_CHECK enum err kv_put(struct kv_txn *t, struct slice k, struct slice v)
{
    return t->ops->put(t, k, v);
}
static inline MUST_CHECK enum err kv_reserve(struct kv_txn *t, struct slice k, size_t n, uint8_t **p)
{
    return t->ops->reserve(t, k, n, p);
}
static inline MUST_CHECK enum err kv_del(struct kv_txn *t, struct slice k)
{
    return t->ops->del(t, k);
}
static inline MUST_CHECK enum err kv_cursor_open(struct kv_txn *t, struct kv_cursor **out)
{
    return t->ops->cursor_open(t, out);
}
static inline void kv_cursor_close(struct kv_cursor *c)
{
    c->ops->cursor_close(c);
}
static inline MUST_CHECK enum err kv_cursor_seek(struct kv_cursor *c, struct slice k, struct slice *ok,
                                                 struct slice *ov)
{
    return c->ops->cursor_seek(c, k, ok, ov);
}
static inline MUST_CHECK enum err kv_cursor_next(struct kv_cursor *c, struct slice *ok, struct slice *ov)
{
    return c->ops->cursor_next(c, ok, ov);
}
static inline MUST_CHECK enum err kv_cursor_prev(struct kv_cursor *c, struct slice *ok, struct slice *ov)
{
    return c->ops->cursor_prev(c, ok, ov);
}
static inline MUST_CHECK enum err kv_cursor_del(struct kv_cursor *c)
{
    return c->ops->cursor_del(c);
}
static inline void kv_stat(struct kv *kv, struct kv_stat *out)
{
    kv->ops->stat(kv, out);
}
static inline void kv_close(struct kv *kv)
{
    kv->ops->close(kv);
}

#ifdef __cplusplus
}
#endif

#endif /* PROTO_BASE_KV_H */
