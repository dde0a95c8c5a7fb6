#include "replication/reads_frame.h"

#include "proto/base/bytes.h"

#define VERSION 1

enum err reads_frame_get(struct slice bytes, struct reads_frame *out)
{
    struct reader r = reader_make(bytes);
    struct reads_frame f;
    uint8_t kind = reader_u8(&r);
    uint8_t version = reader_u8(&r);
    f.n = reader_le16(&r);
    f.life = reader_le64(&r);
    f.round = reader_le64(&r);
    if (r.failed || (kind != READS_FRAME_PING && kind != READS_FRAME_PONG)) {
        return ERR_CORRUPT;
    }
    if (version != VERSION) {
        return ERR_UNSUPPORTED;
    }
    if (f.n == 0 || f.n > READS_FRAME_ROWS_MAX || bytes.n != reads_frame_bytes(f.n)) {
        return ERR_CORRUPT;
    }
    f.kind = (enum reads_frame_kind)kind;
    f.rows = slice_sub(bytes, READS_FRAME_HEAD_BYTES, bytes.n);
    *out = f;
    return OK;
}

struct reads_frame_row reads_frame_row(const struct reads_frame *f, size_t i)
{
    const uint8_t *p = f->rows.p + i * READS_FRAME_ROW_BYTES;
    struct reads_frame_row row = {.shard = {get_le32(p)}, .term = get_le64(p + 4)};
    return row;
}

void reads_frame_put_head(uint8_t *p, const struct reads_frame *f)
{
    p[0] = (uint8_t)f->kind;
    p[1] = VERSION;
    put_le16(p + 2, f->n);
    put_le64(p + 4, f->life);
    put_le64(p + 12, f->round);
}

void reads_frame_put_row(uint8_t *p, size_t i, struct reads_frame_row row)
{
    uint8_t *at = p + reads_frame_bytes(i);
    put_le32(at, row.shard.v);
    put_le64(at + 4, row.term);
}
