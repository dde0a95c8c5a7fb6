#include "replication/check.h"

#include "replication/body.h"
#include "replication/key.h"
#include "replication/log.h"
#include "replication/volume.h"
#include "replication/volume_owner.h"

/* What is known of the replica whose rows the walk is in. Rows come in key order: B, C, L, M, P, Q, S, T. */
struct replica_walk {
    uint32_t number;
    bool garbage; /* to be deleted: a copy that was broken off, or what one replaced */
    struct repl_meta meta;
    bool has_meta;
    uint64_t entries_next; /* index that the next log row must have */
    uint64_t pieces;       /* applied and not dead */
    uint64_t piece_rows;
};

struct body_walk {
    bool open;
    uint32_t replica;
    uint64_t index;
    uint16_t ordinal;
    uint32_t next_chunk;
    uint64_t bytes;
    bool broken;
    bool short_chunk; /* the last one was not full: nothing may follow */
};

struct walk {
    const struct repl_check *check;
    struct repl_check_totals *totals;
    struct kv_txn *t;
    struct buf scratch;
    struct replica_walk replica;
    struct body_walk body;
};

static void problem(struct walk *w, const char *what, struct slice key)
{
    w->totals->problems++;
    w->check->problem(w->check->ctx, what, key);
}

/* --- bodies --- */

static enum err end_body(struct walk *w)
{
    struct body_walk *b = &w->body;
    uint8_t prefix[5];
    bool dead = false;
    if (!b->open) {
        return OK;
    }
    b->open = false;
    if (b->broken) {
        return OK;
    }
    enum err e = body_is_dead(w->t, b->replica, b->index, b->ordinal, &dead);
    if (e != OK) {
        return e;
    }
    put_be32(prefix, b->replica);
    prefix[4] = 'S';
    w->totals->body_bytes += b->bytes;
    if (b->ordinal == REPL_ORDINAL_PIECE) {
        w->replica.pieces += !dead && (!w->replica.has_meta || b->index <= w->replica.meta.applied);
        return OK;
    }
    w->totals->bodies++;
    w->check->body(w->check->ctx, prefix, b->index, b->ordinal, b->bytes, dead);
    return OK;
}

static enum err check_chunk(struct walk *w, struct slice key, struct slice row)
{
    struct body_walk *b = &w->body;
    struct slice data;
    if (body_chunk_decode(key, row, &data) != OK) {
        problem(w, "body chunk: wrong checksum, place or size", key);
        b->broken = true;
        return OK;
    }
    uint64_t index = get_be64(key.p + KEY_HEAD_BYTES);
    uint16_t ordinal = get_be16(key.p + KEY_INDEX_BYTES);
    uint32_t chunk = get_be32(key.p + KEY_BODY_BYTES);
    if (!b->open || index != b->index || ordinal != b->ordinal || w->replica.number != b->replica) {
        enum err e = end_body(w);
        if (e != OK) {
            return e;
        }
        const struct body_walk fresh = {.open = true, .replica = w->replica.number, .index = index, .ordinal = ordinal};
        *b = fresh;
    }
    if (chunk != b->next_chunk || b->short_chunk) {
        problem(w, "body chunk: one before it is missing or too short", key);
        b->broken = true;
    }
    b->next_chunk = chunk + 1;
    b->bytes += data.n;
    b->short_chunk = data.n < REPL_BODY_CHUNK_DATA;
    return OK;
}

/* --- log --- */

/* Entries [log_first, log_last] must all be there; each is read whole at its first row. */
static enum err check_entry(struct walk *w, struct slice key)
{
    struct replica_walk *r = &w->replica;
    struct log_entry entry;
    if (key.n == KEY_INDEX_BYTES + 2) {
        return OK; /* read with its entry */
    }
    if (key.n != KEY_INDEX_BYTES) {
        problem(w, "log row: wrong key", key);
        return OK;
    }
    uint64_t index = get_be64(key.p + KEY_HEAD_BYTES);
    enum err e = log_entry_get(w->t, r->number, index, &entry, &w->scratch);
    if (e == ERR_CORRUPT) {
        problem(w, "log entry: wrong checksum or length", key);
    } else if (e != OK) {
        return e;
    }
    if (r->has_meta && (index != r->entries_next || index > r->meta.log_last)) {
        problem(w, "log entry: one before it is missing, or it is outside of the log", key);
    }
    r->entries_next = index + 1;
    w->totals->entries++;
    return OK;
}

static void check_meta(struct walk *w, struct slice key)
{
    const struct replica_walk *r = &w->replica;
    if (r->has_meta && r->entries_next != r->meta.log_last + 1) {
        problem(w, "meta row: the log ends earlier", key);
    }
}

static void check_configuration(struct walk *w, struct slice key, struct slice row)
{
    struct raft_log_change change;
    if (log_configuration_decode(key, row, &change) != OK || raft_configuration_decodes(change.configuration) != OK) {
        problem(w, "configuration: wrong checksum or content", key);
    }
}

static void check_range(struct walk *w, struct slice key, struct slice row)
{
    struct raft_term_range range;
    if (log_range_decode(key, row, &range) != OK) {
        problem(w, "term range: wrong checksum or length", key);
    }
}

/* A piece row and the bytes that it names. */
static enum err check_piece(struct walk *w, struct slice key, struct slice row)
{
    struct body_piece_row piece;
    uint8_t prefix[5];
    uint64_t bytes = 0;
    memcpy(prefix, key.p, 4);
    prefix[4] = 'S';
    w->replica.piece_rows++;
    if (body_piece_row_decode(key, row, &piece) != OK) {
        problem(w, "piece of a staged body: wrong checksum or length", key);
        return OK;
    }
    enum err e = repl_body_bytes(w->t, prefix, piece.index, REPL_ORDINAL_PIECE, &bytes);
    if (e == ERR_CORRUPT || (e == OK && bytes != piece.bytes)) {
        problem(w, "piece of a staged body: its bytes are missing", key);
        return OK;
    }
    return e;
}

static void end_replica(struct walk *w)
{
    struct repl_key meta = key_head(w->replica.number, 'M');
    if (w->replica.number != 0 && w->replica.pieces != w->replica.piece_rows) {
        problem(w, "pieces of staged bodies that nothing names", key_slice(&meta));
    }
}

static void check_dead(struct walk *w, struct slice key, struct slice row)
{
    w->totals->dead_bodies++;
    if (key.n != KEY_BODY_BYTES || row.n != 8) {
        problem(w, "dead body: wrong key or length", key);
    }
}

/* --- replicas --- */

/* Loads what the rows of a replica are compared with. */
static enum err begin_replica(struct walk *w, uint32_t number, struct slice key)
{
    struct replica_walk *r = &w->replica;
    struct log_index index;
    const struct replica_walk fresh = {.number = number};
    struct repl_key garbage = key_garbage(number);
    struct slice none;
    *r = fresh;
    enum err e = kv_get(w->t, key_slice(&garbage), &none);
    r->garbage = e == OK;
    if (e != ERR_NOTFOUND) {
        return e;
    }
    e = log_meta_get(w->t, number, &r->meta);
    if (e == ERR_CORRUPT || e == ERR_NOTFOUND) {
        problem(w, "replica: its meta row is missing or corrupt", key);
        return OK;
    }
    if (e != OK) {
        return e;
    }
    r->has_meta = true;
    r->entries_next = r->meta.log_first;
    e = log_index_load(w->t, number, &r->meta, &index);
    log_index_fini(&index);
    if (e == ERR_CORRUPT) {
        problem(w, "replica: term ranges, configurations and meta row disagree", key);
        return OK;
    }
    return e;
}

static enum err check_volume_row(struct walk *w, struct slice key, struct slice row)
{
    uint8_t prefix[5];
    struct volume_owner owner;
    if (key.p[4] == 'I') {
        if (key.n != KEY_HEAD_BYTES || volume_owner_decode(row, &owner) != OK) {
            problem(w, "volume row: whose the volume is cannot be read", key);
        }
        return OK;
    }
    if (key.p[4] == 'V' || key.p[4] == 'G') {
        return OK; /* volume_open verifies it; a replica to be deleted needs no rows */
    }
    if (key.p[4] != 'R' || key.n != KEY_HEAD_BYTES + 4 || row.n != 4 || get_be32(row.p) == 0) {
        problem(w, "volume row: unknown or of a wrong length", key);
        return OK;
    }
    struct shard_id shard = {.v = get_be32(key.p + KEY_HEAD_BYTES)};
    struct repl_meta meta;
    enum err e = log_meta_get(w->t, get_be32(row.p), &meta);
    if (e == ERR_NOTFOUND) {
        problem(w, "volume row: the shard's replica has no rows", key);
        return OK;
    }
    if (e != OK && e != ERR_CORRUPT) {
        return e;
    }
    memcpy(prefix, row.p, 4);
    prefix[4] = 'S';
    w->totals->replicas++;
    w->check->replica(w->check->ctx, shard, prefix);
    return OK;
}

static enum err check_row(struct walk *w, struct slice key, struct slice row)
{
    switch (key.p[4]) {
    case 'B':
        return check_chunk(w, key, row);
    case 'C':
        check_configuration(w, key, row);
        return OK;
    case 'L':
        return check_entry(w, key);
    case 'M':
        check_meta(w, key);
        return OK;
    case 'P':
        return check_piece(w, key, row);
    case 'Q':
        check_dead(w, key, row);
        return OK;
    case 'T':
        check_range(w, key, row);
        return OK;
    default:
        problem(w, "row of an unknown kind", key);
        return OK;
    }
}

/* The state machine's rows are skipped at once, and all of a replica that is to be deleted. */
static enum err next_row(const struct walk *w, struct kv_cursor *c, struct slice *key, struct slice *row)
{
    if (w->replica.garbage) {
        struct repl_key after = key_head(w->replica.number + 1, 0);
        return kv_cursor_seek(c, slice_make(after.b, 4), key, row);
    }
    if (key->n >= KEY_HEAD_BYTES && key->p[4] == 'S' && get_be32(key->p) != 0) {
        struct repl_key after = key_head(get_be32(key->p), 'S' + 1);
        return kv_cursor_seek(c, key_slice(&after), key, row);
    }
    return kv_cursor_next(c, key, row);
}

static enum err visit(struct walk *w, struct slice key, struct slice row)
{
    enum err e = OK;
    if (key.n < KEY_HEAD_BYTES) {
        problem(w, "row of an unknown kind", key);
        return OK;
    }
    uint32_t number = get_be32(key.p);
    if (number == 0) {
        return check_volume_row(w, key, row);
    }
    if (number != w->replica.number) {
        e = end_body(w);
        if (e == OK) {
            end_replica(w);
            e = begin_replica(w, number, key);
        }
    }
    if (e != OK || w->replica.garbage) {
        return e;
    }
    if (key.p[4] != 'B') {
        e = end_body(w);
    }
    return e == OK && key.p[4] != 'S' ? check_row(w, key, row) : e;
}

enum err repl_check_run(struct kv_txn *t, const struct repl_check *c, struct repl_check_totals *out)
{
    const struct repl_check_totals none = {0};
    struct walk w = {.check = c, .totals = out, .t = t};
    struct kv_cursor *cursor;
    struct slice key;
    struct slice row;
    *out = none;
    enum err e = kv_cursor_open(t, &cursor);
    if (e != OK) {
        return e;
    }
    buf_init(&w.scratch, REPL_ENTRY_BYTES_MAX);
    e = kv_cursor_next(cursor, &key, &row);
    while (e == OK) {
        e = visit(&w, key, row);
        if (e == OK) {
            e = next_row(&w, cursor, &key, &row);
        }
    }
    if (e == ERR_NOTFOUND) {
        e = end_body(&w);
        end_replica(&w);
    }
    buf_fini(&w.scratch);
    kv_cursor_close(cursor);
    return e;
}
