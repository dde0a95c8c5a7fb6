/* POP3's exclusive maildrop locks: leases in the shard leader's memory, each with a random token (ARCHITECTURE, section
 * 5a). A leader change loses them all, and the frontends take theirs again; QUIT's deletion carries the term, so one
 * from before the change is refused by apply. Thread-safe. */
#ifndef STORAGE_METHOD_POP3_LOCKS_H
#define STORAGE_METHOD_POP3_LOCKS_H

#include "proto/base/err.h"
#include "proto/base/id.h"

#ifdef __cplusplus
extern "C" {
#endif

#define POP3_LEASE_MS 60000

struct pop3_locks;

MUST_CHECK enum err pop3_locks_new(struct pop3_locks **out);
void pop3_locks_free(struct pop3_locks *l);

/* token zero: takes the lock under a fresh token. Otherwise renews the lease of that token, or takes the lock with it
 * when nobody holds it. ERR_LOCKED while another token's lease lives. */
MUST_CHECK enum err pop3_locks_take(struct pop3_locks *l, struct account_id a, uint64_t term, const struct u128 *token,
                                    uint64_t now_ms, struct u128 *out_token);
/* Only the holder's token lets go; anything else is a no-op. */
void pop3_locks_release(struct pop3_locks *l, struct account_id a, const struct u128 *token);

#ifdef __cplusplus
}
#endif

#endif /* STORAGE_METHOD_POP3_LOCKS_H */
