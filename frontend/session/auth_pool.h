/* The bounded pool of hashing threads. A job is the parked fiber's memory; its fiber is woken in its own loop when the
 * hash is done. */
#ifndef FRONTEND_SESSION_AUTH_POOL_H
#define FRONTEND_SESSION_AUTH_POOL_H

#include "frontend/session/auth.h"

#ifdef __cplusplus
extern "C" {
#endif

struct auth_pool;

MUST_CHECK enum err auth_pool_open(uint32_t threads, uint32_t queue_max, struct auth_pool **out);
/* Every job must have returned before. */
void auth_pool_close(struct auth_pool *p);
/* Asked on a hashing thread before the hash is made: closed means ERR_AUTH without it. */
struct auth_pool_guard {
    bool (*closed)(void *user);
    void *user;
};

/* Parks the running fiber until a thread has verified the password: OK, ERR_AUTH, ERR_NOMEM; ERR_OVERLOAD at once when
 * the queue is full. */
MUST_CHECK enum err auth_pool_verify(struct auth_pool *p, const Pb__Credentials *c, struct slice password,
                                     const struct auth_pool_guard *guard);
/* The same for making verifiers (hash upgrade); out's bytes lie in the arena. */
MUST_CHECK enum err auth_pool_make(struct auth_pool *p, struct slice password, struct arena *arena,
                                   Pb__Credentials *out);

#ifdef __cplusplus
}
#endif

#endif /* FRONTEND_SESSION_AUTH_POOL_H */
