/* Logins that were verified before: account -> (credential version, keyed hash of the password). An entry is good only
 * together with the version that the account's shard answers at each login, so a changed password is never let in.
 * Thread-safe; bounded; least recently used entries go first. */
#ifndef FRONTEND_SESSION_AUTH_CACHE_H
#define FRONTEND_SESSION_AUTH_CACHE_H

#include "proto/base/err.h"
#include "proto/base/id.h"

#ifdef __cplusplus
extern "C" {
#endif

#define AUTH_FINGERPRINT_BYTES 32

struct auth_cache;

MUST_CHECK enum err auth_cache_open(uint32_t entries_max, uint64_t lifetime_ms, struct auth_cache **out);
void auth_cache_close(struct auth_cache *c);
/* The credential version for which this very password was verified; 0 = none. */
uint64_t auth_cache_version(struct auth_cache *c, struct account_id a, const uint8_t fp[AUTH_FINGERPRINT_BYTES],
                            uint64_t now_ms);
void auth_cache_put(struct auth_cache *c, struct account_id a, uint64_t version,
                    const uint8_t fp[AUTH_FINGERPRINT_BYTES], uint64_t now_ms);

#ifdef __cplusplus
}
#endif

#endif /* FRONTEND_SESSION_AUTH_CACHE_H */
