#include "replication/body.h"

#include "proto/base/assert.h"
#include "proto/base/hash.h"
#include "replication/body_run.h"
#include "replication/key.h"

#define CRC_BYTES 4
#define PLACE_BYTES 14 /* index, ordinal, chunk: what the checksum covers besides the data */
#define DEAD_ROW_BYTES 8

static _Thread_local uint64_t kills;

static uint32_t chunk_crc(const uint8_t *key, const uint8_t *p, size_t n)
{
    return crc32c(crc32c(0, key + KEY_HEAD_BYTES, PLACE_BYTES), p, n);
}

enum err body_write(struct kv_txn *t, uint32_t replica, uint64_t index, uint16_t ordinal, uint64_t off,
                    struct slice bytes)
{
    ASSERT(off % REPL_BODY_CHUNK_DATA == 0 && off / REPL_BODY_CHUNK_DATA < UINT32_MAX);
    uint32_t chunk = (uint32_t)(off / REPL_BODY_CHUNK_DATA);
    for (size_t at = 0; at < bytes.n; at += REPL_BODY_CHUNK_DATA) {
        struct slice part = slice_sub(bytes, at, at + REPL_BODY_CHUNK_DATA);
        struct repl_key k = key_chunk(replica, index, ordinal, chunk++);
        uint8_t *row;
        enum err e = kv_reserve(t, key_slice(&k), CRC_BYTES + part.n, &row);
        if (e != OK) {
            return e;
        }
        put_le32(row, chunk_crc(k.b, part.p, part.n));
        memcpy(row + CRC_BYTES, part.p, part.n);
    }
    return OK;
}

/* --- read --- */

enum err body_chunk_decode(struct slice key, struct slice row, struct slice *out_data)
{
    if (key.n != KEY_BODY_BYTES + 4 || row.n <= CRC_BYTES || row.n > KV_CHUNK_BYTES) {
        return ERR_CORRUPT;
    }
    struct slice data = slice_sub(row, CRC_BYTES, row.n);
    if (get_le32(row.p) != chunk_crc(key.p, data.p, data.n)) {
        return ERR_CORRUPT;
    }
    *out_data = data;
    return OK;
}

/* Appends the part of one chunk that lies in [from, to) of the body. */
static enum err read_chunk(struct slice key, struct slice row, uint64_t chunk_off, uint64_t from, uint64_t to,
                           struct buf *out)
{
    struct slice data;
    enum err e = body_chunk_decode(key, row, &data);
    if (e != OK) {
        return e;
    }
    uint64_t end = chunk_off + data.n;
    if (end < to && data.n < REPL_BODY_CHUNK_DATA) {
        return ERR_NOTFOUND; /* the body ends here */
    }
    size_t skip = from > chunk_off ? (size_t)(from - chunk_off) : 0;
    size_t upto = end > to ? (size_t)(to - chunk_off) : data.n;
    return buf_append_slice(out, slice_sub(data, skip, upto));
}

enum err body_range_read(struct kv_cursor *c, uint32_t replica, uint64_t index, uint16_t ordinal, uint64_t from,
                         uint64_t to, struct buf *out)
{
    uint32_t chunk = (uint32_t)(from / REPL_BODY_CHUNK_DATA);
    struct repl_key want = key_chunk(replica, index, ordinal, chunk);
    struct slice key;
    struct slice row;
    enum err e = kv_cursor_seek(c, key_slice(&want), &key, &row);
    for (uint64_t off = (uint64_t)chunk * REPL_BODY_CHUNK_DATA; off < to; off += REPL_BODY_CHUNK_DATA) {
        if (e != OK) {
            return e;
        }
        want = key_chunk(replica, index, ordinal, chunk++);
        if (!slice_eq(key, key_slice(&want))) {
            return ERR_NOTFOUND;
        }
        e = read_chunk(key, row, off, from, to, out);
        if (e == OK && off + REPL_BODY_CHUNK_DATA < to) {
            e = kv_cursor_next(c, &key, &row);
        }
    }
    return e;
}

enum err repl_body_read(struct kv_txn *t, const uint8_t prefix[5], uint64_t index, uint16_t ordinal, uint64_t off,
                        size_t n, struct buf *out)
{
    uint32_t replica = get_be32(prefix);
    struct kv_cursor *c;
    size_t len = out->len;
    if (n == 0) {
        return OK;
    }
    if (off > UINT64_MAX - n || (off + n) / REPL_BODY_CHUNK_DATA >= UINT32_MAX) {
        return ERR_NOTFOUND;
    }
    enum err e = kv_cursor_open(t, &c);
    if (e != OK) {
        return e;
    }
    e = body_range_read(c, replica, index, ordinal, off, off + n, out);
    if (e == ERR_NOTFOUND && ordinal == 0) {
        buf_truncate(out, len);
        e = body_pieces_read(c, replica, index, off, off + n, out);
    }
    kv_cursor_close(c);
    if (e != OK) {
        buf_truncate(out, len);
    }
    return e;
}

static bool is_chunk_of(struct slice key, uint32_t replica, uint64_t index, uint16_t ordinal)
{
    struct repl_key body = key_body(replica, 'B', index, ordinal);
    return key.n == KEY_BODY_BYTES + 4 && memcmp(key.p, body.b, KEY_BODY_BYTES) == 0;
}

enum err body_chunk_bytes(struct kv_cursor *c, uint32_t replica, uint64_t index, uint16_t ordinal, uint64_t *out_bytes)
{
    struct repl_key past = key_chunk(replica, index, ordinal, UINT32_MAX);
    struct slice key;
    struct slice row;
    uint64_t bytes = 0;
    enum err e = kv_cursor_seek(c, key_slice(&past), &key, &row);
    if (e == OK || e == ERR_NOTFOUND) {
        e = kv_cursor_prev(c, &key, &row);
    }
    if (e == OK && is_chunk_of(key, replica, index, ordinal)) {
        e = row.n <= CRC_BYTES || row.n > KV_CHUNK_BYTES ? ERR_CORRUPT : OK;
        bytes = (uint64_t)get_be32(key.p + KEY_BODY_BYTES) * REPL_BODY_CHUNK_DATA + row.n - CRC_BYTES;
    }
    if (e != OK && e != ERR_NOTFOUND) {
        return e;
    }
    *out_bytes = bytes;
    return OK;
}

enum err repl_body_bytes(struct kv_txn *t, const uint8_t prefix[5], uint64_t index, uint16_t ordinal,
                         uint64_t *out_bytes)
{
    uint32_t replica = get_be32(prefix);
    struct kv_cursor *c;
    uint64_t bytes = 0;
    enum err e = kv_cursor_open(t, &c);
    if (e != OK) {
        return e;
    }
    e = body_chunk_bytes(c, replica, index, ordinal, &bytes);
    if (e == OK && bytes == 0 && ordinal == 0) {
        e = body_pieces_bytes(c, replica, index, &bytes);
    }
    kv_cursor_close(c);
    if (e == OK) {
        *out_bytes = bytes;
    }
    return e;
}

/* --- death --- */

enum err repl_body_kill(struct kv_txn *t, const uint8_t prefix[5], uint64_t index, uint16_t ordinal, uint64_t now_ms)
{
    struct repl_key k = key_body(get_be32(prefix), 'Q', index, ordinal);
    struct slice row;
    uint8_t time[DEAD_ROW_BYTES];
    enum err e = kv_get(t, key_slice(&k), &row);
    if (e != ERR_NOTFOUND) {
        return e; /* a body dies once: the first time counts */
    }
    kills++;
    put_le64(time, now_ms);
    return kv_put(t, key_slice(&k), slice_make(time, sizeof(time)));
}

uint64_t body_kills(void)
{
    return kills;
}

enum err body_is_dead(struct kv_txn *t, uint32_t replica, uint64_t index, uint16_t ordinal, bool *out_dead)
{
    struct repl_key k = key_body(replica, 'Q', index, ordinal);
    struct slice row;
    enum err e = kv_get(t, key_slice(&k), &row);
    if (e == OK || e == ERR_NOTFOUND) {
        *out_dead = e == OK;
        e = OK;
    }
    return e;
}

struct dead_body {
    uint64_t index;
    uint16_t ordinal;
    uint64_t died_ms;
};

/* All chunks of one body: at most an entry's, so never cut short by the budget, and no body is ever half there. */
static enum err delete_chunks(struct kv_cursor *c, uint32_t replica, uint64_t index, uint16_t ordinal,
                              size_t *rows_left, size_t *deleted)
{
    struct repl_key from = key_chunk(replica, index, ordinal, 0);
    struct slice key;
    struct slice row;
    enum err e = kv_cursor_seek(c, key_slice(&from), &key, &row);
    while (e == OK && is_chunk_of(key, replica, index, ordinal)) {
        *rows_left -= *rows_left > 0;
        (*deleted)++;
        e = kv_cursor_del(c);
        if (e == OK) {
            e = kv_cursor_next(c, &key, &row);
        }
    }
    return e == ERR_NOTFOUND ? OK : e;
}

enum err body_drop(struct kv_txn *t, uint32_t replica, uint64_t index)
{
    size_t rows_left = 0;
    size_t deleted = 0;
    struct kv_cursor *c;
    enum err e = kv_cursor_open(t, &c);
    if (e != OK) {
        return e;
    }
    e = delete_chunks(c, replica, index, 0, &rows_left, &deleted);
    if (e == OK) {
        e = delete_chunks(c, replica, index, REPL_ORDINAL_PIECE, &rows_left, &deleted);
    }
    kv_cursor_close(c);
    return e;
}

/* The pieces of a dead staged body, oldest first: chunks, then the piece's row. *out_done: none is left. Those of
 * entries that the log still has stay. */
static enum err purge_pieces(struct kv_cursor *c, uint32_t replica, uint64_t staged, uint64_t log_first,
                             size_t *rows_left, size_t *deleted, bool *out_done)
{
    struct repl_key from = key_piece(replica, staged, 0);
    *out_done = false;
    while (*rows_left > 0) {
        struct body_piece_row piece;
        struct slice key;
        struct slice row;
        enum err e = kv_cursor_seek(c, key_slice(&from), &key, &row);
        if (e == ERR_NOTFOUND || (e == OK && !body_piece_is_of(key, replica, staged))) {
            *out_done = true;
            return OK;
        }
        e = e == OK ? body_piece_row_decode(key, row, &piece) : e;
        if (e != OK || piece.index >= log_first) {
            return e;
        }
        e = delete_chunks(c, replica, piece.index, REPL_ORDINAL_PIECE, rows_left, deleted);
        if (e == OK) {
            e = kv_cursor_seek(c, key_slice(&from), &key, &row);
        }
        if (e == OK) {
            e = kv_cursor_del(c);
            (*deleted)++;
        }
        if (e != OK) {
            return e;
        }
    }
    return OK;
}

/* Deletes a dead body, then its dead row; *out_done is false when the budget ended or the log still needs a part. */
static enum err purge_one(struct kv_txn *t, struct kv_cursor *c, uint32_t replica, const struct dead_body *b,
                          uint64_t log_first, size_t *rows_left, size_t *deleted, bool *out_done)
{
    struct repl_key dead = key_body(replica, 'Q', b->index, b->ordinal);
    enum err e = delete_chunks(c, replica, b->index, b->ordinal, rows_left, deleted);
    *out_done = true;
    if (e == OK && b->ordinal == 0) {
        e = purge_pieces(c, replica, b->index, log_first, rows_left, deleted, out_done);
    }
    if (e != OK || !*out_done) {
        return e;
    }
    (*deleted)++;
    return kv_del(t, key_slice(&dead));
}

/* The next dead body at or after the purge's position and below log_first. ERR_NOTFOUND: none. */
static enum err next_dead(struct kv_cursor *c, uint32_t replica, const struct body_purge *p, uint64_t log_first,
                          struct dead_body *out)
{
    struct repl_key from = key_body(replica, 'Q', p->index, p->ordinal);
    struct slice key;
    struct slice row;
    enum err e = kv_cursor_seek(c, key_slice(&from), &key, &row);
    if (e != OK) {
        return e;
    }
    if (!key_under(key, replica, 'Q')) {
        return ERR_NOTFOUND;
    }
    if (key.n != KEY_BODY_BYTES || row.n != DEAD_ROW_BYTES) {
        return ERR_CORRUPT;
    }
    out->index = get_be64(key.p + KEY_HEAD_BYTES);
    out->ordinal = get_be16(key.p + KEY_INDEX_BYTES);
    out->died_ms = get_le64(row.p);
    return out->index < log_first ? OK : ERR_NOTFOUND;
}

static void move_past(struct body_purge *p, const struct dead_body *b)
{
    p->index = b->ordinal == UINT16_MAX ? b->index + 1 : b->index;
    p->ordinal = (uint16_t)(b->ordinal + 1);
}

enum err body_purge_step(struct kv_txn *t, uint32_t replica, struct body_purge *p, uint64_t log_first, uint64_t now_ms,
                         uint64_t retention_ms, size_t *rows_left, size_t *out_deleted, bool *out_done)
{
    struct kv_cursor *c;
    enum err e = kv_cursor_open(t, &c);
    if (e != OK) {
        return e;
    }
    while (*rows_left > 0) {
        struct dead_body b;
        e = next_dead(c, replica, p, log_first, &b);
        if (e != OK) {
            break;
        }
        (*rows_left)--;
        uint64_t ripe_ms = b.died_ms > UINT64_MAX - retention_ms ? UINT64_MAX : b.died_ms + retention_ms;
        if (retention_ms > 0 && ripe_ms > now_ms) {
            p->ripe_ms = ripe_ms < p->ripe_ms ? ripe_ms : p->ripe_ms;
            move_past(p, &b);
            continue;
        }
        bool gone;
        e = purge_one(t, c, replica, &b, log_first, rows_left, out_deleted, &gone);
        if (e != OK) {
            break;
        }
        if (!gone) {
            if (*rows_left > 0) {
                move_past(p, &b); /* the log's head will move and bring another walk */
            }
            continue;
        }
    }
    kv_cursor_close(c);
    *out_done = e == ERR_NOTFOUND;
    return e == ERR_NOTFOUND ? OK : e;
}
