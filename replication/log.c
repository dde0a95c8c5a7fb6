#include "replication/log.h"

#include "proto/base/assert.h"
#include "proto/base/hash.h"
#include "replication/group.h"
#include "replication/key.h"

/* Log row: term(8) type(1) zero(3) body bytes(4) data bytes(4) crc32c(4), then data. crc32c: over index(8, big-endian
 * as in the key), the header without the crc, and all the data. */
#define ROW_HEAD_BYTES 24
#define ROW_CRC_AT 20
#define ROW_DATA_MAX (KV_CHUNK_BYTES - ROW_HEAD_BYTES)

#define META_VERSION 1
#define META_VERSION_FLOOR 2 /* with the two fields of the floor */
#define META_FIELDS 11
#define META_FIELDS_FLOOR 13
#define META_BYTES(fields) (4 + (size_t)(fields)*8 + 4)

/* --- meta --- */

enum err log_meta_put(struct kv_txn *t, uint32_t replica, const struct repl_meta *m)
{
    const uint64_t fields[] = {
        m->node,      m->term,        m->vote,           m->applied,       m->log_first,
        m->log_last,  m->last_term,   m->snapshot_index, m->snapshot_term, m->snapshot_configuration,
        m->log_bytes, m->floor_index, m->floor_term};
    const size_t n = m->floor_index == 0 ? META_FIELDS : META_FIELDS_FLOOR;
    uint8_t row[META_BYTES(META_FIELDS_FLOOR)];
    struct repl_key k = key_head(replica, 'M');
    put_le32(row, n == META_FIELDS ? META_VERSION : META_VERSION_FLOOR);
    for (size_t i = 0; i < n; i++) {
        put_le64(row + 4 + 8 * i, fields[i]);
    }
    put_le32(row + META_BYTES(n) - 4, crc32c(0, row, META_BYTES(n) - 4));
    return kv_put(t, key_slice(&k), slice_make(row, META_BYTES(n)));
}

/* Fields of a row of its version and size; 0: it is none. */
static size_t meta_fields(struct slice row)
{
    size_t n = row.n == META_BYTES(META_FIELDS) ? META_FIELDS : META_FIELDS_FLOOR;
    if (row.n != META_BYTES(n) || get_le32(row.p) != (n == META_FIELDS ? META_VERSION : META_VERSION_FLOOR)) {
        return 0;
    }
    return get_le32(row.p + row.n - 4) == crc32c(0, row.p, row.n - 4) ? n : 0;
}

static bool log_is_sane(const struct repl_meta *m)
{
    if (m->log_first == m->log_last + 1 && m->last_term != m->snapshot_term) {
        return false; /* an empty log ends with the snapshot */
    }
    return m->log_first >= 1 && m->log_first <= m->log_last + 1 && m->applied <= m->log_last &&
           m->applied + 1 >= m->log_first && m->snapshot_index + 1 >= m->log_first && m->snapshot_index <= m->applied &&
           m->last_term <= m->term && m->log_last < UINT64_MAX / 2 && m->term < UINT64_MAX / 2;
}

static bool meta_is_sane(const struct repl_meta *m)
{
    return m->node != 0 && log_is_sane(m) && (m->snapshot_index == 0) == (m->snapshot_configuration == 0) &&
           (m->snapshot_index == 0) == (m->snapshot_term == 0) && m->snapshot_configuration <= m->snapshot_index &&
           (m->floor_index == 0) == (m->floor_term == 0) && m->floor_term <= m->term;
}

enum err log_meta_get(struct kv_txn *t, uint32_t replica, struct repl_meta *out)
{
    struct repl_meta m;
    uint64_t *const fields[] = {
        &m.node,      &m.term,        &m.vote,           &m.applied,       &m.log_first,
        &m.log_last,  &m.last_term,   &m.snapshot_index, &m.snapshot_term, &m.snapshot_configuration,
        &m.log_bytes, &m.floor_index, &m.floor_term};
    struct slice row;
    struct repl_key k = key_head(replica, 'M');
    enum err e = kv_get(t, key_slice(&k), &row);
    if (e != OK) {
        return e;
    }
    const size_t n = meta_fields(row);
    if (n == 0) {
        return ERR_CORRUPT;
    }
    memset(&m, 0, sizeof(m));
    for (size_t i = 0; i < n; i++) {
        *fields[i] = get_le64(row.p + 4 + 8 * i);
    }
    if (!meta_is_sane(&m)) {
        return ERR_CORRUPT;
    }
    *out = m;
    return OK;
}

/* --- entries --- */

static uint32_t row_crc(uint64_t index, const uint8_t *head)
{
    uint8_t place[8];
    put_be64(place, index);
    return crc32c(crc32c(0, place, sizeof(place)), head, ROW_CRC_AT);
}

enum err log_entry_put(struct kv_txn *t, uint32_t replica, const struct log_entry *e)
{
    size_t first = e->data.n < ROW_DATA_MAX ? e->data.n : ROW_DATA_MAX;
    struct repl_key k = key_index(replica, 'L', e->index);
    uint8_t *row;
    ASSERT(e->data.n <= REPL_ENTRY_BYTES_MAX);
    enum err rc = kv_reserve(t, key_slice(&k), ROW_HEAD_BYTES + first, &row);
    if (rc != OK) {
        return rc;
    }
    memset(row, 0, ROW_HEAD_BYTES);
    put_le64(row, e->term);
    row[8] = (uint8_t)e->type;
    put_le32(row + 12, e->body_bytes);
    put_le32(row + 16, (uint32_t)e->data.n);
    put_le32(row + ROW_CRC_AT, crc32c(row_crc(e->index, row), e->data.p, e->data.n));
    if (first > 0) {
        memcpy(row + ROW_HEAD_BYTES, e->data.p, first);
    }
    uint16_t chunk = 1;
    for (size_t at = first; at < e->data.n; at += KV_CHUNK_BYTES) {
        k = key_log_chunk(replica, e->index, chunk++);
        rc = kv_put(t, key_slice(&k), slice_sub(e->data, at, at + KV_CHUNK_BYTES));
        if (rc != OK) {
            return rc;
        }
    }
    return OK;
}

struct row_head {
    struct log_entry entry; /* without data */
    uint32_t data_bytes;
};

/* ERR_CORRUPT when the row cannot be one; the checksum is not looked at. */
static enum err row_head_decode(struct slice row, uint64_t index, struct row_head *out)
{
    if (row.n < ROW_HEAD_BYTES) {
        return ERR_CORRUPT;
    }
    uint8_t type = row.p[8];
    uint32_t data_bytes = get_le32(row.p + 16);
    size_t first = data_bytes < ROW_DATA_MAX ? data_bytes : ROW_DATA_MAX;
    if (type < REPL_ENTRY_COMMAND || type > REPL_ENTRY_TYPE_MAX || data_bytes > REPL_ENTRY_BYTES_MAX ||
        row.n != ROW_HEAD_BYTES + first) {
        return ERR_CORRUPT;
    }
    memset(out, 0, sizeof(*out));
    out->entry.index = index;
    out->entry.term = get_le64(row.p);
    out->entry.type = (enum repl_entry_type)type;
    out->entry.body_bytes = get_le32(row.p + 12);
    out->data_bytes = data_bytes;
    return OK;
}

static enum err read_continuations(struct kv_txn *t, uint32_t replica, uint64_t index, size_t data_bytes,
                                   struct buf *data)
{
    for (uint16_t chunk = 1; data->len < data_bytes; chunk++) {
        struct repl_key k = key_log_chunk(replica, index, chunk);
        struct slice part;
        enum err e = kv_get(t, key_slice(&k), &part);
        if (e == ERR_NOTFOUND) {
            return ERR_CORRUPT;
        }
        if (e != OK) {
            return e;
        }
        if (part.n == 0 || part.n > data_bytes - data->len) {
            return ERR_CORRUPT;
        }
        e = buf_append_slice(data, part);
        if (e != OK) {
            return e;
        }
    }
    return OK;
}

enum err log_entry_get(struct kv_txn *t, uint32_t replica, uint64_t index, struct log_entry *out, struct buf *scratch)
{
    struct repl_key k = key_index(replica, 'L', index);
    struct row_head head;
    struct slice row;
    enum err e = kv_get(t, key_slice(&k), &row);
    if (e != OK) {
        return e;
    }
    e = row_head_decode(row, index, &head);
    if (e != OK) {
        return e;
    }
    uint32_t stored = get_le32(row.p + ROW_CRC_AT);
    uint32_t crc = row_crc(index, row.p);
    buf_reset(scratch);
    e = buf_append_slice(scratch, slice_sub(row, ROW_HEAD_BYTES, row.n));
    if (e == OK) {
        e = read_continuations(t, replica, index, head.data_bytes, scratch);
    }
    if (e != OK) {
        return e;
    }
    head.entry.data = buf_slice(scratch);
    if (crc32c(crc, head.entry.data.p, head.entry.data.n) != stored) {
        return ERR_CORRUPT;
    }
    *out = head.entry;
    return OK;
}

/* --- trim --- */

/* Deletes the rows of a letter below `below`, the newest of them kept: the range that reaches into the log, or the
 * configuration in force. Few rows ever (terms and membership changes), so no bound. *out_kept is its index, 0 when
 * there is none. */
static enum err trim_older(struct kv_txn *t, struct kv_cursor *c, uint32_t replica, char letter, uint64_t below,
                           uint64_t *out_kept)
{
    struct repl_key from = key_head(replica, letter);
    struct slice key;
    struct slice row;
    uint64_t kept = 0;
    enum err e = kv_cursor_seek(c, key_slice(&from), &key, &row);
    while (e == OK && key_under(key, replica, letter)) {
        if (key.n != KEY_INDEX_BYTES) {
            return ERR_CORRUPT;
        }
        uint64_t index = get_be64(key.p + KEY_HEAD_BYTES);
        if (index >= below) {
            break;
        }
        if (kept != 0) {
            struct repl_key older = key_index(replica, letter, kept);
            e = kv_del(t, key_slice(&older));
            if (e != OK) {
                return e;
            }
        }
        kept = index;
        struct repl_key next = key_index(replica, letter, index + 1);
        e = kv_cursor_seek(c, key_slice(&next), &key, &row);
    }
    if (e != OK && e != ERR_NOTFOUND) {
        return e;
    }
    *out_kept = kept;
    return OK;
}

/* Entry rows from the head. Stops in front of an entry that would pass rows_max with its continuations, unless it is
 * the first. */
static enum err trim_entries(struct kv_cursor *c, uint32_t replica, struct repl_meta *m, uint64_t last_index,
                             size_t rows_max, size_t *rows)
{
    struct repl_key from = key_index(replica, 'L', m->log_first);
    struct slice key;
    struct slice row;
    enum err e = kv_cursor_seek(c, key_slice(&from), &key, &row);
    while (e == OK && key_under(key, replica, 'L') && key.n >= KEY_INDEX_BYTES) {
        uint64_t index = get_be64(key.p + KEY_HEAD_BYTES);
        if (key.n == KEY_INDEX_BYTES) {
            struct row_head head;
            if (index > last_index || *rows >= rows_max) {
                return OK;
            }
            e = index == m->log_first ? row_head_decode(row, index, &head) : ERR_CORRUPT;
            if (e != OK) {
                return e;
            }
            uint64_t bytes = (uint64_t)head.data_bytes + head.entry.body_bytes;
            m->log_bytes -= bytes < m->log_bytes ? bytes : m->log_bytes;
            m->log_first = index + 1;
            m->snapshot_index = index;
            m->snapshot_term = head.entry.term;
        }
        e = kv_cursor_del(c);
        if (e != OK) {
            return e;
        }
        (*rows)++;
        e = kv_cursor_next(c, &key, &row);
    }
    return e == OK || e == ERR_NOTFOUND ? ERR_CORRUPT
                                        : e; /* the log's last entry always stays: the walk ends in front of it */
}

enum err log_trim(struct kv_txn *t, uint32_t replica, struct repl_meta *m, uint64_t last_index, size_t rows_max,
                  size_t *out_rows)
{
    struct kv_cursor *c;
    uint64_t kept;
    size_t rows = 0;
    ASSERT(last_index < m->log_last && last_index <= m->applied);
    enum err e = kv_cursor_open(t, &c);
    if (e != OK) {
        return e;
    }
    e = trim_entries(c, replica, m, last_index, rows_max, &rows);
    if (e == OK && rows > 0) {
        e = trim_older(t, c, replica, 'T', m->log_first + 1, &kept);
    }
    if (e == OK && rows > 0) {
        e = trim_older(t, c, replica, 'C', m->log_first, &kept);
        if (e == OK && kept == 0) {
            e = ERR_CORRUPT;
        }
        if (e == OK) {
            m->snapshot_configuration = kept;
        }
    }
    kv_cursor_close(c);
    *out_rows = rows;
    return e;
}
