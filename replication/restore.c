#include "replication/restore.h"

#include "proto/base/assert.h"
#include "proto/base/hash.h"
#include "proto/base/mem.h"
#include "replication/copy.h"
#include "replication/group_run.h"
#include "replication/key.h"
#include "replication/volume_run.h"

#define COMMIT_BYTES ((size_t)4 << 20)
#define COMMIT_ENTRIES 512 /* an entry of few bytes touches a dozen pages */

struct restore {
    struct restore_config cfg;
    struct group group; /* its replica, state machine, and where it stands: what group_apply needs */
    struct kv_txn *txn; /* NULL: none is open */
    size_t bytes;       /* in it, */
    size_t entries;
    bool based;
    struct group_slot spare;
};

/* --- transactions --- */

static enum err begin(struct restore *r)
{
    return r->txn != NULL ? OK : kv_begin(r->cfg.kv, true, &r->txn);
}

static enum err commit(struct restore *r)
{
    struct kv_txn *t = r->txn;
    r->txn = NULL;
    r->bytes = 0;
    r->entries = 0;
    enum err e = t == NULL ? OK : kv_commit(t);
    if (e == OK) {
        group_tell_committed(&r->group);
    }
    return e;
}

static enum err commit_some(struct restore *r, size_t bytes, size_t entries)
{
    r->bytes += bytes;
    r->entries += entries;
    return r->bytes > COMMIT_BYTES || r->entries > COMMIT_ENTRIES ? commit(r) : OK;
}

enum err restore_txn(struct restore *r, struct kv_txn **out)
{
    enum err e = begin(r);
    *out = r->txn;
    return e;
}

enum err restore_commit(struct restore *r)
{
    return commit(r);
}

/* --- begin --- */

/* The next number of the volume's own row, which is written again. */
static enum err take_number(struct restore *r)
{
    struct volume v = {.next_replica = 1};
    struct repl_key k = key_head(0, 'V');
    struct slice row;
    enum err e = kv_get(r->txn, key_slice(&k), &row);
    if (e == OK) {
        e = volume_row_get(row, &v.next_replica);
    } else if (e == ERR_NOTFOUND) {
        e = OK;
    }
    if (e == OK) {
        r->group.replica = v.next_replica++;
        e = volume_row_put(&v, r->txn);
    }
    return e;
}

/* Until restore_end it is garbage: a store that was left half-way shows no replica. */
static enum err open_replica(struct restore *r)
{
    struct repl_key shard = key_shard(r->cfg.shard.v);
    struct slice row;
    enum err e = begin(r);
    if (e == OK) {
        e = kv_get(r->txn, key_slice(&shard), &row);
        e = e == OK ? ERR_EXISTS : e == ERR_NOTFOUND ? OK : e;
    }
    if (e == OK) {
        e = take_number(r);
    }
    return e == OK ? copy_garbage_put(r->txn, r->group.replica) : e;
}

enum err restore_begin(const struct restore_config *cfg, const struct repl_fsm *fsm, struct restore **out)
{
    struct restore *r = mem_zalloc(sizeof(*r));
    if (r == NULL) {
        return ERR_NOMEM;
    }
    r->cfg = *cfg;
    r->group.shard = cfg->shard;
    r->group.node = cfg->node;
    r->group.fsm = *fsm;
    buf_init(&r->spare.result, REPL_RESULT_BYTES_MAX);
    enum err e = open_replica(r);
    if (e != OK) {
        restore_free(r);
        return e;
    }
    *out = r;
    return OK;
}

void restore_prefix(const struct restore *r, uint8_t out[5])
{
    put_be32(out, r->group.replica);
    out[4] = 'S';
}

/* --- the state --- */

enum err restore_rows(struct restore *r, struct slice rows, uint64_t *out_n)
{
    enum err e = r->based ? ERR_CORRUPT : begin(r);
    if (e == OK) {
        e = copy_rows_write(r->txn, r->group.replica, rows, out_n);
    }
    return e == OK ? commit_some(r, rows.n, 0) : e;
}

enum err restore_rows_check(struct slice rows, uint64_t *out_n)
{
    return copy_rows_write(NULL, 0, rows, out_n);
}

enum err restore_base(struct restore *r, uint64_t index, uint64_t term)
{
    enum err e = r->based || index == 0 || term == 0 ? ERR_CORRUPT : begin(r);
    if (e == OK) {
        e = copy_drop_later_bodies(r->txn, r->group.replica, index);
    }
    if (e == OK) {
        r->based = true;
        r->group.next.applied = index;
        r->group.next.last_term = term;
    }
    return e;
}

static enum err body_put(struct restore *r, const struct repl_entry *entry)
{
    uint16_t ordinal = entry->head.type == REPL_ENTRY_CHUNK ? REPL_ORDINAL_PIECE : 0;
    return entry->body.n == 0 ? OK : body_write(r->txn, r->group.replica, entry->head.index, ordinal, 0, entry->body);
}

enum err restore_entry(struct restore *r, const struct repl_entry *entry)
{
    struct repl_meta *m = &r->group.next;
    if (!r->based || entry->head.index != m->applied + 1 || entry->head.term < m->last_term) {
        return ERR_CORRUPT;
    }
    enum err e = begin(r);
    if (e == OK) {
        e = body_put(r, entry);
    }
    if (e == OK) {
        e = group_apply(&r->group, r->txn, &entry->head, &r->spare);
    }
    if (e != OK) {
        return e;
    }
    m->last_term = entry->head.term;
    return commit_some(r, entry->head.data.n + entry->body.n, 1);
}

uint64_t restore_index(const struct restore *r)
{
    return r->group.next.applied;
}

uint64_t restore_term(const struct restore *r)
{
    return r->group.next.last_term;
}

/* --- the group --- */

static enum err configuration_put(struct restore *r, uint64_t index)
{
    const struct raft_server_info self = {.node = r->cfg.node, .role = RAFT_ROLE_VOTER};
    struct buf b;
    buf_init(&b, REPL_ENTRY_BYTES_MAX);
    enum err e = raft_configuration_put(&self, 1, &b);
    if (e == OK) {
        e = log_configuration_put(r->txn, r->group.replica, index, buf_slice(&b));
    }
    buf_fini(&b);
    return e;
}

enum err restore_end(struct restore *r, uint64_t index)
{
    struct repl_key shard = key_shard(r->cfg.shard.v);
    struct repl_key garbage = key_garbage(r->group.replica);
    uint8_t number[4];
    uint64_t term = r->group.next.last_term;
    const struct repl_meta m = {.node = r->cfg.node.v,
                                .term = term,
                                .applied = index,
                                .log_first = index + 1,
                                .log_last = index,
                                .last_term = term,
                                .snapshot_index = index,
                                .snapshot_term = term,
                                .snapshot_configuration = index};
    put_be32(number, r->group.replica);
    ASSERT(index >= r->group.next.applied);
    enum err e = r->based ? begin(r) : ERR_CORRUPT;
    if (e == OK) {
        e = configuration_put(r, index);
    }
    if (e == OK) {
        e = log_meta_put(r->txn, r->group.replica, &m);
    }
    if (e == OK) {
        e = kv_put(r->txn, key_slice(&shard), slice_make(number, sizeof(number)));
    }
    if (e == OK) {
        e = kv_del(r->txn, key_slice(&garbage));
    }
    return e == OK ? commit(r) : e;
}

void restore_free(struct restore *r)
{
    if (r == NULL) {
        return;
    }
    if (r->txn != NULL) {
        kv_abort(r->txn);
        if (r->group.applied_any && r->group.fsm.aborted != NULL) {
            r->group.fsm.aborted(r->group.fsm.ctx);
        }
    }
    buf_fini(&r->spare.result);
    mem_free(r);
}
