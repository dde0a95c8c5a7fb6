#include "storage/method/method.h"

#define ACCOUNTS_MAX 10000

static enum err run(struct read_context *rc, const ProtobufCMessage *req_base, struct buf *meta, struct buf *attach)
{
    const Pb__ReadWatch *req = (const Pb__ReadWatch *)(const void *)req_base;
    struct store s = method_store(rc);
    (void)attach;
    if (req->n_accounts > ACCOUNTS_MAX) {
        return ERR_LIMIT;
    }
    uint8_t *modseqs = arena_alloc(rc->arena, req->n_accounts * 8 + 1);
    if (modseqs == NULL) {
        return ERR_NOMEM;
    }
    for (size_t i = 0; i < req->n_accounts; i++) {
        struct account_row row = {0};
        enum err e = account_get_live(&s, (struct account_id){req->accounts[i]}, &row);
        if (e != OK && e != ERR_NOTFOUND) {
            return e;
        }
        put_le64(modseqs + 8 * i, e == OK ? row.modseq : 0);
    }
    Pb__ReadWatchResult res = PB__READ_WATCH_RESULT__INIT;
    res.modseqs = pb_bytes(slice_make(modseqs, req->n_accounts * 8));
    return pb_pack(&res.base, meta);
}

STORAGE_METHOD(watch) = {.method = METHOD_WATCH, .run = run};
