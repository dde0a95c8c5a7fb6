#include "storage/kv/kv_lmdb.h"

#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "proto/base/assert.h"
#include "proto/base/log.h"
#include "proto/base/mem.h"

_Static_assert(sizeof(off_t) == 8 && sizeof(size_t) == 8, "a volume is larger than a 32-bit offset");

#define MAP_BYTES_DEFAULT ((uint64_t)1 << 40)
#define READERS_MAX_DEFAULT 512
#define DISK_NEARLY_FULL_BYTES ((uint64_t)32 << 20)

struct lmdb_txn {
    struct kv_txn base;
    MDB_txn *txn;
    bool write;
    enum err failed; /* first failure of a write transaction: LMDB refuses everything after it */
    uint32_t cursors_open;
    struct lmdb_txn *next; /* pool */
};

struct lmdb_cursor {
    struct kv_cursor base;
    MDB_cursor *cursor;
    bool past_end;
};

struct lmdb_kv {
    struct kv base;
    MDB_env *env;
    MDB_dbi dbi;
    int lock_fd;
    uint32_t flush_delay_ms;
    bool read_only;
    pthread_mutex_t pool_mutex;
    struct lmdb_txn *pool; /* reset read transactions */
    struct lmdb_txn writer;
};

static struct lmdb_kv *kv_of(struct kv *kv)
{
    return (struct lmdb_kv *)(void *)kv;
}

static struct lmdb_txn *txn_of(struct kv_txn *t)
{
    return (struct lmdb_txn *)(void *)t;
}

static struct lmdb_cursor *cursor_of(struct kv_cursor *c)
{
    return (struct lmdb_cursor *)(void *)c;
}

/* Promise 1: what cannot be made durable is not answered. The restart recovers from what is on disk. */
__attribute__((noreturn, cold)) static void fatal(const char *what, int rc)
{
    log_error("kv.fatal", "the store failed; the process stops and restarts from the disk", LOG_STR("operation", what),
              LOG_STR("reason", mdb_strerror(rc)), LOG_I64("code", rc));
    abort();
}

static enum err map_error(const char *what, int rc)
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
        fatal(what, rc);
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
    enum err e = map_error(what, rc);
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

/* --- transactions --- */

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
            return map_error("mdb_txn_renew", rc);
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
        return map_error("mdb_txn_begin", rc);
    }
    t->base.ops = kv->base.ops;
    t->base.kv = &kv->base;
    *out = &t->base;
    return OK;
}

static enum err lmdb_begin(struct kv *base, bool write, struct kv_txn **out)
{
    struct lmdb_kv *kv = kv_of(base);
    if (!write) {
        return begin_read(kv, out);
    }
    ASSERT(!kv->read_only);
    struct lmdb_txn *t = &kv->writer;
    ASSERT(t->txn == NULL); /* one write transaction at a time */
    int rc = mdb_txn_begin(kv->env, NULL, 0, &t->txn);
    if (rc != MDB_SUCCESS) {
        t->txn = NULL;
        return map_error("mdb_txn_begin", rc);
    }
    t->failed = OK;
    *out = &t->base;
    return OK;
}

static void lmdb_abort(struct kv_txn *base)
{
    struct lmdb_txn *t = txn_of(base);
    ASSERT(t->cursors_open == 0);
    if (t->write) {
        mdb_txn_abort(t->txn);
        t->txn = NULL;
        return;
    }
    mdb_txn_reset(t->txn);
    pool_push(kv_of(base->kv), t);
}

static void delay(uint32_t ms)
{
    struct timespec ts = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000};
    while (nanosleep(&ts, &ts) != 0 && errno == EINTR) {
    }
}

static bool disk_nearly_full(const struct lmdb_kv *kv)
{
    struct statvfs v;
    return fstatvfs(kv->lock_fd, &v) == 0 && (uint64_t)v.f_bavail * v.f_frsize < DISK_NEARLY_FULL_BYTES;
}

/* A commit that failed before its meta page was written changed nothing. One that failed in the meta page leaves the
 * environment in the fatal state, which the next begin reports: only then is the outcome unknown and the process must
 * stop. LMDB reports a short write as EIO although the disk is merely full; no system call failed then, and errno is
 * what it was: on a full disk too, a flush that fails is a failed flush. */
static enum err commit_failed(struct lmdb_kv *kv, enum err failed, int rc, bool short_write)
{
    MDB_txn *probe = NULL;
    int alive = mdb_txn_begin(kv->env, NULL, MDB_RDONLY, &probe);
    if (alive == MDB_PANIC) {
        fatal("mdb_txn_commit", rc);
    }
    if (alive == MDB_SUCCESS) {
        mdb_txn_abort(probe);
    }
    if (rc == MDB_BAD_TXN && failed != OK) {
        return failed;
    }
    if (rc == EIO && short_write && disk_nearly_full(kv)) {
        return ERR_FULL;
    }
    enum err e = map_error("mdb_txn_commit", rc);
    if (e == ERR_CORRUPT) {
        fatal("mdb_txn_commit", rc); /* no single row to blame */
    }
    return e;
}

static enum err lmdb_commit(struct kv_txn *base)
{
    struct lmdb_txn *t = txn_of(base);
    struct lmdb_kv *kv = kv_of(base->kv);
    if (!t->write) {
        lmdb_abort(base);
        return OK;
    }
    ASSERT(t->cursors_open == 0);
    if (t->failed != OK) {
        enum err failed = t->failed;
        lmdb_abort(base);
        return failed;
    }
    errno = 0;
    int rc = mdb_txn_commit(t->txn);
    bool short_write = errno != EIO;
    t->txn = NULL;
    if (rc != MDB_SUCCESS) {
        return commit_failed(kv, t->failed, rc, short_write);
    }
    if (kv->flush_delay_ms > 0) {
        delay(2 * kv->flush_delay_ms);
    }
    return OK;
}

/* --- single keys --- */

static enum err lmdb_get(struct kv_txn *base, struct slice key, struct slice *out_value)
{
    struct lmdb_txn *t = txn_of(base);
    MDB_val k = val_of(key);
    MDB_val v;
    check_key(key);
    int rc = mdb_get(t->txn, kv_of(base->kv)->dbi, &k, &v);
    if (rc != MDB_SUCCESS) {
        return txn_error(t, "mdb_get", rc);
    }
    *out_value = slice_of(&v);
    return OK;
}

static enum err lmdb_put(struct kv_txn *base, struct slice key, struct slice value)
{
    struct lmdb_txn *t = txn_of(base);
    MDB_val k = val_of(key);
    MDB_val v = val_of(value);
    check_key(key);
    ASSERT(t->write);
    return txn_error(t, "mdb_put", mdb_put(t->txn, kv_of(base->kv)->dbi, &k, &v, 0));
}

static enum err lmdb_reserve(struct kv_txn *base, struct slice key, size_t value_n, uint8_t **out_p)
{
    struct lmdb_txn *t = txn_of(base);
    MDB_val k = val_of(key);
    MDB_val v = {.mv_size = value_n, .mv_data = NULL};
    check_key(key);
    ASSERT(t->write);
    int rc = mdb_put(t->txn, kv_of(base->kv)->dbi, &k, &v, MDB_RESERVE);
    if (rc != MDB_SUCCESS) {
        return txn_error(t, "mdb_put", rc);
    }
    *out_p = v.mv_data;
    return OK;
}

static enum err lmdb_del(struct kv_txn *base, struct slice key)
{
    struct lmdb_txn *t = txn_of(base);
    MDB_val k = val_of(key);
    check_key(key);
    ASSERT(t->write);
    return txn_error(t, "mdb_del", mdb_del(t->txn, kv_of(base->kv)->dbi, &k, NULL));
}

/* --- cursors --- */

static enum err lmdb_cursor_open(struct kv_txn *base, struct kv_cursor **out)
{
    struct lmdb_txn *t = txn_of(base);
    struct lmdb_cursor *c = mem_zalloc(sizeof(*c));
    if (c == NULL) {
        return ERR_NOMEM;
    }
    int rc = mdb_cursor_open(t->txn, kv_of(base->kv)->dbi, &c->cursor);
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
    txn_of(base->txn)->cursors_open--;
    mem_free(c);
}

static enum err cursor_move(struct lmdb_cursor *c, MDB_val *k, MDB_cursor_op op, struct slice *out_key,
                            struct slice *out_value)
{
    MDB_val v;
    int rc = mdb_cursor_get(c->cursor, k, &v, op);
    if (rc != MDB_SUCCESS) {
        return txn_error(txn_of(c->base.txn), "mdb_cursor_get", rc);
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
    ASSERT(txn_of(base->txn)->write && !c->past_end);
    return txn_error(txn_of(base->txn), "mdb_cursor_del", mdb_cursor_del(c->cursor, 0));
}

/* --- environment --- */

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
    struct lmdb_kv *kv = kv_of(base);
    MDB_envinfo info;
    MDB_stat st;
    struct kv_txn *t;
    memset(out, 0, sizeof(*out));
    ASSERT(mdb_env_info(kv->env, &info) == MDB_SUCCESS);
    ASSERT(mdb_env_stat(kv->env, &st) == MDB_SUCCESS);
    out->map_bytes = info.me_mapsize;
    out->file_bytes = (info.me_last_pgno + 1) * st.ms_psize;
    if (begin_read(kv, &t) == OK) {
        out->free_pages = count_free_pages(txn_of(t)->txn);
        lmdb_abort(t);
    }
    uint64_t free_bytes = out->free_pages * st.ms_psize;
    out->used_bytes = out->file_bytes > free_bytes ? out->file_bytes - free_bytes : 0;
}

static void lmdb_close(struct kv *base)
{
    struct lmdb_kv *kv = kv_of(base);
    ASSERT(kv->writer.txn == NULL);
    for (struct lmdb_txn *t = kv->pool; t != NULL;) {
        struct lmdb_txn *next = t->next;
        mdb_txn_abort(t->txn);
        mem_free(t);
        t = next;
    }
    mdb_env_close(kv->env);
    ASSERT(pthread_mutex_destroy(&kv->pool_mutex) == 0);
    close(kv->lock_fd); /* releases the flock */
    mem_free(kv);
}

static const struct kv_ops lmdb_ops = {
    .begin = lmdb_begin,
    .commit = lmdb_commit,
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

static enum err refuse(struct buf *why, enum err e, const char *path, const char *what, const char *reason)
{
    /* The reason is a courtesy: without memory for it the error still says enough. */
    enum err ignored = buf_printf(why, "%s: %s: %s", path, what, reason);
    (void)ignored;
    return e;
}

/* A new file's name must survive a power loss too. */
static enum err sync_parent(const char *path)
{
    char *dir = mem_strdup(path);
    if (dir == NULL) {
        return ERR_NOMEM;
    }
    char *slash = strrchr(dir, '/');
    if (slash != NULL) {
        slash[slash == dir ? 1 : 0] = '\0';
    }
    int fd = open(slash == NULL ? "." : dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    mem_free(dir);
    if (fd < 0) {
        return ERR_IO;
    }
    int rc = fsync(fd);
    close(fd);
    return rc == 0 ? OK : ERR_IO;
}

static enum err lock_file(const struct kv_lmdb_config *cfg, int *out_fd, struct buf *why)
{
    int flags = cfg->read_only ? O_RDONLY : O_RDWR | O_CREAT;
    int fd = open(cfg->path, flags | O_CLOEXEC, 0600);
    if (fd < 0) {
        return refuse(why, ERR_IO, cfg->path, "cannot open", strerror(errno));
    }
    if (flock(fd, (cfg->read_only ? LOCK_SH : LOCK_EX) | LOCK_NB) != 0) {
        enum err e = errno == EWOULDBLOCK ? ERR_LOCKED : ERR_IO;
        const char *reason = e == ERR_LOCKED ? "another process uses it" : strerror(errno);
        close(fd);
        return refuse(why, e, cfg->path, "cannot lock", reason);
    }
    if (!cfg->read_only && sync_parent(cfg->path) != OK) {
        close(fd);
        return refuse(why, ERR_IO, cfg->path, "cannot sync its folder", strerror(errno));
    }
    *out_fd = fd;
    return OK;
}

static enum err open_error(int rc)
{
    switch (rc) {
    case MDB_INVALID:
    case MDB_VERSION_MISMATCH:
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_INCOMPATIBLE:
        return ERR_CORRUPT;
    case ENOMEM:
        return ERR_NOMEM;
    case ENOSPC:
    case MDB_MAP_FULL:
        return ERR_FULL;
    default:
        return ERR_IO;
    }
}

static int open_dbi(struct lmdb_kv *kv)
{
    MDB_txn *txn;
    int rc = mdb_txn_begin(kv->env, NULL, kv->read_only ? MDB_RDONLY : 0, &txn);
    if (rc != MDB_SUCCESS) {
        return rc;
    }
    rc = mdb_dbi_open(txn, NULL, 0, &kv->dbi);
    if (rc != MDB_SUCCESS) {
        mdb_txn_abort(txn);
        return rc;
    }
    return mdb_txn_commit(txn);
}

/* LMDB writes the two meta pages of a new file without a flush. They are made durable before any other page is written,
 * so that a power cut leaves either a store or a file without a row: see made_by_half. */
static int create_env(struct lmdb_kv *kv, const char *path, unsigned flags)
{
    struct stat st;
    bool fresh = !kv->read_only && fstat(kv->lock_fd, &st) == 0 && st.st_size == 0;
    int rc = mdb_env_open(kv->env, path, flags, 0600);
    return rc == MDB_SUCCESS && fresh ? mdb_env_sync(kv->env, 1) : rc;
}

static int open_env(struct lmdb_kv *kv, const struct kv_lmdb_config *cfg)
{
    unsigned flags = MDB_NOSUBDIR | MDB_NOTLS | (cfg->read_only ? MDB_RDONLY : 0);
    int dead = 0;
    int rc = mdb_env_set_mapsize(kv->env, cfg->map_bytes == 0 ? MAP_BYTES_DEFAULT : cfg->map_bytes);
    if (rc == MDB_SUCCESS) {
        rc = mdb_env_set_maxreaders(kv->env, cfg->readers_max == 0 ? READERS_MAX_DEFAULT : cfg->readers_max);
    }
    if (rc == MDB_SUCCESS) {
        rc = create_env(kv, cfg->path, flags);
    }
    /* Slots of readers that died would keep pages from being reused for ever. */
    if (rc == MDB_SUCCESS) {
        rc = mdb_reader_check(kv->env, &dead);
    }
    return rc == MDB_SUCCESS ? open_dbi(kv) : rc;
}

static int make_env(struct lmdb_kv *kv, const struct kv_lmdb_config *cfg)
{
    int rc = mdb_env_create(&kv->env);
    if (rc == MDB_SUCCESS) {
        rc = open_env(kv, cfg);
        if (rc != MDB_SUCCESS) {
            mdb_env_close(kv->env);
        }
    }
    return rc;
}

#define META_MAGIC UINT32_C(0xBEEFC0DE)
#define META_MAGIC_AT 16 /* behind the page's header */

/* Is the file, which is no store, what a power cut left of the making of one? Then it is not longer than the two meta
 * pages, each of which is LMDB's or never arrived; it never held a row. */
static bool made_by_half(const struct lmdb_kv *kv)
{
    struct stat st;
    off_t page = (off_t)sysconf(_SC_PAGESIZE);
    if (kv->read_only || fstat(kv->lock_fd, &st) != 0 || st.st_size > 2 * page) {
        return false;
    }
    for (off_t at = META_MAGIC_AT; at < st.st_size; at += page) {
        uint32_t magic = 0;
        if (pread(kv->lock_fd, &magic, sizeof(magic), at) < 0 || (magic != 0 && magic != META_MAGIC)) {
            return false;
        }
    }
    return true;
}

enum err kv_lmdb_open(const struct kv_lmdb_config *cfg, struct kv **out, struct buf *why)
{
    struct lmdb_kv *kv = mem_zalloc(sizeof(*kv));
    if (kv == NULL) {
        return ERR_NOMEM;
    }
    enum err e = lock_file(cfg, &kv->lock_fd, why);
    if (e != OK) {
        mem_free(kv);
        return e;
    }
    kv->base.ops = &lmdb_ops;
    kv->read_only = cfg->read_only;
    kv->flush_delay_ms = cfg->flush_delay_ms;
    kv->writer.base.ops = &lmdb_ops;
    kv->writer.base.kv = &kv->base;
    kv->writer.write = true;
    int rc = make_env(kv, cfg);
    if (rc == MDB_INVALID && made_by_half(kv) && ftruncate(kv->lock_fd, 0) == 0) {
        rc = make_env(kv, cfg);
    }
    if (rc != MDB_SUCCESS) {
        e = refuse(why, open_error(rc), cfg->path, "cannot open as a volume", mdb_strerror(rc));
        close(kv->lock_fd);
        mem_free(kv);
        return e;
    }
    ASSERT(pthread_mutex_init(&kv->pool_mutex, NULL) == 0);
    *out = &kv->base;
    return OK;
}
