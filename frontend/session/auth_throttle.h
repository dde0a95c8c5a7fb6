/* Failed logins per key (an address, a user) in the running minute, in a fixed table: bounded whatever is tried. A key
 * that collides with another takes the slot when its rival's minute is over. Thread-safe. */
#ifndef FRONTEND_SESSION_AUTH_THROTTLE_H
#define FRONTEND_SESSION_AUTH_THROTTLE_H

#include "proto/base/err.h"
#include "proto/base/slice.h"

#ifdef __cplusplus
extern "C" {
#endif

struct auth_throttle;

MUST_CHECK enum err auth_throttle_open(uint32_t failures_per_minute, struct auth_throttle **out);
void auth_throttle_close(struct auth_throttle *t);
/* True when the key has had its failures for this minute. */
bool auth_throttle_closed(struct auth_throttle *t, struct slice key, uint64_t now_ms);
void auth_throttle_failed(struct auth_throttle *t, struct slice key, uint64_t now_ms);

#ifdef __cplusplus
}
#endif

#endif /* FRONTEND_SESSION_AUTH_THROTTLE_H */
