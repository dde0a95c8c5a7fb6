/* ReadPop3Lock: takes, renews or gives back the maildrop lock. ERR_LOCKED, ERR_NOTFOUND (account). */
#include "storage/method/method.h"
#include "storage/method/pop3_locks.h"

static enum err run(struct read_context *rc, const ProtobufCMessage *request, struct buf *meta, struct buf *attach)
{
    const Pb__ReadPop3Lock *req = (const Pb__ReadPop3Lock *)request;
    struct store s = method_store(rc);
    struct account_id a = {req->account};
    struct account_row row;
    struct u128 token;
    Pb__ReadPop3LockResult answer = PB__READ_POP3_LOCK_RESULT__INIT;
    (void)attach;
    if (rc->pop3 == NULL) {
        return ERR_UNSUPPORTED;
    }
    if (req->unlock) {
        pop3_locks_release(rc->pop3, a, pb_slice(req->token));
        return pb_pack(&answer.base, meta);
    }
    enum err e = account_get_live(&s, a, &row);
    if (e == OK) {
        struct pop3_leader leader = {rc->shard, rc->term};
        e = pop3_locks_take(rc->pop3, a, pb_slice(req->token), leader, rc->now_ms, &token);
    }
    if (e != OK) {
        return e;
    }
    answer.token = pb_bytes(slice_make(token.b, sizeof(token.b)));
    answer.term = rc->term;
    answer.lease_ms = POP3_LEASE_MS;
    e = pb_pack(&answer.base, meta);
    if (e != OK && req->token.len == 0) {
        pop3_locks_release(rc->pop3, a, pb_slice(answer.token)); /* nobody knows its token */
    }
    return e;
}

STORAGE_METHOD(pop3_lock) = {
    .method = METHOD_POP3_LOCK,
    .request = &pb__read_pop3_lock__descriptor,
    .run = run,
};
