#include <zstd.h>

#include "proto/base/bytes.h"
#include "proto/base/hash.h"
#include "proto/base/mem.h"
#include "storage/backup/backup_format.h"

struct backup_reader {
    const char *name;
    backup_read_fn read;
    void *ctx;
    ZSTD_DCtx *zstd;
    struct backup_head head;
    struct backup_end end;
    uint8_t *stored;
    size_t stored_max;
    uint8_t *raw;
    uint32_t blocks;
    uint64_t raw_bytes;
    uint64_t bytes;
    uint64_t block_at;
    uint32_t crc;
};

static enum err explain(const struct backup_reader *r, struct buf *why, enum err e, uint64_t at, const char *what)
{
    enum err ignored = buf_printf(why, "%s: at byte %llu: %s", r->name, (unsigned long long)at, what);
    (void)ignored; /* a courtesy: the error says enough */
    return e;
}

/* All n bytes. *out_n, if not NULL, gets how many there were when they are too few. */
static enum err take(struct backup_reader *r, uint8_t *p, size_t n, size_t *out_n)
{
    size_t got = 0;
    enum err e = OK;
    while (e == OK && got < n) {
        size_t some = 0;
        e = r->read(r->ctx, p + got, n - got, &some);
        if (some == 0) {
            break;
        }
        got += some;
    }
    r->bytes += got;
    *out_n = got;
    return e == OK && got < n ? ERR_CORRUPT : e;
}

static enum err decode_head(struct backup_reader *r, const uint8_t *b, struct buf *why)
{
    struct backup_head *h = &r->head;
    if (memcmp(b, BACKUP_MAGIC, BACKUP_MAGIC_BYTES) != 0) {
        return explain(r, why, ERR_CORRUPT, 0, "this is no file of a backup");
    }
    if (get_le32(b + 64) != crc32c(0, b, 64)) {
        return explain(r, why, ERR_CORRUPT, 0, "the head is damaged");
    }
    if (get_le32(b + 8) != BACKUP_FILE_VERSION) {
        return explain(r, why, ERR_UNSUPPORTED, 0, "written by another version of Pillarbox");
    }
    uint32_t kind = get_le32(b + 12);
    memcpy(h->cluster.b, b + 16, sizeof(h->cluster.b));
    h->shards = get_le32(b + 32);
    h->shard.v = get_le32(b + 36);
    h->wall_ms = get_le64(b + 40);
    h->first = get_le64(b + 48);
    h->term_before = get_le64(b + 56);
    if (kind < BACKUP_BASE || kind > BACKUP_MANIFEST || h->shards == 0 || h->shards > UINT16_MAX ||
        h->shard.v > h->shards || (kind == BACKUP_LOG) != (h->first >= 2)) {
        return explain(r, why, ERR_CORRUPT, 0, "the head contradicts itself");
    }
    h->kind = (enum backup_kind)kind;
    return OK;
}

static enum err read_head(struct backup_reader *r, struct buf *why)
{
    uint8_t b[BACKUP_HEAD_BYTES];
    size_t got;
    enum err e = take(r, b, sizeof(b), &got);
    if (e == ERR_CORRUPT && got == 0) {
        return ERR_NOTFOUND;
    }
    if (e != OK) {
        return explain(r, why, e, 0, e == ERR_CORRUPT ? "the head is cut short" : err_text(e));
    }
    r->crc = crc32c(0, b, sizeof(b));
    return decode_head(r, b, why);
}

enum err backup_reader_open(const char *name, backup_read_fn read, void *ctx, struct backup_reader **out,
                            struct buf *why)
{
    struct backup_reader *r = mem_zalloc(sizeof(*r));
    if (r == NULL) {
        return ERR_NOMEM;
    }
    r->name = name;
    r->read = read;
    r->ctx = ctx;
    r->zstd = ZSTD_createDCtx();
    r->stored_max = ZSTD_compressBound(BACKUP_BLOCK_BYTES_MAX);
    r->stored = mem_alloc(r->stored_max);
    r->raw = mem_alloc(BACKUP_BLOCK_BYTES_MAX);
    enum err e = r->zstd == NULL || r->stored == NULL || r->raw == NULL ? ERR_NOMEM : read_head(r, why);
    if (e != OK) {
        backup_reader_free(r);
        return e;
    }
    *out = r;
    return OK;
}

const struct backup_head *backup_reader_head(const struct backup_reader *r)
{
    return &r->head;
}

/* --- blocks --- */

static enum err read_block(struct backup_reader *r, const uint8_t *b, struct slice *out, struct buf *why)
{
    size_t raw_n = get_le32(b + 4);
    size_t stored_n = get_le32(b + 8);
    size_t got;
    if (raw_n == 0 || raw_n > BACKUP_BLOCK_BYTES_MAX || stored_n > r->stored_max || get_le32(b + 12) != r->blocks) {
        return explain(r, why, ERR_CORRUPT, r->block_at, "the head of a block is damaged");
    }
    enum err e = take(r, r->stored, stored_n, &got);
    if (e != OK) {
        return explain(r, why, e, r->block_at, e == ERR_CORRUPT ? "a block is cut short" : err_text(e));
    }
    if (get_le32(b + 16) != crc32c(crc32c(0, b, 16), r->stored, stored_n)) {
        return explain(r, why, ERR_CORRUPT, r->block_at, "a block is damaged: its checksum is wrong");
    }
    if (ZSTD_decompressDCtx(r->zstd, r->raw, BACKUP_BLOCK_BYTES_MAX, r->stored, stored_n) != raw_n) {
        return explain(r, why, ERR_CORRUPT, r->block_at, "a block cannot be decompressed");
    }
    r->crc = crc32c(crc32c(r->crc, b, BACKUP_BLOCK_HEAD_BYTES), r->stored, stored_n);
    r->blocks++;
    r->raw_bytes += raw_n;
    *out = slice_make(r->raw, raw_n);
    return OK;
}

static enum err read_end(struct backup_reader *r, uint8_t b[BACKUP_END_BYTES], struct buf *why)
{
    size_t got;
    enum err e = take(r, b + BACKUP_BLOCK_HEAD_BYTES, BACKUP_END_BYTES - BACKUP_BLOCK_HEAD_BYTES, &got);
    if (e != OK) {
        return explain(r, why, e, r->block_at, e == ERR_CORRUPT ? "the end record is cut short" : err_text(e));
    }
    if (get_le32(b + 52) != crc32c(0, b, 52) || get_le32(b + 48) != r->crc || get_le32(b + 4) != r->blocks ||
        get_le64(b + 40) != r->raw_bytes) {
        return explain(r, why, ERR_CORRUPT, r->block_at, "the end record is damaged, or blocks before it are missing");
    }
    r->end = (struct backup_end){.index = get_le64(b + 8),
                                 .term = get_le64(b + 16),
                                 .wall_ms = get_le64(b + 24),
                                 .records = get_le64(b + 32),
                                 .raw_bytes = get_le64(b + 40)};
    r->crc = crc32c(r->crc, b, BACKUP_END_BYTES);
    return ERR_NOTFOUND;
}

enum err backup_reader_next(struct backup_reader *r, struct slice *out, struct buf *why)
{
    uint8_t b[BACKUP_END_BYTES];
    size_t got;
    r->block_at = r->bytes;
    enum err e = take(r, b, BACKUP_BLOCK_HEAD_BYTES, &got);
    if (e != OK) {
        return explain(r, why, e, r->block_at,
                       e == ERR_CORRUPT ? "the file ends without its end record: it is not complete" : err_text(e));
    }
    if (b[0] == BACKUP_MARK_END) {
        return read_end(r, b, why);
    }
    return b[0] == BACKUP_MARK_BLOCK ? read_block(r, b, out, why)
                                     : explain(r, why, ERR_CORRUPT, r->block_at, "neither a block nor the end");
}

const struct backup_end *backup_reader_end(const struct backup_reader *r)
{
    return &r->end;
}

enum err backup_reader_expect_eof(struct backup_reader *r, struct buf *why)
{
    uint8_t one;
    size_t got;
    uint64_t at = r->bytes;
    enum err e = take(r, &one, 1, &got);
    if (e == ERR_CORRUPT) {
        return OK;
    }
    return explain(r, why, e == OK ? ERR_CORRUPT : e, at, e == OK ? "something follows the end" : err_text(e));
}

uint64_t backup_reader_bytes(const struct backup_reader *r)
{
    return r->bytes;
}

uint32_t backup_reader_crc(const struct backup_reader *r)
{
    return r->crc;
}

uint64_t backup_reader_block_at(const struct backup_reader *r)
{
    return r->block_at;
}

void backup_reader_free(struct backup_reader *r)
{
    if (r == NULL) {
        return;
    }
    (void)ZSTD_freeDCtx(r->zstd);
    mem_free(r->stored);
    mem_free(r->raw);
    mem_free(r);
}
