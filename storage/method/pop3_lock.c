#include "storage/method/method.h"
#include "storage/method/pop3_locks.h"

static enum err run(struct read_context *rc, const ProtobufCMessage *req_base, struct buf *meta, struct buf *attach)
{
    const Pb__ReadPop3Lock *req = (const Pb__ReadPop3Lock *)(const void *)req_base;
    struct store s = method_store(rc);
    struct account_id a = {req->account};
    struct account_row row;
    struct u128 token = {{0}};
    struct u128 held;
    (void)attach;
    if (rc->pop3 == NULL || (req->token.len != 0 && req->token.len != sizeof(token.b))) {
        return ERR_INVAL;
    }
    if (req->token.len > 0) {
        memcpy(token.b, req->token.data, sizeof(token.b));
    }
    Pb__ReadPop3LockResult res = PB__READ_POP3_LOCK_RESULT__INIT;
    if (req->unlock) {
        pop3_locks_release(rc->pop3, a, &token);
        return pb_pack(&res.base, meta);
    }
    enum err e = account_get_live(&s, a, &row);
    if (e == OK) {
        e = pop3_locks_take(rc->pop3, a, rc->term, &token, rc->now_ms, &held);
    }
    if (e != OK) {
        return e;
    }
    res.token = pb_bytes(slice_make(held.b, sizeof(held.b)));
    res.term = rc->term;
    res.lease_ms = POP3_LEASE_MS;
    return pb_pack(&res.base, meta);
}

STORAGE_METHOD(pop3_lock) = {.method = METHOD_POP3_LOCK, .run = run};
