#include "storage/kv/lmdb_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/base/assert.h"
#include "proto/base/mem.h"

_Static_assert(sizeof(off_t) == 8 && sizeof(size_t) == 8, "a volume is larger than a 32-bit offset");

#define MAP_BYTES_DEFAULT ((uint64_t)1 << 40)
#define READERS_MAX_DEFAULT 512
#define CHECKPOINT_READERS 2 /* the state of the last checkpoint, and that of the one being made */

static enum err refuse(struct buf *why, enum err e, const char *path, const char *what, const char *reason)
{
    /* The reason is a courtesy: without memory for it the error still says enough. */
    enum err ignored = buf_printf(why, "%s: %s: %s", path, what, reason);
    (void)ignored;
    return e;
}

/* A new file's name must survive a power loss too. */
enum err lmdb_sync_parent(const char *path)
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
    int fd = open(cfg->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        return refuse(why, ERR_IO, cfg->path, "cannot open", strerror(errno));
    }
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        enum err e = errno == EWOULDBLOCK ? ERR_LOCKED : ERR_IO;
        const char *reason = e == ERR_LOCKED ? "another process uses it" : strerror(errno);
        close(fd);
        return refuse(why, e, cfg->path, "cannot lock", reason);
    }
    if (lmdb_sync_parent(cfg->path) != OK) {
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
    int rc = mdb_txn_begin(kv->env, NULL, 0, &txn);
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
    bool fresh = fstat(kv->lock_fd, &st) == 0 && st.st_size == 0;
    int rc = mdb_env_open(kv->env, path, flags, 0600);
    return rc == MDB_SUCCESS && fresh ? mdb_env_sync(kv->env, 1) : rc;
}

static int open_env(struct lmdb_kv *kv, const struct kv_lmdb_config *cfg)
{
    unsigned flags = MDB_NOSUBDIR | MDB_NOTLS | MDB_NOSYNC;
    uint32_t readers = cfg->readers_max == 0 ? READERS_MAX_DEFAULT : cfg->readers_max;
    int dead = 0;
    int rc = mdb_env_set_mapsize(kv->env, cfg->map_bytes == 0 ? MAP_BYTES_DEFAULT : cfg->map_bytes);
    if (rc == MDB_SUCCESS) {
        rc = mdb_env_set_maxreaders(kv->env, readers + CHECKPOINT_READERS);
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
    if (fstat(kv->lock_fd, &st) != 0 || st.st_size > 2 * page) {
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

static int volume_make_env(struct lmdb_kv *kv, const struct kv_lmdb_config *cfg)
{
    int rc = make_env(kv, cfg);
    if (rc == MDB_INVALID && made_by_half(kv) && ftruncate(kv->lock_fd, 0) == 0) {
        rc = make_env(kv, cfg);
    }
    return rc;
}

/* The file is locked. */
static enum err volume_open_locked(struct lmdb_kv *kv, const struct kv_lmdb_config *cfg, struct buf *why)
{
    bool known;
    enum err e = lmdb_checkpoint_restore(kv, cfg->path, &known, why);
    if (e != OK) {
        return e;
    }
    int rc = volume_make_env(kv, cfg);
    if (rc != MDB_SUCCESS) {
        checkpoint_close(&kv->checkpointer.file);
        return refuse(why, open_error(rc), cfg->path, "cannot open as a volume", mdb_strerror(rc));
    }
    e = lmdb_checkpoint_start(kv, cfg, known, why);
    if (e != OK) {
        mdb_env_close(kv->env);
        checkpoint_close(&kv->checkpointer.file);
    }
    return e;
}

static struct lmdb_kv *kv_new(const struct kv_lmdb_config *cfg)
{
    struct lmdb_kv *kv = mem_zalloc(sizeof(*kv));
    if (kv != NULL) {
        kv->base.ops = &lmdb_ops;
        kv->flush_delay_ms = cfg->flush_delay_ms;
        kv->writer.base.ops = &lmdb_ops;
        kv->writer.base.kv = &kv->base;
        kv->writer.write = true;
        buf_init(&kv->hidden.changes, WAL_RECORD_BYTES_MAX);
    }
    return kv;
}

enum err kv_lmdb_open(const struct kv_lmdb_config *cfg, struct kv **out, struct buf *why)
{
    struct lmdb_kv *kv = kv_new(cfg);
    if (kv == NULL) {
        return ERR_NOMEM;
    }
    enum err e = lock_file(cfg, &kv->lock_fd, why);
    if (e != OK) {
        mem_free(kv);
        return e;
    }
    e = volume_open_locked(kv, cfg, why);
    if (e != OK) {
        close(kv->lock_fd);
        mem_free(kv);
        return e;
    }
    ASSERT(pthread_mutex_init(&kv->pool_mutex, NULL) == 0);
    ASSERT(pthread_mutex_init(&kv->hidden.mutex, NULL) == 0);
    ASSERT(pthread_cond_init(&kv->hidden.published, NULL) == 0);
    *out = &kv->base;
    return OK;
}

enum err kv_lmdb_settle(const char *path, struct buf *why)
{
    struct checkpoint_file f;
    struct checkpoint c;
    int fd;
    struct kv_lmdb_config cfg = {.path = path};
    enum err e = checkpoint_open(path, false, &f, why);
    if (e != OK) {
        return e == ERR_NOTFOUND ? OK : e;
    }
    e = lock_file(&cfg, &fd, why);
    if (e == OK) {
        e = checkpoint_read(&f, &c);
        if (e == OK) {
            e = checkpoint_restore(fd, &c);
        }
        close(fd);
        e = e == ERR_NOTFOUND || e == ERR_CORRUPT ? OK : e; /* whoever looks at the pages sees what is wrong */
    }
    checkpoint_close(&f);
    return e;
}

/* --- close --- */

void lmdb_close(struct kv *base)
{
    struct lmdb_kv *kv = lmdb_kv_of(base);
    lmdb_publish(base);
    ASSERT(kv->writer.txn == NULL && !kv->writer.busy);
    lmdb_checkpoint_stop(kv);
    for (struct lmdb_txn *t = kv->pool; t != NULL;) {
        struct lmdb_txn *next = t->next;
        mdb_txn_abort(t->txn);
        mem_free(t);
        t = next;
    }
    mdb_env_close(kv->env);
    ASSERT(pthread_mutex_destroy(&kv->pool_mutex) == 0);
    ASSERT(pthread_mutex_destroy(&kv->hidden.mutex) == 0);
    ASSERT(pthread_cond_destroy(&kv->hidden.published) == 0);
    buf_fini(&kv->hidden.changes);
    close(kv->lock_fd); /* releases the flock */
    mem_free(kv);
}
