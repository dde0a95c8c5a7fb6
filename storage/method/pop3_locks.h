/* The maildrop locks of POP3 (RFC 1939, 4) as leases in the leader's memory: an account has at most one, with a random
 * token. They end with the lease, an unlock, or a change of term: the holder takes its lock again under the new one.
 * Thread-safe. */
#ifndef STORAGE_METHOD_POP3_LOCKS_H
#define STORAGE_METHOD_POP3_LOCKS_H

#include "proto/base/err.h"
#include "proto/base/id.h"
#include "proto/base/slice.h"

#ifdef __cplusplus
extern "C" {
#endif

#define POP3_LEASE_MS 60000u
#define POP3_LOCKS_MAX 100000u

struct pop3_locks;

MUST_CHECK enum err pop3_locks_new(struct pop3_locks **out);
void pop3_locks_free(struct pop3_locks *p);

/* The leadership that gives a lease: terms of two shards may be the same number, and an account may come back. */
struct pop3_leader {
    struct shard_id shard;
    uint64_t term;
};

/* token empty: take the lock. Else renew it, also when it has ended and nobody else has it. ERR_LOCKED: another session
 * has it, under this leadership. ERR_OVERLOAD, ERR_NOMEM. */
MUST_CHECK enum err pop3_locks_take(struct pop3_locks *p, struct account_id a, struct slice token,
                                    struct pop3_leader leader, uint64_t now_ms, struct u128 *out_token);
/* Only the holder's token ends it; anything else is ignored. */
void pop3_locks_release(struct pop3_locks *p, struct account_id a, struct slice token);

#ifdef __cplusplus
}
#endif

#endif /* STORAGE_METHOD_POP3_LOCKS_H */
