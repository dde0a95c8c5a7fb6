#include "storage/kv/lmdb_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/assert.h"
#include "proto/base/log.h"
#include "proto/base/mem.h"

struct lmdb_cursor {
    struct kv_cursor base;
    MDB_cursor *cursor;
    bool past_end;
};

static struct lmdb_cursor *cursor_of(struct kv_cursor *c)
{
    return (struct lmdb_cursor *)(void *)c;
}

void lmdb_fatal(const char *what, const char *reason, int code)
{
    log_error("kv.fatal", "the store failed; the process stops and restarts from the disk", LOG_STR("operation", what),
              LOG_STR("reason", reason), LOG_I64("code", code));
    abort();
}

enum err lmdb_error(const char *what, int rc)
{
    switch (rc) {
    case MDB_SUCCESS:
        return OK;
    case MDB_NOTFOUND:
        return ERR_NOTFOUND;
    case MDB_MAP_FULL:
    case MDB_TXN_FULL:
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        return ERR_FULL;
    case ENOMEM:
        return ERR_NOMEM;
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_CURSOR_FULL:
    case MDB_PAGE_FULL:
    case MDB_INCOMPATIBLE:
        return ERR_CORRUPT;
    case MDB_READERS_FULL:
        return ERR_OVERLOAD;
    default:
        lmdb_fatal(what, mdb_strerror(rc), rc);
    }
}

/* Failure of an operation inside a transaction. The first one of a write transaction sticks, as LMDB answers all later
 * calls with MDB_BAD_TXN. */
static enum err txn_error(struct lmdb_txn *t, const char *what, int rc)
{
    if (rc == MDB_SUCCESS) {
        return OK;
    }
    if (rc == MDB_BAD_TXN && t->failed != OK) {
        return t->failed;
    }
    enum err e = lmdb_error(what, rc);
    if (e != ERR_NOTFOUND && t->write && t->failed == OK) {
        t->failed = e;
    }
    return e;
}

static MDB_val val_of(struct slice s)
{
    MDB_val v = {.mv_size = s.n, .mv_data = (void *)(uintptr_t)s.p};
    return v;
}

static struct slice slice_of(const MDB_val *v)
{
    return slice_make(v->mv_data, v->mv_size);
}

static void check_key(struct slice key)
{
    ASSERT(key.n >= 1 && key.n <= KV_KEY_BYTES_MAX);
}

/* --- single keys --- */

static enum err lmdb_get(struct kv_txn *base, struct slice key, struct slice *out_value)
{
    struct lmdb_txn *t = lmdb_txn_of(base);
    MDB_val k = val_of(key);
    MDB_val v;
    check_key(key);
    int rc = mdb_get(t->txn, lmdb_kv_of(base->kv)->dbi, &k, &v);
    if (rc != MDB_SUCCESS) {
        return txn_error(t, "mdb_get", rc);
    }
    *out_value = slice_of(&v);
    return OK;
}

/* A change that the log has no memory for spoils the transaction. */
static enum err gathered(struct lmdb_txn *t, enum err e)
{
    if (e == OK) {
        return OK;
    }
    t->failed = ERR_NOMEM;
    return ERR_NOMEM;
}

static enum err lmdb_put(struct kv_txn *base, struct slice key, struct slice value)
{
    struct lmdb_txn *t = lmdb_txn_of(base);
    struct lmdb_kv *kv = lmdb_kv_of(base->kv);
    MDB_val k = val_of(key);
    MDB_val v = val_of(value);
    check_key(key);
    ASSERT(t->write);
    wal_fetch(kv->wal);
    enum err e = gathered(t, wal_put(kv->wal, key, value)); /* first: both may lie in a page that moves */
    return e == OK ? txn_error(t, "mdb_put", mdb_put(t->txn, kv->dbi, &k, &v, 0)) : e;
}

static enum err lmdb_reserve(struct kv_txn *base, struct slice key, size_t value_n, uint8_t **out_p)
{
    struct lmdb_txn *t = lmdb_txn_of(base);
    struct lmdb_kv *kv = lmdb_kv_of(base->kv);
    MDB_val k = val_of(key);
    MDB_val v = {.mv_size = value_n, .mv_data = NULL};
    check_key(key);
    ASSERT(t->write);
    wal_fetch(kv->wal);
    enum err e = gathered(t, wal_put_later(kv->wal, key, value_n));
    if (e == OK) {
        e = txn_error(t, "mdb_put", mdb_put(t->txn, kv->dbi, &k, &v, MDB_RESERVE));
    }
    if (e == OK) {
        wal_later_at(kv->wal, v.mv_data);
        *out_p = v.mv_data;
    }
    return e;
}

static enum err lmdb_del(struct kv_txn *base, struct slice key)
{
    struct lmdb_txn *t = lmdb_txn_of(base);
    struct lmdb_kv *kv = lmdb_kv_of(base->kv);
    MDB_val k = val_of(key);
    check_key(key);
    ASSERT(t->write);
    wal_fetch(kv->wal);
    enum err e = gathered(t, wal_del(kv->wal, key)); /* of an absent key, too: it does no harm */
    return e == OK ? txn_error(t, "mdb_del", mdb_del(t->txn, kv->dbi, &k, NULL)) : e;
}

/* --- cursors --- */

static enum err lmdb_cursor_open(struct kv_txn *base, struct kv_cursor **out)
{
    struct lmdb_txn *t = lmdb_txn_of(base);
    struct lmdb_cursor *c = mem_zalloc(sizeof(*c));
    if (c == NULL) {
        return ERR_NOMEM;
    }
    int rc = mdb_cursor_open(t->txn, lmdb_kv_of(base->kv)->dbi, &c->cursor);
    if (rc != MDB_SUCCESS) {
        mem_free(c);
        return txn_error(t, "mdb_cursor_open", rc);
    }
    c->base.ops = base->ops;
    c->base.txn = base;
    t->cursors_open++;
    *out = &c->base;
    return OK;
}

static void lmdb_cursor_close(struct kv_cursor *base)
{
    struct lmdb_cursor *c = cursor_of(base);
    mdb_cursor_close(c->cursor);
    lmdb_txn_of(base->txn)->cursors_open--;
    mem_free(c);
}

static enum err cursor_move(struct lmdb_cursor *c, MDB_val *k, MDB_cursor_op op, struct slice *out_key,
                            struct slice *out_value)
{
    MDB_val v;
    int rc = mdb_cursor_get(c->cursor, k, &v, op);
    if (rc != MDB_SUCCESS) {
        return txn_error(lmdb_txn_of(c->base.txn), "mdb_cursor_get", rc);
    }
    *out_key = slice_of(k);
    *out_value = slice_of(&v);
    return OK;
}

static enum err lmdb_cursor_seek(struct kv_cursor *base, struct slice key, struct slice *out_key,
                                 struct slice *out_value)
{
    struct lmdb_cursor *c = cursor_of(base);
    MDB_val k = val_of(key);
    check_key(key);
    enum err e = cursor_move(c, &k, MDB_SET_RANGE, out_key, out_value);
    c->past_end = e == ERR_NOTFOUND;
    return e;
}

static enum err lmdb_cursor_next(struct kv_cursor *base, struct slice *out_key, struct slice *out_value)
{
    struct lmdb_cursor *c = cursor_of(base);
    MDB_val k;
    if (c->past_end) {
        return ERR_NOTFOUND;
    }
    enum err e = cursor_move(c, &k, MDB_NEXT, out_key, out_value);
    c->past_end = e == ERR_NOTFOUND;
    return e;
}

static enum err lmdb_cursor_prev(struct kv_cursor *base, struct slice *out_key, struct slice *out_value)
{
    struct lmdb_cursor *c = cursor_of(base);
    MDB_val k;
    enum err e = cursor_move(c, &k, c->past_end ? MDB_LAST : MDB_PREV, out_key, out_value);
    if (e == OK) {
        c->past_end = false;
    }
    return e;
}

static enum err lmdb_cursor_del(struct kv_cursor *base)
{
    struct lmdb_cursor *c = cursor_of(base);
    struct lmdb_txn *t = lmdb_txn_of(base->txn);
    struct lmdb_kv *kv = lmdb_kv_of(base->txn->kv);
    MDB_val k;
    MDB_val v;
    ASSERT(t->write && !c->past_end);
    wal_fetch(kv->wal);
    enum err e = txn_error(t, "mdb_cursor_get", mdb_cursor_get(c->cursor, &k, &v, MDB_GET_CURRENT));
    if (e == OK) {
        e = gathered(t, wal_del(kv->wal, slice_of(&k))); /* before the key is gone */
    }
    return e == OK ? txn_error(t, "mdb_cursor_del", mdb_cursor_del(c->cursor, 0)) : e;
}

/* --- figures --- */

/* The free list is LMDB's database 0: each row is an array of page numbers that starts with its length. */
static uint64_t count_free_pages(MDB_txn *txn)
{
    MDB_cursor *c;
    MDB_val k;
    MDB_val v;
    uint64_t pages = 0;
    if (mdb_cursor_open(txn, 0, &c) != MDB_SUCCESS) {
        return 0;
    }
    while (mdb_cursor_get(c, &k, &v, MDB_NEXT) == MDB_SUCCESS) {
        size_t n = 0;
        if (v.mv_size >= sizeof(n)) {
            memcpy(&n, v.mv_data, sizeof(n));
            pages += n;
        }
    }
    mdb_cursor_close(c);
    return pages;
}

static void lmdb_stat(struct kv *base, struct kv_stat *out)
{
    struct lmdb_kv *kv = lmdb_kv_of(base);
    MDB_envinfo info;
    MDB_stat st;
    struct kv_txn *t;
    memset(out, 0, sizeof(*out));
    ASSERT(mdb_env_info(kv->env, &info) == MDB_SUCCESS);
    ASSERT(mdb_env_stat(kv->env, &st) == MDB_SUCCESS);
    out->map_bytes = info.me_mapsize;
    out->file_bytes = (info.me_last_pgno + 1) * st.ms_psize;
    if (lmdb_begin(base, false, &t) == OK) {
        out->free_pages = count_free_pages(lmdb_txn_of(t)->txn);
        lmdb_abort(t);
    }
    uint64_t free_bytes = out->free_pages * st.ms_psize;
    out->used_bytes = out->file_bytes > free_bytes ? out->file_bytes - free_bytes : 0;
}

const struct kv_ops lmdb_ops = {
    .begin = lmdb_begin,
    .commit = lmdb_commit,
    .commit_durable = lmdb_commit_durable,
    .publish = lmdb_publish,
    .abort = lmdb_abort,
    .get = lmdb_get,
    .put = lmdb_put,
    .reserve = lmdb_reserve,
    .del = lmdb_del,
    .cursor_open = lmdb_cursor_open,
    .cursor_close = lmdb_cursor_close,
    .cursor_seek = lmdb_cursor_seek,
    .cursor_next = lmdb_cursor_next,
    .cursor_prev = lmdb_cursor_prev,
    .cursor_del = lmdb_cursor_del,
    .stat = lmdb_stat,
    .close = lmdb_close,
};
