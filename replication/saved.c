#include "replication/saved.h"

#include "proto/base/bytes.h"
#include "replication/volume.h"

/* --- bytes --- */

enum err saved_entry_put(struct buf *out, const struct repl_entry *e)
{
    uint8_t *p;
    size_t n = SAVED_ENTRY_HEAD_BYTES + e->head.data.n + e->body.n;
    enum err rc = buf_reserve(out, n, &p);
    if (rc != OK) {
        return rc;
    }
    put_le64(p, e->head.index);
    put_le64(p + 8, e->head.term);
    put_le32(p + 16, (uint32_t)e->head.type);
    put_le32(p + 20, (uint32_t)e->head.data.n);
    put_le32(p + 24, (uint32_t)e->body.n);
    if (e->head.data.n > 0) {
        memcpy(p + SAVED_ENTRY_HEAD_BYTES, e->head.data.p, e->head.data.n);
    }
    if (e->body.n > 0) {
        memcpy(p + SAVED_ENTRY_HEAD_BYTES + e->head.data.n, e->body.p, e->body.n);
    }
    buf_commit(out, n);
    return OK;
}

enum err saved_entry_get(struct slice *rest, struct repl_entry *out)
{
    struct reader r = reader_make(*rest);
    struct repl_entry e;
    if (rest->n < SAVED_ENTRY_HEAD_BYTES) {
        return ERR_NOTFOUND;
    }
    memset(&e, 0, sizeof(e));
    e.head.index = reader_le64(&r);
    e.head.term = reader_le64(&r);
    uint32_t type = reader_le32(&r);
    uint32_t data_n = reader_le32(&r);
    uint32_t body_n = reader_le32(&r);
    if (type < REPL_ENTRY_COMMAND || type > REPL_ENTRY_TYPE_MAX || data_n > REPL_ENTRY_BYTES_MAX ||
        body_n > REPL_ENTRY_BYTES_MAX - data_n || e.head.index == 0 || e.head.term == 0 ||
        e.head.index > REPL_MESSAGE_NUMBER_MAX || e.head.term > REPL_MESSAGE_NUMBER_MAX) {
        return ERR_CORRUPT;
    }
    e.head.type = (enum repl_entry_type)type;
    e.head.data = reader_bytes(&r, data_n);
    e.body = reader_bytes(&r, body_n);
    e.head.body_bytes = body_n;
    if (r.failed) {
        return ERR_NOTFOUND;
    }
    *rest = slice_sub(*rest, SAVED_ENTRY_HEAD_BYTES + data_n + body_n, rest->n);
    *out = e;
    return OK;
}

/* --- a replica's log --- */

enum err saved_span_get(struct kv_txn *t, const uint8_t prefix[5], struct saved_span *out)
{
    struct repl_meta m;
    uint64_t term = 0;
    uint32_t replica = get_be32(prefix);
    enum err e = log_meta_get(t, replica, &m);
    if (e == OK && m.applied > 0) {
        e = log_term_of(t, replica, &m, m.applied, &term);
    }
    if (e != OK) {
        return e == ERR_NOTFOUND ? ERR_CORRUPT : e;
    }
    *out = (struct saved_span){.first = m.log_first, .last = m.applied, .last_term = term};
    return OK;
}

enum err saved_term_get(struct kv_txn *t, const uint8_t prefix[5], uint64_t index, uint64_t *out_term)
{
    struct repl_meta m;
    uint32_t replica = get_be32(prefix);
    enum err e = log_meta_get(t, replica, &m);
    if (e != OK) {
        return e == ERR_NOTFOUND ? ERR_CORRUPT : e;
    }
    if (index > m.applied) {
        return ERR_NOTFOUND;
    }
    return log_term_of(t, replica, &m, index, out_term);
}

enum err saved_entry_read(struct kv_txn *t, const uint8_t prefix[5], uint64_t index, struct buf *out)
{
    struct repl_entry entry;
    struct buf data;
    struct buf body;
    memset(&entry, 0, sizeof(entry));
    buf_init(&data, REPL_ENTRY_BYTES_MAX);
    buf_init(&body, REPL_ENTRY_BYTES_MAX);
    enum err e = log_entry_get(t, get_be32(prefix), index, &entry.head, &data);
    if (e == OK && entry.head.body_bytes > 0) {
        uint16_t ordinal = entry.head.type == REPL_ENTRY_CHUNK ? REPL_ORDINAL_PIECE : 0;
        e = repl_body_read(t, prefix, index, ordinal, 0, entry.head.body_bytes, &body);
        e = e == ERR_NOTFOUND ? ERR_CORRUPT : e;
    }
    entry.body = buf_slice(&body);
    if (e == OK) {
        e = saved_entry_put(out, &entry);
    }
    buf_fini(&data);
    buf_fini(&body);
    return e;
}
