/* ReadWatch: the MODSEQ of accounts, 0 = gone: after a gap in the hints a frontend sees what it missed. And where those
 * that moved live now. ERR_UNAVAILABLE: one is just about to go live here. */
#include "storage/method/method.h"

#define WATCH_MAX 10000

static enum err run(struct read_context *rc, const ProtobufCMessage *request, struct buf *meta, struct buf *attach)
{
    const Pb__ReadWatch *req = (const Pb__ReadWatch *)request;
    struct store s = method_store(rc);
    struct column modseqs = {.p = arena_calloc(rc->arena, req->n_accounts + 1, 8)};
    struct column shards = {.p = arena_calloc(rc->arena, req->n_accounts + 1, 4)};
    bool moved = false;
    Pb__ReadWatchResult answer = PB__READ_WATCH_RESULT__INIT;
    (void)attach;
    if (req->n_accounts > WATCH_MAX) {
        return ERR_LIMIT;
    }
    if (modseqs.p == NULL || shards.p == NULL) {
        return ERR_NOMEM;
    }
    for (size_t i = 0; i < req->n_accounts; i++) {
        struct account_row row;
        struct account_id a = {req->accounts[i]};
        uint32_t shard = 0;
        enum err e = account_get_live(&s, a, &row);
        if (e == ERR_MOVED) {
            moved = true;
            e = account_moved_to(&s, a, &shard);
            row.modseq = 0;
        }
        if (e != OK && e != ERR_NOTFOUND) {
            return e;
        }
        column_le64(&modseqs, e == OK ? row.modseq : 0);
        column_le32(&shards, shard);
    }
    answer.modseqs = column_data(&modseqs);
    if (moved) {
        answer.shards = column_data(&shards);
    }
    return pb_pack(&answer.base, meta);
}

STORAGE_METHOD(watch) = {
    .method = METHOD_WATCH,
    .request = &pb__read_watch__descriptor,
    .run = run,
};
