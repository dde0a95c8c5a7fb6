#include "storage/kv/lmdb_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "proto/base/assert.h"
#include "proto/base/clock.h"
#include "proto/base/fault.h"
#include "proto/base/log.h"
#include "proto/base/rng.h"

/* A checkpoint at least so often while there are commits: until it is made no page that it holds is used again, and
 * the file grows by what is written. */
#define INTERVAL_MS 1000
#define BYTES_MAX_DEFAULT ((uint64_t)64 << 20)
/* Of a small disk the log takes its part at once, not when the disk is nearly full: what is left is told by what is
 * free then (storage.reserve), and the log could have grown far beyond that. */
#define BYTES_MAX_DISK_SHARE 64
#define BYTES_MAX_LEAST ((uint64_t)1 << 20)
/* The writer waits for the disk when the log has grown so far while a checkpoint is being made. */
#define BYTES_MAX_FACTOR 4
/* The volume goes to the disk in parts of this size, or in so many parts: a flush of the log waits for what is in the
 * disk's queue before it. All at once, each waited 5 ms for a third of each second; so, LMTP and APPEND are 8 to 14 %
 * faster. */
#define PART_BYTES ((off_t)1 << 20)
#define PARTS_MAX 65536
/* A replay commits so often between two checkpoints' worth of log. */
#define REPLAY_PARTS 4

static enum err complain(struct buf *why, enum err e, const char *path, const char *what)
{
    enum err ignored = buf_printf(why, "%s: %s: %s", path, what, err_text(e));
    (void)ignored; /* a courtesy */
    return e;
}

static uint32_t page_bytes(MDB_env *env)
{
    MDB_stat st;
    ASSERT(mdb_env_stat(env, &st) == MDB_SUCCESS);
    return st.ms_psize;
}

/* --- making one --- */

/* The state after the last commit, held by a read transaction. false: no slot or no memory for that now. */
static bool capture(struct lmdb_kv *kv)
{
    struct lmdb_checkpointer *c = &kv->checkpointer;
    int rc = mdb_txn_begin(kv->env, NULL, MDB_RDONLY, &c->pin_next);
    if (rc != MDB_SUCCESS) {
        return false;
    }
    c->next = (struct checkpoint){.store = c->last.store,
                                  .seq = kv->wal == NULL ? 0 : wal_seq(kv->wal),
                                  .txnid = mdb_txn_id(c->pin_next),
                                  .page_bytes = page_bytes(kv->env)};
    enum err e = checkpoint_meta_read(kv->lock_fd, c->next.txnid, c->next.page_bytes, c->next.meta);
    if (e != OK) {
        lmdb_fatal("checkpoint", err_text(e), (int)e);
    }
    return true;
}

/* Ahead of the flush that counts. This descriptor is not LMDB's, so that an error stays there for that flush to report.
 */
static void pages_write(const struct lmdb_kv *kv)
{
    struct stat st;
    if (fstat(kv->lock_fd, &st) != 0) {
        return;
    }
    off_t part = st.st_size / PARTS_MAX > PART_BYTES ? st.st_size / PARTS_MAX : PART_BYTES;
    for (off_t at = 0; at < st.st_size; at += part) {
        int rc = sync_file_range(kv->lock_fd, at, part,
                                 SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER);
        if (rc != 0 && errno != EINTR) {
            return; /* not every file system can */
        }
    }
}

/* Blocks on the disk. Only then may the log's other file and the older state's pages be used again. */
static void make(struct lmdb_kv *kv)
{
    struct lmdb_checkpointer *c = &kv->checkpointer;
    fault_pass(FAULT_CHECKPOINT_BEFORE);
    pages_write(kv);
    int rc = mdb_env_sync(kv->env, 1);
    if (rc != MDB_SUCCESS) {
        lmdb_fatal("mdb_env_sync", mdb_strerror(rc), rc);
    }
    enum err e = checkpoint_write(&c->file, &c->next);
    if (e != OK) {
        lmdb_fatal("checkpoint", err_text(e), (int)e);
    }
    lmdb_delay(2 * kv->flush_delay_ms);
    fault_pass(FAULT_CHECKPOINT_AFTER);
    mdb_txn_abort(c->pin);
    c->pin = c->pin_next;
    c->pin_next = NULL;
    c->last = c->next;
}

static void *checkpoint_thread(void *ctx)
{
    struct lmdb_kv *kv = ctx;
    struct lmdb_checkpointer *c = &kv->checkpointer;
    ASSERT(pthread_mutex_lock(&c->mutex) == 0);
    while (c->phase != CHECKPOINT_CLOSING) {
        if (c->phase != CHECKPOINT_WAITING) {
            ASSERT(pthread_cond_wait(&c->changed, &c->mutex) == 0);
            continue;
        }
        ASSERT(pthread_mutex_unlock(&c->mutex) == 0);
        make(kv);
        ASSERT(pthread_mutex_lock(&c->mutex) == 0);
        c->phase = CHECKPOINT_NONE;
        ASSERT(pthread_cond_signal(&c->changed) == 0);
    }
    ASSERT(pthread_mutex_unlock(&c->mutex) == 0);
    return NULL;
}

static void phase_enter(struct lmdb_checkpointer *c, enum checkpoint_phase phase)
{
    ASSERT(pthread_mutex_lock(&c->mutex) == 0);
    ASSERT(c->phase == CHECKPOINT_NONE);
    c->phase = phase;
    ASSERT(pthread_cond_signal(&c->changed) == 0);
    ASSERT(pthread_mutex_unlock(&c->mutex) == 0);
}

/* Whether none is being made, after waiting for that or not. */
static bool is_free(struct lmdb_checkpointer *c, bool wait)
{
    ASSERT(pthread_mutex_lock(&c->mutex) == 0);
    while (wait && c->phase == CHECKPOINT_WAITING) {
        ASSERT(pthread_cond_wait(&c->changed, &c->mutex) == 0);
    }
    bool free = c->phase == CHECKPOINT_NONE;
    ASSERT(pthread_mutex_unlock(&c->mutex) == 0);
    return free;
}

static bool must_wait(const struct lmdb_kv *kv)
{
    return wal_bytes(kv->wal) >= BYTES_MAX_FACTOR * kv->checkpointer.bytes_max;
}

bool lmdb_checkpoint_due(struct lmdb_kv *kv)
{
    struct lmdb_checkpointer *c = &kv->checkpointer;
    bool full = wal_bytes(kv->wal) >= c->bytes_max;
    bool old = !c->inline_only && clock_mono_ms(clock_system()) - c->began_ms >= INTERVAL_MS;
    return (full || old) && (must_wait(kv) || is_free(c, false));
}

void lmdb_checkpoint_tick(struct lmdb_kv *kv)
{
    struct lmdb_checkpointer *c = &kv->checkpointer;
    if (!lmdb_checkpoint_due(kv) || !is_free(c, must_wait(kv)) || !capture(kv)) {
        return;
    }
    wal_switch(kv->wal);
    c->began_ms = clock_mono_ms(clock_system());
    if (c->inline_only) {
        make(kv);
    } else {
        phase_enter(c, CHECKPOINT_WAITING);
    }
}

/* --- start --- */

static bool file_beside(const char *path, const char *suffix)
{
    char name[4096];
    int n = snprintf(name, sizeof(name), "%s%s", path, suffix);
    return n > 0 && (size_t)n < sizeof(name) && access(name, F_OK) == 0;
}

/* The checkpoint that was read goes into the file, unless it is of a store whose making was cut short: that one has
 * no stamp and no record, and is made anew. */
static enum err state_restore(struct lmdb_kv *kv, const char *path, enum err read, bool *out_known, struct buf *why)
{
    const struct checkpoint *last = &kv->checkpointer.last;
    uint64_t stamp;
    enum err e = read == ERR_NOTFOUND ? OK : read;
    if (e == OK) {
        e = checkpoint_stamp_read(kv->lock_fd, &stamp);
    }
    if (e != OK) {
        return complain(why, e, path, "cannot read its checkpoint");
    }
    if (read == ERR_NOTFOUND && (stamp != 0 || file_beside(path, "-wal0"))) {
        return complain(why, ERR_CORRUPT, path, "has a write-ahead log, but its checkpoint is gone: put it back");
    }
    *out_known = read == OK && (stamp != 0 || last->seq != 0);
    e = *out_known ? checkpoint_restore(kv->lock_fd, last) : OK;
    return e == OK ? OK
                   : complain(why, e, path,
                              "cannot go back to its checkpoint (are the files beside it of another volume?)");
}

enum err lmdb_checkpoint_restore(struct lmdb_kv *kv, const char *path, bool *out_known, struct buf *why)
{
    struct lmdb_checkpointer *c = &kv->checkpointer;
    enum err e = checkpoint_open(path, true, &c->file, why);
    if (e != OK) {
        return e;
    }
    e = state_restore(kv, path, checkpoint_read(&c->file, &c->last), out_known, why);
    if (e != OK) {
        checkpoint_close(&c->file);
    }
    return e;
}

/* The first of a store that is new, or from before there were checkpoints: then each commit was flushed. */
static enum err first_make(struct lmdb_kv *kv, const char *path, struct buf *why)
{
    struct lmdb_checkpointer *c = &kv->checkpointer;
    c->last.store = rng_u64(rng_system());
    if (!capture(kv)) {
        return ERR_NOMEM;
    }
    c->pin = c->pin_next;
    c->pin_next = NULL;
    c->last = c->next;
    int rc = mdb_env_sync(kv->env, 1);
    enum err e = rc == MDB_SUCCESS ? checkpoint_write(&c->file, &c->last) : ERR_IO;
    if (e == OK) {
        e = lmdb_sync_parent(path);
    }
    return e == OK ? OK : complain(why, e, path, "cannot write its first checkpoint");
}

struct replaying {
    struct lmdb_kv *kv;
    MDB_txn *txn;
    uint64_t bytes;
    uint64_t records;
};

static enum err replay_commit(struct replaying *r)
{
    if (r->txn == NULL) {
        return OK;
    }
    MDB_txn *txn = r->txn;
    r->txn = NULL;
    r->bytes = 0;
    return lmdb_pages_commit(r->kv, txn);
}

static enum err record_carry_out(void *ctx, struct slice payload)
{
    struct replaying *r = ctx;
    int rc = r->txn == NULL ? mdb_txn_begin(r->kv->env, NULL, 0, &r->txn) : MDB_SUCCESS;
    enum err e = rc == MDB_SUCCESS ? lmdb_carry_out(r->kv, r->txn, payload) : lmdb_error("mdb_txn_begin", rc);
    r->records++;
    r->bytes += payload.n;
    if (e != OK) {
        return e;
    }
    return r->bytes >= r->kv->checkpointer.bytes_max / REPLAY_PARTS ? replay_commit(r) : OK;
}

/* The checkpoint's pages are held until the next one is made: a crash on the way begins anew. */
static enum err replay(struct lmdb_kv *kv, const char *path, struct buf *why)
{
    struct lmdb_checkpointer *c = &kv->checkpointer;
    struct replaying r = {.kv = kv};
    enum err e = wal_replay(kv->wal, c->last.seq, record_carry_out, &r);
    if (e == OK) {
        e = replay_commit(&r);
    }
    if (e != OK) {
        if (r.txn != NULL) {
            mdb_txn_abort(r.txn);
        }
        return complain(why, e, path, "its write-ahead log cannot be carried out");
    }
    if (r.records == 0) {
        return OK;
    }
    if (!capture(kv)) {
        return ERR_NOMEM;
    }
    make(kv);
    log_info("kv.recovered", "the store was not closed; its log was carried out", LOG_STR("path", path),
             LOG_U64("transactions", r.records));
    return OK;
}

static enum err pin_last(struct lmdb_kv *kv)
{
    struct lmdb_checkpointer *c = &kv->checkpointer;
    if (c->pin != NULL) {
        return OK; /* the first checkpoint, just made */
    }
    int rc = mdb_txn_begin(kv->env, NULL, MDB_RDONLY, &c->pin);
    if (rc != MDB_SUCCESS) {
        return lmdb_error("mdb_txn_begin", rc);
    }
    return mdb_txn_id(c->pin) == c->last.txnid ? OK : ERR_CORRUPT;
}

/* A new store's files are all there before it gets its stamp: those of a known one are never missing by a crash. */
static enum err wal_begin_use(struct lmdb_kv *kv, const char *path, bool known, struct buf *why)
{
    struct wal_config cfg = {.path = path, .store = kv->checkpointer.last.store};
    if (known && !(file_beside(path, "-wal0") && file_beside(path, "-wal1"))) {
        return complain(why, ERR_CORRUPT, path, "its write-ahead log (-wal0, -wal1) is gone: put it back");
    }
    enum err e = wal_open(&cfg, &kv->wal, why);
    if (e == OK) {
        e = lmdb_sync_parent(path);
    }
    if (e == OK && !known) {
        e = checkpoint_stamp(kv->lock_fd, cfg.store);
    }
    return e == OK ? replay(kv, path, why) : e;
}

static void thread_start(struct lmdb_kv *kv, const struct kv_lmdb_config *cfg)
{
    struct lmdb_checkpointer *c = &kv->checkpointer;
    c->inline_only = cfg->checkpoint_inline;
    c->began_ms = clock_mono_ms(clock_system());
    ASSERT(pthread_mutex_init(&c->mutex, NULL) == 0);
    ASSERT(pthread_cond_init(&c->changed, NULL) == 0);
    if (!c->inline_only) {
        ASSERT(pthread_create(&c->thread, NULL, checkpoint_thread, kv) == 0);
    }
}

static void resources_free(struct lmdb_kv *kv)
{
    struct lmdb_checkpointer *c = &kv->checkpointer;
    if (c->pin_next != NULL) {
        mdb_txn_abort(c->pin_next);
    }
    if (c->pin != NULL) {
        mdb_txn_abort(c->pin);
    }
    if (kv->wal != NULL) {
        wal_close(kv->wal);
    }
}

static uint64_t bytes_max_of(const struct lmdb_kv *kv)
{
    struct statvfs v;
    if (fstatvfs(kv->lock_fd, &v) != 0 || v.f_blocks == 0) {
        return BYTES_MAX_DEFAULT;
    }
    uint64_t share = (uint64_t)v.f_blocks * v.f_frsize / BYTES_MAX_DISK_SHARE;
    share = share > BYTES_MAX_LEAST ? share : BYTES_MAX_LEAST;
    return share < BYTES_MAX_DEFAULT ? share : BYTES_MAX_DEFAULT;
}

enum err lmdb_checkpoint_start(struct lmdb_kv *kv, const struct kv_lmdb_config *cfg, bool known, struct buf *why)
{
    kv->checkpointer.bytes_max = cfg->checkpoint_bytes == 0 ? bytes_max_of(kv) : cfg->checkpoint_bytes;
    enum err e = known ? OK : first_make(kv, cfg->path, why);
    if (e == OK) {
        e = pin_last(kv);
    }
    if (e == OK) {
        e = wal_begin_use(kv, cfg->path, known, why);
    }
    if (e != OK) {
        resources_free(kv);
        return e;
    }
    thread_start(kv, cfg);
    return OK;
}

/* --- end --- */

void lmdb_checkpoint_stop(struct lmdb_kv *kv)
{
    struct lmdb_checkpointer *c = &kv->checkpointer;
    bool free = is_free(c, true);
    ASSERT(free);
    if (wal_seq(kv->wal) != c->last.seq && capture(kv)) {
        make(kv);
    }
    phase_enter(c, CHECKPOINT_CLOSING);
    if (!c->inline_only) {
        ASSERT(pthread_join(c->thread, NULL) == 0);
    }
    ASSERT(pthread_cond_destroy(&c->changed) == 0);
    ASSERT(pthread_mutex_destroy(&c->mutex) == 0);
    resources_free(kv);
    checkpoint_close(&c->file);
}
