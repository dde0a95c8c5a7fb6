/* Staged bodies: pieces that CHUNK entries bring, found by piece rows index(8) offset(8) -> piece's index(8) bytes(4)
 * crc(4). Decided at apply, so every replica has the same pieces at the same index, and a log that is cut back takes
 * nothing with it that was applied. */
#include "proto/base/bytes.h"
#include "proto/base/hash.h"
#include "replication/body_run.h"
#include "replication/key.h"

#define PIECE_ROW_BYTES 16

void body_piece_put(const struct body_piece *p, uint8_t out[BODY_PIECE_BYTES])
{
    put_le64(out, p->staged);
    put_le64(out + 8, p->offset);
}

enum err body_piece_get(struct slice data, struct body_piece *out)
{
    if (data.n != BODY_PIECE_BYTES) {
        return ERR_CORRUPT;
    }
    out->staged = get_le64(data.p);
    out->offset = get_le64(data.p + 8);
    return OK;
}

static uint32_t row_crc(const uint8_t *key, const uint8_t *row)
{
    return crc32c(crc32c(0, key + KEY_HEAD_BYTES, KEY_PIECE_BYTES - KEY_HEAD_BYTES), row, 12);
}

enum err body_piece_row_decode(struct slice key, struct slice row, struct body_piece_row *out)
{
    if (key.n != KEY_PIECE_BYTES || row.n != PIECE_ROW_BYTES || get_le32(row.p + 12) != row_crc(key.p, row.p)) {
        return ERR_CORRUPT;
    }
    out->index = get_le64(row.p);
    out->bytes = get_le32(row.p + 8);
    return out->bytes > 0 ? OK : ERR_CORRUPT;
}

bool body_piece_is_of(struct slice key, uint32_t replica, uint64_t staged)
{
    return key.n == KEY_PIECE_BYTES && key_under(key, replica, 'P') && get_be64(key.p + KEY_HEAD_BYTES) == staged;
}

static uint64_t offset_of(struct slice key)
{
    return get_be64(key.p + KEY_INDEX_BYTES);
}

/* The last piece that begins at or before `offset`. ERR_NOTFOUND. */
static enum err piece_at(struct kv_cursor *c, uint32_t replica, uint64_t staged, uint64_t offset, uint64_t *out_offset,
                         struct body_piece_row *out)
{
    struct repl_key want = key_piece(replica, staged, offset);
    struct slice key;
    struct slice row;
    enum err e = kv_cursor_seek(c, key_slice(&want), &key, &row);
    if (e == ERR_NOTFOUND || (e == OK && !slice_eq(key, key_slice(&want)))) {
        e = kv_cursor_prev(c, &key, &row);
    }
    if (e == OK && !body_piece_is_of(key, replica, staged)) {
        e = ERR_NOTFOUND;
    }
    if (e == OK) {
        e = body_piece_row_decode(key, row, out);
    }
    if (e == OK) {
        *out_offset = offset_of(key);
    }
    return e;
}

enum err body_pieces_bytes(struct kv_cursor *c, uint32_t replica, uint64_t staged, uint64_t *out_bytes)
{
    struct body_piece_row piece;
    uint64_t offset;
    enum err e = piece_at(c, replica, staged, UINT64_MAX, &offset, &piece);
    if (e == OK) {
        *out_bytes = offset + piece.bytes;
    }
    return e == ERR_NOTFOUND ? OK : e;
}

enum err body_pieces_read(struct kv_cursor *c, uint32_t replica, uint64_t staged, uint64_t from, uint64_t to,
                          struct buf *out)
{
    while (from < to) {
        struct body_piece_row piece;
        uint64_t offset;
        enum err e = piece_at(c, replica, staged, from, &offset, &piece);
        if (e == OK && from - offset >= piece.bytes) {
            e = ERR_NOTFOUND;
        }
        if (e != OK) {
            return e;
        }
        uint64_t upto = to < offset + piece.bytes ? to : offset + piece.bytes;
        e = body_range_read(c, replica, piece.index, REPL_ORDINAL_PIECE, from - offset, upto - offset, out);
        if (e != OK) {
            return e;
        }
        from = upto;
    }
    return OK;
}

enum err body_piece_store(struct kv_txn *t, uint32_t replica, uint64_t index, const struct body_piece *p,
                          uint32_t bytes)
{
    struct repl_key k = key_piece(replica, p->staged, p->offset);
    uint8_t row[PIECE_ROW_BYTES];
    put_le64(row, index);
    put_le32(row + 8, bytes);
    put_le32(row + 12, row_crc(k.b, row));
    return kv_put(t, key_slice(&k), slice_make(row, sizeof(row)));
}

static enum err place(struct kv_cursor *c, uint32_t replica, const struct body_piece *p, uint32_t bytes, bool *out_adds,
                      enum err *out_status)
{
    struct body_piece_row before;
    uint64_t offset = 0;
    uint64_t have = 0;
    enum err e = body_pieces_bytes(c, replica, p->staged, &have);
    if (e == OK) {
        e = piece_at(c, replica, p->staged, p->offset, &offset, &before);
    }
    if (e != OK && e != ERR_NOTFOUND) {
        return e;
    }
    bool repeats = e == OK && offset == p->offset && before.bytes == bytes;
    *out_adds = p->offset == have && !repeats;
    *out_status = *out_adds || repeats ? OK : ERR_INVAL;
    return OK;
}

enum err body_piece_place(struct kv_txn *t, uint32_t replica, const struct body_piece *p, uint32_t bytes,
                          bool *out_adds, enum err *out_status)
{
    struct kv_cursor *c;
    bool dead = false;
    enum err e = body_is_dead(t, replica, p->staged, 0, &dead);
    *out_adds = false;
    *out_status = ERR_STALE;
    if (e != OK || dead) {
        return e;
    }
    e = kv_cursor_open(t, &c);
    if (e == OK) {
        e = place(c, replica, p, bytes, out_adds, out_status);
        kv_cursor_close(c);
    }
    return e;
}
