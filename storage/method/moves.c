/* ReadMoves: accounts that leave the shard and those that arrive in it, as far as they are. */
#include "storage/mailbox/moving.h"
#include "storage/mailbox/secret.h"
#include "storage/method/method.h"

#define LIST_MAX (2 * MOVES_MAX)

struct listing {
    struct read_context *rc;
    struct store store;
    Pb__MoveInfo *rows;
    Pb__ReadMovesResult answer;
};

static enum err add(struct listing *l, struct account_id a, const Pb__MoveInfo *info)
{
    struct secret secret;
    Pb__MoveInfo *row = &l->rows[l->answer.n_moves];
    *row = *info;
    row->account = a.v;
    enum err e = secret_get(&l->store, a, &secret);
    if (e == OK) {
        row->name = arena_slice_str(l->rc->arena, secret.name);
        e = row->name == NULL ? ERR_NOMEM : OK;
    }
    l->answer.moves[l->answer.n_moves++] = row;
    return e == ERR_NOTFOUND ? OK : e; /* not copied yet, or purged */
}

static enum err move_row(struct listing *l, struct account_id a, struct slice value)
{
    struct move_row row;
    Pb__MoveInfo info = PB__MOVE_INFO__INIT;
    enum err e = move_decode(value, &row);
    info.shard = row.to;
    info.state = row.state;
    info.started_ms = row.started_ms;
    info.state_ms = row.state_ms;
    return e == OK ? add(l, a, &info) : e;
}

static enum err arrival_row(struct listing *l, struct account_id a, struct slice value)
{
    struct arrival_row row;
    Pb__MoveInfo info = PB__MOVE_INFO__INIT;
    enum err e = arrival_decode(value, &row);
    info.shard = row.from;
    info.arriving = true;
    info.state = row.ready;
    info.started_ms = row.started_ms;
    info.emails = row.emails;
    info.rows = row.rows;
    return e == OK ? add(l, a, &info) : e;
}

static enum err list(struct listing *l, enum shard_table table,
                     enum err (*row)(struct listing *l, struct account_id a, struct slice value))
{
    struct key prefix;
    struct scan sc;
    struct slice rest;
    struct slice value;
    key_shard(&prefix, &l->store, table);
    enum err e = scan_open(&sc, &l->store, &prefix);
    if (e != OK) {
        return e;
    }
    while (l->answer.n_moves < LIST_MAX) {
        e = scan_next(&sc, &rest, &value);
        if (e == OK) {
            e = rest.n == 8 ? row(l, (struct account_id){get_be64(rest.p)}, value) : ERR_CORRUPT;
        }
        if (e != OK) {
            break;
        }
    }
    scan_close(&sc);
    return e == ERR_NOTFOUND ? OK : e;
}

static enum err run(struct read_context *rc, const ProtobufCMessage *request, struct buf *meta, struct buf *attach)
{
    struct listing l = {.rc = rc, .store = method_store(rc), .answer = PB__READ_MOVES_RESULT__INIT};
    (void)request;
    (void)attach;
    l.rows = arena_calloc(rc->arena, LIST_MAX, sizeof(*l.rows));
    l.answer.moves = arena_calloc(rc->arena, LIST_MAX, sizeof(*l.answer.moves));
    if (l.rows == NULL || l.answer.moves == NULL) {
        return ERR_NOMEM;
    }
    enum err e = list(&l, SHARD_MOVES, move_row);
    if (e == OK) {
        e = list(&l, SHARD_ARRIVALS, arrival_row);
    }
    return e == OK ? pb_pack(&l.answer.base, meta) : e;
}

STORAGE_METHOD(moves) = {
    .method = METHOD_MOVES,
    .request = &pb__read_moves__descriptor,
    .run = run,
};
