/* Inside the store on LMDB: keys and cursors (kv_lmdb.c), transactions (lmdb_txn.c), opening and closing
 * (lmdb_open.c), durability (lmdb_checkpoint.c).
 *
 * A commit is durable when its record is in the write-ahead log (wal.h). LMDB commits the same transaction without a
 * flush, for the readers, alone or with those that follow it. At times the state after a commit becomes a checkpoint
 * (checkpoint.h): the writer's thread takes a read transaction of it and sends the log to its other file; the
 * checkpoint's thread then flushes the volume's file, writes the checkpoint and ends the read transaction of the one
 * before. */
#ifndef STORAGE_KV_LMDB_INTERNAL_H
#define STORAGE_KV_LMDB_INTERNAL_H

#include <lmdb.h>
#include <pthread.h>

#include "proto/base/kv.h"
#include "storage/kv/checkpoint.h"
#include "storage/kv/kv_lmdb.h"
#include "storage/kv/wal.h"

struct lmdb_txn {
    struct kv_txn base;
    MDB_txn *txn;
    bool write;
    bool busy;       /* the writer: between begin and end */
    enum err failed; /* first failure of a write transaction: LMDB refuses everything after it */
    uint32_t cursors_open;
    struct lmdb_txn *next; /* pool */
};

/* Commits that no reader can have seen (lmdb_txn.c): the writer's transaction is open and holds them. */
struct lmdb_hidden {
    uint64_t commits;
    size_t changes_n;
    struct buf changes;    /* payloads of their records */
    pthread_t thread;      /* atomic: the last one that wrote, which must publish them */
    bool any;              /* atomic: commits > 0 */
    bool wanted;           /* atomic: a reader has begun since the last publish */
    uint64_t rounds;       /* of publishing */
    pthread_mutex_t mutex; /* rounds */
    pthread_cond_t published;
};

enum checkpoint_phase {
    CHECKPOINT_NONE,    /* the writer may begin one */
    CHECKPOINT_WAITING, /* the thread has `next` to make */
    CHECKPOINT_CLOSING, /* the thread ends */
};

struct lmdb_checkpointer {
    struct checkpoint_file file;
    struct checkpoint last;
    struct checkpoint next;
    MDB_txn *pin;      /* keeps the pages of `last`; NULL: of a store that nobody has written to */
    MDB_txn *pin_next; /* of `next` */
    uint64_t began_ms; /* when the log's file in hand was begun */
    uint64_t bytes_max;
    bool inline_only; /* no thread: the writer makes them */
    pthread_t thread;
    pthread_mutex_t mutex; /* phase; while it is WAITING, next and pin_next are the thread's */
    pthread_cond_t changed;
    enum checkpoint_phase phase;
};

struct lmdb_kv {
    struct kv base;
    MDB_env *env;
    MDB_dbi dbi;
    int lock_fd; /* of the volume's file */
    uint32_t flush_delay_ms;
    pthread_mutex_t pool_mutex;
    struct lmdb_txn *pool; /* reset read transactions */
    struct lmdb_txn writer;
    struct lmdb_hidden hidden;
    struct wal *wal;
    struct lmdb_checkpointer checkpointer;
};

static inline struct lmdb_kv *lmdb_kv_of(struct kv *kv)
{
    return (struct lmdb_kv *)(void *)kv;
}
static inline struct lmdb_txn *lmdb_txn_of(struct kv_txn *t)
{
    return (struct lmdb_txn *)(void *)t;
}

/* Promise 1: what cannot be made durable is not answered. The restart recovers from what is on disk. */
__attribute__((noreturn, cold)) void lmdb_fatal(const char *what, const char *reason, int code);
/* LMDB's code as an error; one that leaves no way on is fatal. */
MUST_CHECK enum err lmdb_error(const char *what, int rc);

/* --- lmdb_txn.c --- */

enum err lmdb_begin(struct kv *base, bool write, struct kv_txn **out);
enum err lmdb_commit(struct kv_txn *base);
enum err lmdb_commit_durable(struct kv_txn *base);
void lmdb_abort(struct kv_txn *base);
void lmdb_publish(struct kv *base);
void lmdb_delay(uint32_t ms);
/* LMDB's commit, without a flush. */
MUST_CHECK enum err lmdb_pages_commit(struct lmdb_kv *kv, MDB_txn *txn);
/* The changes of records' payloads, one behind the other, into a transaction of LMDB. */
MUST_CHECK enum err lmdb_carry_out(struct lmdb_kv *kv, MDB_txn *txn, struct slice payload);

/* --- lmdb_open.c --- */

extern const struct kv_ops lmdb_ops; /* kv_lmdb.c */
void lmdb_close(struct kv *base);
/* The names of files made in the volume's folder survive a power cut. ERR_IO, ERR_NOMEM. */
MUST_CHECK enum err lmdb_sync_parent(const char *path);

/* --- lmdb_checkpoint.c: all on the writer's thread, or before it exists --- */

/* Before LMDB opens the file: the state of the last checkpoint. *out_known: there is one. Errors with the reason. */
MUST_CHECK enum err lmdb_checkpoint_restore(struct lmdb_kv *kv, const char *path, bool *out_known, struct buf *why);
/* LMDB is open: the log's records behind the checkpoint are carried out, and a checkpoint holds them. Starts the
 * thread. */
MUST_CHECK enum err lmdb_checkpoint_start(struct lmdb_kv *kv, const struct kv_lmdb_config *cfg, bool known,
                                          struct buf *why);
/* Whether it is time for one. */
bool lmdb_checkpoint_due(struct lmdb_kv *kv);
/* After each publish: begins one that is due. Waits only when the log has grown to several times its bound. */
void lmdb_checkpoint_tick(struct lmdb_kv *kv);
/* The last one, so that the next start has nothing to carry out; ends the thread. */
void lmdb_checkpoint_stop(struct lmdb_kv *kv);

#endif /* STORAGE_KV_LMDB_INTERNAL_H */
