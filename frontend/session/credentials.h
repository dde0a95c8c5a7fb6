/* What the login cache remembers of a password: HMAC-SHA-256 over account and password under a key of this process. */
#ifndef FRONTEND_SESSION_CREDENTIALS_H
#define FRONTEND_SESSION_CREDENTIALS_H

#include "proto/base/id.h"
#include "proto/base/slice.h"

#ifdef __cplusplus
extern "C" {
#endif

void credentials_fingerprint(const uint8_t key[32], struct account_id account, struct slice password, uint8_t out[32]);

#ifdef __cplusplus
}
#endif

#endif /* FRONTEND_SESSION_CREDENTIALS_H */
