/* The maildrop's exclusive lock: a lease in the memory of the account's shard leader (ARCHITECTURE, section 5a). Taken
 * at login, renewed while the session lives; a new leader knows no leases, so a renewal there takes it again. Fibers
 * only. */
#ifndef FRONTEND_POP3_POP3_LOCK_H
#define FRONTEND_POP3_POP3_LOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "frontend/session/backend.h"

#ifdef __cplusplus
extern "C" {
#endif

struct pop3_lock {
    struct u128 token;
    uint64_t term;         /* of the leader that granted it: QUIT's deletion carries it, */
    struct shard_id shard; /* and the shard: the account may move */
    uint64_t renewed_ms;   /* when the last grant was asked for */
    uint64_t lease_ms;
    bool held;
};

/* ERR_LOCKED: another session has it. */
MUST_CHECK enum err pop3_lock_take(struct pop3_lock *l, struct backend *b, struct account_ref *a, uint64_t now_ms);
/* Renews when it is older than age_ms. ERR_LOCKED: lost to another session (held becomes false). A temporary failure is
 * an error only once the lease has run out. */
MUST_CHECK enum err pop3_lock_keep(struct pop3_lock *l, struct backend *b, struct account_ref *a, uint64_t now_ms,
                                   uint64_t age_ms);
/* Frees it now rather than at the end of its lease; failure is harmless. */
void pop3_lock_release(struct pop3_lock *l, struct backend *b, struct account_ref *a);
/* The same for a session that is being torn down, from its loop's own stack: a fiber of its own does it. */
struct loop;
void pop3_lock_release_later(struct pop3_lock *l, struct backend *b, struct account_ref *a, struct loop *loop);

#ifdef __cplusplus
}
#endif

#endif /* FRONTEND_POP3_POP3_LOCK_H */
