/* Which addresses users have logged in from: others who guess a user's password must not lock those out. A fixed table;
 * a pair that collides with another is forgotten. Thread-safe. */
#ifndef FRONTEND_SESSION_AUTH_KNOWN_H
#define FRONTEND_SESSION_AUTH_KNOWN_H

#include <stdbool.h>

#include "proto/base/err.h"
#include "proto/base/slice.h"

#ifdef __cplusplus
extern "C" {
#endif

struct auth_known;

MUST_CHECK enum err auth_known_open(struct auth_known **out);
void auth_known_close(struct auth_known *k);
void auth_known_add(struct auth_known *k, struct slice user, struct slice ip, uint64_t now_ms);
/* A login by this user from there within the last week. */
bool auth_known_has(struct auth_known *k, struct slice user, struct slice ip, uint64_t now_ms);

#ifdef __cplusplus
}
#endif

#endif /* FRONTEND_SESSION_AUTH_KNOWN_H */
