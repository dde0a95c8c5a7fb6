/* Term ranges, configurations, and what a start loads of them. */
#include "replication/log.h"

#include "proto/base/hash.h"
#include "proto/base/mem.h"
#include "replication/key.h"

#define CONFIGURATIONS_BYTES_MAX ((size_t)16 << 20)

/* --- term ranges and configurations --- */

enum err log_range_put(struct kv_txn *t, uint32_t replica, struct raft_term_range range)
{
    struct repl_key k = key_index(replica, 'T', range.first);
    uint8_t row[12];
    put_le64(row, range.term);
    put_le32(row + 8, crc32c(crc32c(0, k.b + KEY_HEAD_BYTES, 8), row, 8));
    return kv_put(t, key_slice(&k), slice_make(row, sizeof(row)));
}

enum err log_range_decode(struct slice key, struct slice row, struct raft_term_range *out)
{
    if (key.n != KEY_INDEX_BYTES || row.n != 12 ||
        get_le32(row.p + 8) != crc32c(crc32c(0, key.p + KEY_HEAD_BYTES, 8), row.p, 8)) {
        return ERR_CORRUPT;
    }
    out->first = get_be64(key.p + KEY_HEAD_BYTES);
    out->term = get_le64(row.p);
    return OK;
}

enum err log_configuration_put(struct kv_txn *t, uint32_t replica, uint64_t index, struct slice conf)
{
    struct repl_key k = key_index(replica, 'C', index);
    uint8_t *row;
    enum err e = kv_reserve(t, key_slice(&k), 4 + conf.n, &row);
    if (e != OK) {
        return e;
    }
    put_le32(row, crc32c(crc32c(0, k.b + KEY_HEAD_BYTES, 8), conf.p, conf.n));
    memcpy(row + 4, conf.p, conf.n);
    return OK;
}

enum err log_configuration_decode(struct slice key, struct slice row, struct raft_log_change *out)
{
    if (key.n != KEY_INDEX_BYTES || row.n < 4 ||
        get_le32(row.p) != crc32c(crc32c(0, key.p + KEY_HEAD_BYTES, 8), row.p + 4, row.n - 4)) {
        return ERR_CORRUPT;
    }
    out->index = get_be64(key.p + KEY_HEAD_BYTES);
    out->configuration = slice_sub(row, 4, row.n);
    return OK;
}

/* --- index --- */

/* Room for one more element in a growing array. */
static enum err grow(void **array, size_t n, size_t element)
{
    if ((n & (n - 1)) != 0 || (n > 0 && n < 4)) {
        return OK;
    }
    void *bigger = mem_realloc(*array, (n == 0 ? 4 : 2 * n) * element);
    if (bigger == NULL) {
        return ERR_NOMEM;
    }
    *array = bigger;
    return OK;
}

static enum err add_range(struct log_index *x, const struct repl_meta *m, struct raft_term_range range)
{
    const struct raft_term_range *before = x->n_ranges == 0 ? NULL : &x->ranges[x->n_ranges - 1];
    if (range.first == 0 || range.first > m->log_last || range.term == 0 || range.term > m->last_term ||
        (before == NULL && range.first > m->log_first) || (before != NULL && range.term <= before->term)) {
        return ERR_CORRUPT;
    }
    enum err e = grow((void **)&x->ranges, x->n_ranges, sizeof(x->ranges[0]));
    if (e == OK) {
        x->ranges[x->n_ranges++] = range;
    }
    return e;
}

static enum err load_ranges(struct kv_cursor *c, uint32_t replica, const struct repl_meta *m, struct log_index *x)
{
    struct repl_key from = key_head(replica, 'T');
    struct slice key;
    struct slice row;
    enum err e = kv_cursor_seek(c, key_slice(&from), &key, &row);
    while (e == OK && key_under(key, replica, 'T')) {
        struct raft_term_range range;
        e = log_range_decode(key, row, &range);
        if (e == OK) {
            e = add_range(x, m, range);
        }
        if (e != OK) {
            return e;
        }
        e = kv_cursor_next(c, &key, &row);
    }
    if (e != OK && e != ERR_NOTFOUND) {
        return e;
    }
    if (m->log_first > m->log_last) {
        return OK; /* an empty log has none, or the one that its end was cut off from */
    }
    return x->n_ranges > 0 && x->ranges[x->n_ranges - 1].term == m->last_term ? OK : ERR_CORRUPT;
}

/* The bytes move with buf's growth: offsets first, pointers when all are there. */
static enum err add_change(struct log_index *x, const struct raft_log_change *change)
{
    enum err e = grow((void **)&x->changes, x->n_changes, sizeof(x->changes[0]));
    if (e == OK) {
        e = buf_append_slice(&x->bytes, change->configuration);
    }
    if (e == OK) {
        x->changes[x->n_changes++] = *change;
    }
    return e;
}

static enum err load_changes(struct kv_cursor *c, uint32_t replica, const struct repl_meta *m, struct log_index *x)
{
    struct repl_key from = key_index(replica, 'C', m->snapshot_configuration);
    struct slice key;
    struct slice row;
    enum err e = kv_cursor_seek(c, key_slice(&from), &key, &row);
    while (e == OK && key_under(key, replica, 'C')) {
        struct raft_log_change change;
        e = log_configuration_decode(key, row, &change);
        if (e == OK && change.index > m->log_last) {
            e = ERR_CORRUPT;
        }
        if (e == OK && (change.index >= m->log_first || change.index == m->snapshot_configuration)) {
            e = add_change(x, &change);
        }
        if (e != OK) {
            return e;
        }
        e = kv_cursor_next(c, &key, &row);
    }
    return e == OK || e == ERR_NOTFOUND ? OK : e;
}

/* Points the changes into the buffer; takes the snapshot's configuration off the front unless the log still has its
 * entry. */
static enum err settle_changes(const struct repl_meta *m, struct log_index *x)
{
    const uint8_t *at = buf_slice(&x->bytes).p;
    for (size_t i = 0; i < x->n_changes; i++) {
        x->changes[i].configuration.p = at;
        at += x->changes[i].configuration.n;
    }
    if (m->snapshot_configuration == 0) {
        return m->log_last == 0 || (x->n_changes > 0 && x->changes[0].index == 1) ? OK : ERR_CORRUPT;
    }
    if (x->n_changes == 0 || x->changes[0].index != m->snapshot_configuration) {
        return ERR_CORRUPT;
    }
    x->snapshot_configuration = x->changes[0].configuration;
    if (x->changes[0].index < m->log_first) {
        x->n_changes--;
        memmove(x->changes, x->changes + 1, x->n_changes * sizeof(x->changes[0]));
    }
    return OK;
}

enum err log_index_load(struct kv_txn *t, uint32_t replica, const struct repl_meta *m, struct log_index *out)
{
    struct kv_cursor *c;
    memset(out, 0, sizeof(*out));
    buf_init(&out->bytes, CONFIGURATIONS_BYTES_MAX);
    enum err e = kv_cursor_open(t, &c);
    if (e != OK) {
        return e;
    }
    e = load_ranges(c, replica, m, out);
    if (e == OK) {
        e = load_changes(c, replica, m, out);
    }
    kv_cursor_close(c);
    return e == OK ? settle_changes(m, out) : e;
}

void log_index_fini(struct log_index *x)
{
    mem_free(x->ranges);
    mem_free(x->changes);
    buf_fini(&x->bytes);
}
