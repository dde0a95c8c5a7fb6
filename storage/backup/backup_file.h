/* A backup's files (storage/backup/README.md): one shard's state (BACKUP_BASE) or a run of its log (BACKUP_LOG), as
 * blocks compressed with zstd, each with a crc32c, between a head and an end record. Without its end record a file is
 * refused, so one that was broken off is none. Bytes go out and come in through a function, so that files and streams
 * are the same; several files may follow each other in a stream.
 *
 * Little-endian:
 *
 *   head   "PBBACKUP" version(4) kind(4) cluster(16) shards(4) shard(4) wall ms(8) first(8) term before(8) crc(4)
 *   block  'B' 0(3) raw bytes(4) stored bytes(4) number(4) crc(4), stored bytes
 *   end    'E' 0(3) blocks(4) index(8) term(8) wall ms(8) records(8) raw bytes(8) crc of all before(4) crc(4)
 *
 * A crc covers its record in front of it, a block's its stored bytes too. A block's content is whole records: rows of a
 * copy (replication/copy.h) or entries (replication/saved.h). */
#ifndef STORAGE_BACKUP_BACKUP_FILE_H
#define STORAGE_BACKUP_BACKUP_FILE_H

#include "proto/base/buf.h"
#include "proto/base/id.h"

#ifdef __cplusplus
extern "C" {
#endif

#define BACKUP_FILE_VERSION 1
#define BACKUP_BLOCK_BYTES ((size_t)1 << 20)     /* a block is closed when it has so much */
#define BACKUP_BLOCK_BYTES_MAX ((size_t)2 << 20) /* and never has more */

/* BACKUP_MANIFEST ends a stream: its content is the manifest of the files before it. */
enum backup_kind { BACKUP_BASE = 1, BACKUP_LOG = 2, BACKUP_MANIFEST = 3 };

struct backup_head {
    enum backup_kind kind;
    struct u128 cluster;
    uint32_t shards; /* account shards of the cluster */
    struct shard_id shard;
    uint64_t wall_ms;     /* when it was begun */
    uint64_t first;       /* BACKUP_LOG: its first entry; else 0 */
    uint64_t term_before; /* BACKUP_LOG: of the entry before that; else 0 */
};

struct backup_end {
    uint64_t index;   /* of the state, or the last entry */
    uint64_t term;    /* its */
    uint64_t wall_ms; /* the source's clock: what it had acknowledged until then is in it */
    uint64_t records; /* rows or entries */
    uint64_t raw_bytes;
};

/* --- writing --- */

struct backup_writer;
/* All of the bytes or an error. */
typedef enum err (*backup_write_fn)(void *ctx, struct slice bytes);

/* Writes the head. ERR_NOMEM, and what write gives. */
MUST_CHECK enum err backup_writer_open(const struct backup_head *head, backup_write_fn write, void *ctx,
                                       struct backup_writer **out);
/* Whole records, at most BACKUP_BLOCK_BYTES_MAX - BACKUP_BLOCK_BYTES of them at once (ERR_LIMIT). */
MUST_CHECK enum err backup_writer_add(struct backup_writer *w, struct slice records);
/* raw_bytes is the writer's own. */
MUST_CHECK enum err backup_writer_end(struct backup_writer *w, const struct backup_end *end);
/* Of the file so far; its checksum is that of all its bytes. */
uint64_t backup_writer_bytes(const struct backup_writer *w);
uint32_t backup_writer_crc(const struct backup_writer *w);
void backup_writer_free(struct backup_writer *w);

/* --- reading --- */

struct backup_reader;
/* Up to n bytes, fewer only at the end: *out_n. ERR_IO. */
typedef enum err (*backup_read_fn)(void *ctx, void *p, size_t n, size_t *out_n);

/* Reads the head. ERR_CORRUPT, ERR_UNSUPPORTED (another version), ERR_NOTFOUND (nothing comes), ERR_IO, ERR_NOMEM; why
 * says what and at which offset. `name` stands before that, and stays. */
MUST_CHECK enum err backup_reader_open(const char *name, backup_read_fn read, void *ctx, struct backup_reader **out,
                                       struct buf *why);
const struct backup_head *backup_reader_head(const struct backup_reader *r);
/* The next block's content, valid until the next call. ERR_NOTFOUND: the end, which is sound; otherwise as above. */
MUST_CHECK enum err backup_reader_next(struct backup_reader *r, struct slice *out, struct buf *why);
/* After ERR_NOTFOUND. */
const struct backup_end *backup_reader_end(const struct backup_reader *r);
/* Nothing may follow: ERR_CORRUPT. */
MUST_CHECK enum err backup_reader_expect_eof(struct backup_reader *r, struct buf *why);
uint64_t backup_reader_bytes(const struct backup_reader *r);
uint32_t backup_reader_crc(const struct backup_reader *r);
/* Where the block in hand begins. */
uint64_t backup_reader_block_at(const struct backup_reader *r);
void backup_reader_free(struct backup_reader *r);

#ifdef __cplusplus
}
#endif

#endif /* STORAGE_BACKUP_BACKUP_FILE_H */
