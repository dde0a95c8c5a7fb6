/* The checkpoint of a volume: which of LMDB's states is whole on the disk, and from where on the write-ahead log has to
 * be carried out again.
 *
 * LMDB commits without a flush (lmdb_checkpoint.h), so after a power cut its two meta pages may point to trees that
 * never arrived. A checkpoint is made when everything up to some commit has been flushed: it keeps that commit's meta
 * page, and a read transaction of the running process keeps that tree's pages from being used again until the next one
 * is made. Putting the meta page back therefore gives exactly that state, whatever else is in the file.
 *
 * The file, PATH-checkpoint, has two slots of one block that are written in turn, so that a torn write leaves the older
 * one, whose log records are still there: they may be overwritten only after the newer one is flushed. */
#ifndef STORAGE_KV_CHECKPOINT_H
#define STORAGE_KV_CHECKPOINT_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/base/buf.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Of LMDB 0.9's meta page: its header and struct MDB_meta, padded. */
#define CHECKPOINT_META_BYTES 256

struct checkpoint {
    uint64_t store;      /* random number of this store: its log records carry it */
    uint64_t seq;        /* the last record that the state holds */
    uint64_t txnid;      /* LMDB's number of the state */
    uint32_t page_bytes; /* LMDB's */
    uint8_t meta[CHECKPOINT_META_BYTES];
};

struct checkpoint_file {
    int fd;
    uint64_t generation; /* of the newest slot; 0: none */
};

/* create: made when missing; the caller syncs the folder. ERR_NOTFOUND (not create), ERR_IO, with the reason in why. */
MUST_CHECK enum err checkpoint_open(const char *path, bool create, struct checkpoint_file *out, struct buf *why);
void checkpoint_close(struct checkpoint_file *f);

/* The newest whole one. ERR_NOTFOUND: none. ERR_IO. */
MUST_CHECK enum err checkpoint_read(struct checkpoint_file *f, struct checkpoint *out);
/* Written and flushed; blocks. ERR_IO: nobody knows. ERR_FULL: only for the first, which makes the file. */
MUST_CHECK enum err checkpoint_write(struct checkpoint_file *f, const struct checkpoint *c);

/* Says in the volume's file of which store it is, and flushes it: the last step of making a store, so that one that
 * says it has a checkpoint and a log; and a file that was put beside another store's is not spoilt. LMDB never writes
 * there. ERR_IO. */
MUST_CHECK enum err checkpoint_stamp(int fd, uint64_t store);
/* 0: it says nothing. ERR_IO. */
MUST_CHECK enum err checkpoint_stamp_read(int fd, uint64_t *out_store);
/* The meta page of a state out of the volume's file. ERR_IO; ERR_CORRUPT: it is not of that transaction. */
MUST_CHECK enum err checkpoint_meta_read(int fd, uint64_t txnid, uint32_t page_bytes, uint8_t *out_meta);
/* Puts the state back into the volume's file, which nobody has open with LMDB, and flushes it; what is as it should be
 * is not written. ERR_CORRUPT: the file is no LMDB file, of another store, or older than the checkpoint: nothing is
 * written. ERR_IO. */
MUST_CHECK enum err checkpoint_restore(int fd, const struct checkpoint *c);

#ifdef __cplusplus
}
#endif

#endif /* STORAGE_KV_CHECKPOINT_H */
