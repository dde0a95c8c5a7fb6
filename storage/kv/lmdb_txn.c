/* Transactions: begun, ended, made durable, made visible.
 *
 * What makes a commit durable is its record in the log. LMDB's commit is what readers see, and it costs most of the
 * work: each page that the transaction touched is copied and written, the next transaction copies and writes most of
 * them again. So kv_commit_durable leaves LMDB's transaction open, and the next one goes on in it, as long as nobody
 * reads. Such commits are hidden: durable, answered, and not yet in any state that a reader can have. A reader that
 * begins waits until they are published; one that has begun lately makes every commit publish at once, so that reading
 * beside writing waits for nothing. */
#include <errno.h>
#include <string.h>
#include <sys/statvfs.h>
#include <time.h>

#include "proto/base/assert.h"
#include "proto/base/fault.h"
#include "proto/base/mem.h"
#include "storage/kv/lmdb_internal.h"

#define DISK_NEARLY_FULL_BYTES ((uint64_t)32 << 20)
/* Hidden commits are published at the latest with so much in them: what a reader may have to wait for. */
#define HIDDEN_BYTES_MAX ((size_t)4 << 20)
#define HIDDEN_CHANGES_MAX 8192
/* Their pages must find room, as they cannot be refused any more: more than so many changes can touch. */
#define HIDDEN_FREE_BYTES_MIN ((uint64_t)256 << 20)

/* --- readers --- */

static struct lmdb_txn *pool_pop(struct lmdb_kv *kv)
{
    ASSERT(pthread_mutex_lock(&kv->pool_mutex) == 0);
    struct lmdb_txn *t = kv->pool;
    if (t != NULL) {
        kv->pool = t->next;
    }
    ASSERT(pthread_mutex_unlock(&kv->pool_mutex) == 0);
    return t;
}

static void pool_push(struct lmdb_kv *kv, struct lmdb_txn *t)
{
    ASSERT(pthread_mutex_lock(&kv->pool_mutex) == 0);
    t->next = kv->pool;
    kv->pool = t;
    ASSERT(pthread_mutex_unlock(&kv->pool_mutex) == 0);
}

static enum err begin_read(struct lmdb_kv *kv, struct kv_txn **out)
{
    struct lmdb_txn *t = pool_pop(kv);
    if (t != NULL) {
        int rc = mdb_txn_renew(t->txn);
        if (rc != MDB_SUCCESS) {
            pool_push(kv, t);
            return lmdb_error("mdb_txn_renew", rc);
        }
        *out = &t->base;
        return OK;
    }
    t = mem_zalloc(sizeof(*t));
    if (t == NULL) {
        return ERR_NOMEM;
    }
    int rc = mdb_txn_begin(kv->env, NULL, MDB_RDONLY, &t->txn);
    if (rc != MDB_SUCCESS) {
        mem_free(t);
        return lmdb_error("mdb_txn_begin", rc);
    }
    t->base.ops = kv->base.ops;
    t->base.kv = &kv->base;
    *out = &t->base;
    return OK;
}

/* What was committed before this call is in every state that a reader can have. */
static void wait_published(struct lmdb_kv *kv)
{
    struct lmdb_hidden *h = &kv->hidden;
    if (pthread_equal(__atomic_load_n(&h->thread, __ATOMIC_RELAXED), pthread_self())) {
        lmdb_publish(&kv->base); /* the writer's own reading says nothing of readers to come */
        return;
    }
    __atomic_store_n(&h->wanted, true, __ATOMIC_RELAXED);
    if (!__atomic_load_n(&h->any, __ATOMIC_ACQUIRE)) {
        return;
    }
    ASSERT(pthread_mutex_lock(&h->mutex) == 0);
    uint64_t rounds = h->rounds;
    while (__atomic_load_n(&h->any, __ATOMIC_ACQUIRE) && h->rounds == rounds) {
        ASSERT(pthread_cond_wait(&h->published, &h->mutex) == 0);
    }
    ASSERT(pthread_mutex_unlock(&h->mutex) == 0);
}

/* --- the writer --- */

static enum err begin_write(struct lmdb_kv *kv, struct kv_txn **out)
{
    struct lmdb_txn *t = &kv->writer;
    ASSERT(!t->busy); /* one write transaction at a time */
    if (t->txn == NULL) {
        int rc = mdb_txn_begin(kv->env, NULL, 0, &t->txn);
        if (rc != MDB_SUCCESS) {
            t->txn = NULL;
            return lmdb_error("mdb_txn_begin", rc);
        }
    }
    t->busy = true;
    t->failed = OK;
    __atomic_store_n(&kv->hidden.thread, pthread_self(), __ATOMIC_RELAXED);
    wal_begin(kv->wal);
    *out = &t->base;
    return OK;
}

enum err lmdb_begin(struct kv *base, bool write, struct kv_txn **out)
{
    struct lmdb_kv *kv = lmdb_kv_of(base);
    if (write) {
        return begin_write(kv, out);
    }
    wait_published(kv);
    return begin_read(kv, out);
}

enum err lmdb_carry_out(struct lmdb_kv *kv, MDB_txn *txn, struct slice payload)
{
    struct wal_change change;
    enum err e;
    while ((e = wal_change_next(&payload, &change)) == OK) {
        MDB_val k = {.mv_size = change.key.n, .mv_data = (void *)(uintptr_t)change.key.p};
        MDB_val v = {.mv_size = change.value.n, .mv_data = (void *)(uintptr_t)change.value.p};
        int rc = change.del ? mdb_del(txn, kv->dbi, &k, NULL) : mdb_put(txn, kv->dbi, &k, &v, 0);
        if (rc != MDB_SUCCESS && !(change.del && rc == MDB_NOTFOUND)) { /* nor was it there when it was recorded */
            return lmdb_error("carry out", rc);
        }
    }
    return e == ERR_NOTFOUND ? OK : e;
}

/* The transaction that held the hidden commits is lost with the one that failed in it: they are done again, and
 * published, so that the next failure has nothing to repeat. */
static void hidden_restore(struct lmdb_kv *kv)
{
    int rc = mdb_txn_begin(kv->env, NULL, 0, &kv->writer.txn);
    enum err e = rc == MDB_SUCCESS ? lmdb_carry_out(kv, kv->writer.txn, buf_slice(&kv->hidden.changes))
                                   : lmdb_error("mdb_txn_begin", rc);
    if (e != OK) {
        lmdb_fatal("restore of what was committed", err_text(e), (int)e);
    }
    lmdb_publish(&kv->base);
}

static void abort_write(struct lmdb_kv *kv)
{
    struct lmdb_txn *t = &kv->writer;
    bool hidden = kv->hidden.commits > 0;
    t->busy = false;
    if (hidden && t->failed == OK && wal_is_empty(kv->wal)) {
        return; /* it changed nothing */
    }
    mdb_txn_abort(t->txn);
    t->txn = NULL;
    if (hidden) {
        hidden_restore(kv);
    } else {
        kv->hidden.changes_n = 0;
    }
}

void lmdb_abort(struct kv_txn *base)
{
    struct lmdb_txn *t = lmdb_txn_of(base);
    ASSERT(t->cursors_open == 0);
    if (t->write) {
        abort_write(lmdb_kv_of(base->kv));
        return;
    }
    mdb_txn_reset(t->txn);
    pool_push(lmdb_kv_of(base->kv), t);
}

/* --- durable --- */

void lmdb_delay(uint32_t ms)
{
    if (ms == 0) {
        return; /* a sleep of nothing takes a timer's slack, 50 us */
    }
    struct timespec ts = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000};
    while (nanosleep(&ts, &ts) != 0 && errno == EINTR) {
    }
}

static uint64_t disk_free_bytes(const struct lmdb_kv *kv)
{
    struct statvfs v;
    return fstatvfs(kv->lock_fd, &v) == 0 ? (uint64_t)v.f_bavail * v.f_frsize : 0;
}

static enum err record_commit(struct lmdb_kv *kv)
{
    enum err e = wal_commit(kv->wal);
    if (e == ERR_IO) {
        lmdb_fatal("wal_commit", err_text(e), errno);
    }
    if (e == OK) {
        lmdb_delay(kv->flush_delay_ms);
        fault_pass(FAULT_WAL_AFTER);
    }
    return e;
}

/* What LMDB could not take must not come back with the next start. */
static void record_void(struct lmdb_kv *kv)
{
    enum err e = wal_void(kv->wal);
    if (e != OK) {
        lmdb_fatal("wal_void", err_text(e), errno);
    }
}

/* --- visible --- */

/* A commit that failed before its meta page was written changed nothing. One that failed in the meta page leaves the
 * environment in the fatal state, which the next begin reports: only then is the outcome unknown and the process must
 * stop. LMDB reports a short write as EIO although the disk is merely full; no system call failed then, and errno is
 * what it was: on a full disk too, a flush that fails is a failed flush. */
static enum err commit_failed(struct lmdb_kv *kv, int rc, bool short_write)
{
    MDB_txn *probe = NULL;
    int alive = mdb_txn_begin(kv->env, NULL, MDB_RDONLY, &probe);
    if (alive == MDB_PANIC) {
        lmdb_fatal("mdb_txn_commit", mdb_strerror(rc), rc);
    }
    if (alive == MDB_SUCCESS) {
        mdb_txn_abort(probe);
    }
    if (rc == EIO && short_write && disk_free_bytes(kv) < DISK_NEARLY_FULL_BYTES) {
        return ERR_FULL;
    }
    enum err e = lmdb_error("mdb_txn_commit", rc);
    if (e == ERR_CORRUPT) {
        lmdb_fatal("mdb_txn_commit", mdb_strerror(rc), rc); /* no single row to blame */
    }
    return e;
}

enum err lmdb_pages_commit(struct lmdb_kv *kv, MDB_txn *txn)
{
    errno = 0;
    int rc = mdb_txn_commit(txn);
    bool short_write = errno != EIO;
    return rc == MDB_SUCCESS ? OK : commit_failed(kv, rc, short_write);
}

/* LMDB's commit of the open transaction. ERR_FULL, ERR_NOMEM: it is gone, and nothing of it was answered. */
static enum err publish(struct lmdb_kv *kv)
{
    struct lmdb_hidden *h = &kv->hidden;
    MDB_txn *txn = kv->writer.txn;
    kv->writer.txn = NULL;
    __atomic_store_n(&h->wanted, false, __ATOMIC_RELAXED);
    fault_pass(FAULT_PUBLISH_BEFORE);
    enum err e = lmdb_pages_commit(kv, txn);
    if (e != OK && h->commits > 0) {
        lmdb_fatal("publish of what was committed", err_text(e), (int)e); /* the log has it; a start waits for room */
    }
    if (h->commits > 0) {
        h->commits = 0;
        ASSERT(pthread_mutex_lock(&h->mutex) == 0);
        __atomic_store_n(&h->any, false, __ATOMIC_RELEASE);
        h->rounds++;
        ASSERT(pthread_cond_broadcast(&h->published) == 0);
        ASSERT(pthread_mutex_unlock(&h->mutex) == 0);
    }
    buf_reset(&h->changes);
    h->changes_n = 0;
    return e;
}

void lmdb_publish(struct kv *base)
{
    struct lmdb_kv *kv = lmdb_kv_of(base);
    if (kv->hidden.commits == 0) {
        return;
    }
    ASSERT(!kv->writer.busy && pthread_equal(kv->hidden.thread, pthread_self())); /* LMDB's writer is one thread's */
    enum err e = publish(kv);
    ASSERT(e == OK);
    lmdb_checkpoint_tick(kv);
}

/* Whether the record in hand may be hidden once it is durable; then it is kept for a restore. */
static bool hide_prepare(struct lmdb_kv *kv)
{
    struct lmdb_hidden *h = &kv->hidden;
    struct slice payload = wal_payload(kv->wal);
    size_t changes_n = wal_changes(kv->wal);
    if (h->changes.len + payload.n > HIDDEN_BYTES_MAX || h->changes_n + changes_n > HIDDEN_CHANGES_MAX ||
        lmdb_checkpoint_due(kv) || disk_free_bytes(kv) < HIDDEN_FREE_BYTES_MIN ||
        buf_append_slice(&h->changes, payload) != OK) {
        return false;
    }
    h->changes_n += changes_n;
    return true;
}

static void hide(struct lmdb_kv *kv)
{
    struct lmdb_hidden *h = &kv->hidden;
    h->commits++;
    __atomic_store_n(&h->any, true, __ATOMIC_RELEASE);
}

static enum err make_visible(struct lmdb_kv *kv, bool recorded)
{
    enum err e = publish(kv);
    if (e != OK && recorded) {
        record_void(kv);
    }
    if (e == OK) {
        lmdb_checkpoint_tick(kv);
    }
    return e;
}

static enum err commit_write(struct lmdb_kv *kv, bool visible)
{
    struct lmdb_txn *t = &kv->writer;
    struct lmdb_hidden *h = &kv->hidden;
    size_t kept_n = h->changes.len;
    bool changed = !wal_is_empty(kv->wal);
    bool may_hide = changed && !visible && t->failed == OK && hide_prepare(kv);
    if (changed && t->failed == OK) {
        t->failed = record_commit(kv);
    }
    if (t->failed != OK) {
        enum err e = t->failed;
        buf_truncate(&h->changes, kept_n);
        lmdb_abort(&t->base);
        return e;
    }
    t->busy = false;
    if (may_hide && !__atomic_load_n(&h->wanted, __ATOMIC_RELAXED)) {
        hide(kv);
        return OK;
    }
    return make_visible(kv, changed);
}

enum err lmdb_commit(struct kv_txn *base)
{
    struct lmdb_txn *t = lmdb_txn_of(base);
    ASSERT(t->cursors_open == 0);
    if (!t->write) {
        lmdb_abort(base);
        return OK;
    }
    return commit_write(lmdb_kv_of(base->kv), true);
}

enum err lmdb_commit_durable(struct kv_txn *base)
{
    struct lmdb_txn *t = lmdb_txn_of(base);
    ASSERT(t->write && t->cursors_open == 0);
    return commit_write(lmdb_kv_of(base->kv), false);
}
