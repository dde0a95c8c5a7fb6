#include <zstd.h>

#include "proto/base/bytes.h"
#include "proto/base/hash.h"
#include "proto/base/mem.h"
#include "storage/backup/backup_format.h"

#define LEVEL 3

struct backup_writer {
    backup_write_fn write;
    void *ctx;
    ZSTD_CCtx *zstd;
    struct buf raw;
    uint8_t *stored; /* a block with its head */
    size_t stored_max;
    uint32_t blocks;
    uint64_t raw_bytes;
    uint64_t bytes;
    uint32_t crc;
};

static enum err put(struct backup_writer *w, const uint8_t *p, size_t n)
{
    enum err e = w->write(w->ctx, slice_make(p, n));
    if (e == OK) {
        w->bytes += n;
        w->crc = crc32c(w->crc, p, n);
    }
    return e;
}

static enum err put_head(struct backup_writer *w, const struct backup_head *h)
{
    uint8_t b[BACKUP_HEAD_BYTES];
    memcpy(b, BACKUP_MAGIC, BACKUP_MAGIC_BYTES);
    put_le32(b + 8, BACKUP_FILE_VERSION);
    put_le32(b + 12, (uint32_t)h->kind);
    memcpy(b + 16, h->cluster.b, sizeof(h->cluster.b));
    put_le32(b + 32, h->shards);
    put_le32(b + 36, h->shard.v);
    put_le64(b + 40, h->wall_ms);
    put_le64(b + 48, h->first);
    put_le64(b + 56, h->term_before);
    put_le32(b + 64, crc32c(0, b, 64));
    return put(w, b, sizeof(b));
}

enum err backup_writer_open(const struct backup_head *head, backup_write_fn write, void *ctx,
                            struct backup_writer **out)
{
    struct backup_writer *w = mem_zalloc(sizeof(*w));
    if (w == NULL) {
        return ERR_NOMEM;
    }
    w->write = write;
    w->ctx = ctx;
    w->zstd = ZSTD_createCCtx();
    w->stored_max = BACKUP_BLOCK_HEAD_BYTES + ZSTD_compressBound(BACKUP_BLOCK_BYTES_MAX);
    w->stored = mem_alloc(w->stored_max);
    buf_init(&w->raw, BACKUP_BLOCK_BYTES_MAX);
    enum err e = w->zstd == NULL || w->stored == NULL ? ERR_NOMEM : put_head(w, head);
    if (e != OK) {
        backup_writer_free(w);
        return e;
    }
    *out = w;
    return OK;
}

static enum err put_block(struct backup_writer *w)
{
    struct slice raw = buf_slice(&w->raw);
    if (raw.n == 0) {
        return OK;
    }
    size_t n = ZSTD_compressCCtx(w->zstd, w->stored + BACKUP_BLOCK_HEAD_BYTES, w->stored_max - BACKUP_BLOCK_HEAD_BYTES,
                                 raw.p, raw.n, LEVEL);
    if (ZSTD_isError(n)) {
        return ERR_NOMEM; /* there is room for every outcome: what is left is its own memory */
    }
    uint8_t *b = w->stored;
    memset(b, 0, BACKUP_BLOCK_HEAD_BYTES);
    b[0] = BACKUP_MARK_BLOCK;
    put_le32(b + 4, (uint32_t)raw.n);
    put_le32(b + 8, (uint32_t)n);
    put_le32(b + 12, w->blocks);
    put_le32(b + 16, crc32c(crc32c(0, b, 16), b + BACKUP_BLOCK_HEAD_BYTES, n));
    enum err e = put(w, b, BACKUP_BLOCK_HEAD_BYTES + n);
    if (e == OK) {
        w->blocks++;
        w->raw_bytes += raw.n;
        buf_reset(&w->raw);
    }
    return e;
}

enum err backup_writer_add(struct backup_writer *w, struct slice records)
{
    if (records.n > BACKUP_BLOCK_BYTES_MAX - BACKUP_BLOCK_BYTES) {
        return ERR_LIMIT;
    }
    enum err e = buf_append_slice(&w->raw, records);
    return e == OK && w->raw.len >= BACKUP_BLOCK_BYTES ? put_block(w) : e;
}

enum err backup_writer_end(struct backup_writer *w, const struct backup_end *end)
{
    uint8_t b[BACKUP_END_BYTES];
    enum err e = put_block(w);
    if (e != OK) {
        return e;
    }
    memset(b, 0, sizeof(b));
    b[0] = BACKUP_MARK_END;
    put_le32(b + 4, w->blocks);
    put_le64(b + 8, end->index);
    put_le64(b + 16, end->term);
    put_le64(b + 24, end->wall_ms);
    put_le64(b + 32, end->records);
    put_le64(b + 40, w->raw_bytes);
    put_le32(b + 48, w->crc);
    put_le32(b + 52, crc32c(0, b, 52));
    return put(w, b, sizeof(b));
}

uint64_t backup_writer_bytes(const struct backup_writer *w)
{
    return w->bytes;
}

uint32_t backup_writer_crc(const struct backup_writer *w)
{
    return w->crc;
}

void backup_writer_free(struct backup_writer *w)
{
    if (w == NULL) {
        return;
    }
    (void)ZSTD_freeCCtx(w->zstd);
    mem_free(w->stored);
    buf_fini(&w->raw);
    mem_free(w);
}
