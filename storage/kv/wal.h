/* The write-ahead log of a volume: what makes a commit durable. A transaction is one record, written and flushed in one
 * sequential stroke, while LMDB's pages, scattered over its file, reach the disk later (lmdb_checkpoint.h). After a
 * crash the records behind the last checkpoint are carried out once more.
 *
 * Two files beside the volume, PATH-wal0 and PATH-wal1, are written in turn: a checkpoint sends the next record to the
 * start of the other one (wal_switch), whose records the checkpoint before made superfluous. So no file is made,
 * renamed or deleted while the volume lives, and after the first round no flush has to tell the file system of new
 * blocks. A record starts at a multiple of WAL_BLOCK_BYTES, so that a torn write never touches the one before:
 *
 *   magic(4) crc32c(4, of what follows) store(8) seq(8) kind(4) payload bytes(4), payload
 *   payload: changes, each kind(1) 0(1) key bytes(2) value bytes(4), key, value
 *
 * all little-endian. seq ascends by one from record to record over both files. `store` is a random number of the
 * volume: bytes of a mail that look like a record are none, nor is another volume's file. A record of the kind VOID
 * takes back the one before it, which the store could not carry out (its disk was full).
 *
 * One thread. Nothing here is shared with readers. */
#ifndef STORAGE_KV_WAL_H
#define STORAGE_KV_WAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/base/buf.h"
#include "proto/base/slice.h"

#ifdef __cplusplus
extern "C" {
#endif

#define WAL_BLOCK_BYTES 4096
/* A transaction's changes; a turn's are a few MiB. */
#define WAL_RECORD_BYTES_MAX ((size_t)1 << 30)

struct wal;

struct wal_config {
    const char *path; /* of the volume */
    uint64_t store;
};

/* Makes the files when missing. ERR_IO, ERR_NOMEM with the reason in why. The caller syncs the folder. */
MUST_CHECK enum err wal_open(const struct wal_config *cfg, struct wal **out, struct buf *why);
void wal_close(struct wal *w);

/* --- the transaction in hand --- */

/* Forgets what was gathered. */
void wal_begin(struct wal *w);
/* ERR_NOMEM, ERR_LIMIT: the transaction must be given up. */
MUST_CHECK enum err wal_put(struct wal *w, struct slice key, struct slice value);
MUST_CHECK enum err wal_del(struct wal *w, struct slice key);
/* A value that its writer fills in later: room for it now, and the place (wal_later_at) from where wal_fetch takes it
 * before anything makes its bytes move. */
MUST_CHECK enum err wal_put_later(struct wal *w, struct slice key, size_t value_n);
void wal_later_at(struct wal *w, const uint8_t *value);
void wal_fetch(struct wal *w);
bool wal_is_empty(const struct wal *w);
/* What was gathered, as a replay gives it, and how many changes it is. Not empty; valid until the next call that
 * changes it. */
struct slice wal_payload(struct wal *w);
size_t wal_changes(const struct wal *w);

/* Writes what was gathered as a record and flushes it; blocks. ERR_FULL, ERR_NOMEM: nothing was written that counts.
 * ERR_IO: nobody knows; the process must stop. */
MUST_CHECK enum err wal_commit(struct wal *w);
/* Takes the record just committed back. Needs no space. Errors: the process must stop. */
MUST_CHECK enum err wal_void(struct wal *w);

/* Of the last record; 0: none yet. */
uint64_t wal_seq(const struct wal *w);
/* Written to the file in hand. */
uint64_t wal_bytes(const struct wal *w);
/* The next record goes to the start of the other file. Only when everything in that file is in a checkpoint. */
void wal_switch(struct wal *w);

/* --- after a start --- */

/* Gives the payload of each record behind `after`, in order, without those that were taken back; then new records
 * continue the numbers. ERR_CORRUPT: a record is damaged or missing although a later one is there, or a payload is not
 * what it should be (said by apply). ERR_IO, ERR_NOMEM; errors of apply. Before the next wal_commit the caller makes a
 * checkpoint of what it was given. */
MUST_CHECK enum err wal_replay(struct wal *w, uint64_t after, enum err (*apply)(void *ctx, struct slice payload),
                               void *ctx);

/* One change of a payload. */
struct wal_change {
    bool del;
    struct slice key;
    struct slice value;
};

/* Takes the next one from the front of io_payload. ERR_NOTFOUND: no more. ERR_CORRUPT. */
MUST_CHECK enum err wal_change_next(struct slice *io_payload, struct wal_change *out);

#ifdef __cplusplus
}
#endif

#endif /* STORAGE_KV_WAL_H */
