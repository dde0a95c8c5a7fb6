#include "frontend/pop3/pop3_lock.h"

#include "frontend/net/fiber.h"
#include "proto/base/mem.h"
#include "proto/base/rng.h"

#define CALL_BYTES_MAX 4096

static enum err lock_call(struct backend *b, struct account_ref *a, struct slice token, bool unlock,
                          struct pop3_lock *out)
{
    struct arena arena;
    struct backend_reply reply = {0};
    Pb__ReadPop3Lock req = PB__READ_POP3_LOCK__INIT;
    req.account = a->id.v;
    req.token.data = (uint8_t *)token.p;
    req.token.len = token.n;
    req.unlock = unlock;
    arena_init(&arena, CALL_BYTES_MAX);
    enum err err = backend_account_call(b, a, METHOD_POP3_LOCK, &req.base, slice_make(NULL, 0), &arena, &reply);
    const Pb__ReadPop3LockResult *r = (const Pb__ReadPop3LockResult *)reply.message;
    if (err == OK && out != NULL) {
        if (r == NULL || r->token.len != sizeof(out->token.b)) {
            err = ERR_CORRUPT;
        } else {
            memcpy(out->token.b, r->token.data, sizeof(out->token.b));
            out->term = r->term;
            out->shard = reply.shard;
            out->lease_ms = r->lease_ms;
        }
    }
    backend_reply_fini(&reply);
    arena_fini(&arena);
    return err;
}

/* The token is made here: when the reply is lost with the link, the call is repeated, and must not find its own lease
 * to be another session's. */
enum err pop3_lock_take(struct pop3_lock *l, struct backend *b, struct account_ref *a, uint64_t now_ms)
{
    struct u128 token = rng_u128(rng_system());
    enum err err = lock_call(b, a, slice_make(token.b, sizeof(token.b)), false, l);
    if (err == OK) {
        l->held = true;
        l->renewed_ms = now_ms;
    }
    return err;
}

static bool lease_over(const struct pop3_lock *l, uint64_t now_ms)
{
    return now_ms - l->renewed_ms >= l->lease_ms;
}

enum err pop3_lock_keep(struct pop3_lock *l, struct backend *b, struct account_ref *a, uint64_t now_ms, uint64_t age_ms)
{
    if (!l->held) {
        return ERR_LOCKED;
    }
    if (now_ms - l->renewed_ms < age_ms) {
        return OK;
    }
    struct u128 token = l->token;
    enum err err = lock_call(b, a, slice_make(token.b, sizeof(token.b)), false, l);
    if (err == OK) {
        l->renewed_ms = now_ms;
        return OK;
    }
    if (err == ERR_LOCKED) {
        l->held = false;
        return err;
    }
    return age_ms == 0 || lease_over(l, now_ms) ? err : OK;
}

void pop3_lock_release(struct pop3_lock *l, struct backend *b, struct account_ref *a)
{
    if (l->held) {
        l->held = false;
        (void)!lock_call(b, a, slice_make(l->token.b, sizeof(l->token.b)), true, NULL);
    }
}

struct release {
    struct pop3_lock lock;
    struct account_ref account;
    struct backend *backend;
};

static void release_run(void *arg)
{
    struct release *r = arg;
    pop3_lock_release(&r->lock, r->backend, &r->account);
    mem_free(r);
}

void pop3_lock_release_later(struct pop3_lock *l, struct backend *b, struct account_ref *a, struct loop *loop)
{
    if (!l->held) {
        return;
    }
    struct release *r = mem_alloc(sizeof(*r));
    if (r == NULL) {
        return; /* the lease runs out by itself */
    }
    *r = (struct release){*l, *a, b};
    l->held = false;
    if (fiber_spawn(loop, release_run, r) != OK) {
        mem_free(r);
    }
}
