/* The log's end, cut back when a new leader has another one. */
#include "proto/base/assert.h"
#include "replication/body.h"
#include "replication/key.h"
#include "replication/log.h"

#define ROW_HEAD_BYTES 24

enum err log_term_of(struct kv_txn *t, uint32_t replica, const struct repl_meta *m, uint64_t index, uint64_t *out_term)
{
    struct repl_key k = key_index(replica, 'L', index);
    struct slice row;
    if (index == m->snapshot_index) {
        *out_term = m->snapshot_term;
        return OK;
    }
    if (index < m->log_first || index > m->log_last) {
        return ERR_NOTFOUND;
    }
    enum err e = kv_get(t, key_slice(&k), &row);
    if (e == ERR_NOTFOUND || (e == OK && row.n < ROW_HEAD_BYTES)) {
        return ERR_CORRUPT;
    }
    if (e == OK) {
        *out_term = get_le64(row.p);
    }
    return e;
}

/* The rows of a letter from an index on. */
static enum err delete_from(struct kv_cursor *c, uint32_t replica, char letter, uint64_t from)
{
    struct repl_key k = key_index(replica, letter, from);
    struct slice key;
    struct slice row;
    enum err e = kv_cursor_seek(c, key_slice(&k), &key, &row);
    while (e == OK && key_under(key, replica, letter)) {
        e = kv_cursor_del(c);
        if (e == OK) {
            e = kv_cursor_next(c, &key, &row);
        }
    }
    return e == ERR_NOTFOUND ? OK : e;
}

static enum err drop_bodies(struct kv_txn *t, uint32_t replica, struct repl_meta *m, uint64_t from)
{
    for (uint64_t index = from; index <= m->log_last; index++) {
        struct repl_key k = key_index(replica, 'L', index);
        struct slice row;
        enum err e = kv_get(t, key_slice(&k), &row);
        if (e == ERR_NOTFOUND || (e == OK && row.n < ROW_HEAD_BYTES)) {
            e = ERR_CORRUPT;
        }
        if (e != OK) {
            return e;
        }
        uint64_t body = get_le32(row.p + 12);
        uint64_t bytes = body + get_le32(row.p + 16);
        m->log_bytes -= bytes < m->log_bytes ? bytes : m->log_bytes;
        e = body > 0 ? body_drop(t, replica, index) : OK;
        if (e != OK) {
            return e;
        }
    }
    return OK;
}

enum err log_truncate(struct kv_txn *t, uint32_t replica, struct repl_meta *m, uint64_t from)
{
    static const char letters[] = {'C', 'L', 'T'};
    struct kv_cursor *c;
    uint64_t term = 0;
    ASSERT(from > m->applied && from <= m->log_last);
    enum err e = from == 1 ? OK : log_term_of(t, replica, m, from - 1, &term);
    if (e == OK) {
        e = drop_bodies(t, replica, m, from);
    }
    if (e == OK) {
        e = kv_cursor_open(t, &c);
    }
    if (e != OK) {
        return e;
    }
    for (size_t i = 0; e == OK && i < sizeof(letters); i++) {
        /* An empty log has no term ranges: the snapshot's term is in the meta row. */
        bool all = letters[i] == 'T' && from == m->log_first;
        e = delete_from(c, replica, letters[i], all ? 0 : from);
    }
    kv_cursor_close(c);
    if (e == OK) {
        m->log_last = from - 1;
        m->last_term = term;
    }
    return e;
}
