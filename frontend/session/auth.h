/* Logins: limits by IP and user, then the verified-login cache, then hashing on a bounded pool (ARCHITECTURE, section
 * 5).
 *
 * auth_login runs on a fiber: resolves the name, reads the account (whose credential version validates the cache
 * entry), compares. A cache hit is one RPC and one keyed hash; a miss hashes (Argon2id, or crypt(3) for imports, then
 * upgraded by CREDENTIALS_SET if_version). An unknown user costs the same time as a wrong password. A full queue is
 * ERR_OVERLOAD (a temporary failure in every protocol). Passwords are wiped after use. */
#ifndef FRONTEND_SESSION_AUTH_H
#define FRONTEND_SESSION_AUTH_H

#include "frontend/session/backend.h"
#include "proto/base/rng.h"

#ifdef __cplusplus
extern "C" {
#endif

struct auth;
struct conn;

struct auth_config {
    struct backend *backend;
    uint32_t threads;                  /* hashing threads; default 1 (a hash takes 19 MiB and tens of ms) */
    uint32_t queue_max;                /* waiting hashes; default 256 */
    uint32_t cache_entries;            /* verified logins; default 100,000 */
    uint32_t cache_ms;                 /* entry lifetime; default 1 h */
    uint32_t failures_per_minute_ip;   /* default 60: beyond it ERR_AUTH at once after a delay */
    uint32_t failures_per_minute_user; /* default 20; not for addresses from which the user logged in lately */
    bool insecure_auth;                /* password commands without TLS */
};

MUST_CHECK enum err auth_open(const struct auth_config *cfg, struct auth **out, struct buf *why);
void auth_close(struct auth *a);
/* Whether a password command may run on this connection now (TLS, or insecure_auth). */
bool auth_allowed(const struct auth *a, const struct conn *c);

/* ERR_AUTH (wrong, unknown, throttled: indistinguishable), ERR_OVERLOAD, ERR_UNAVAILABLE, ERR_TIMEOUT. */
MUST_CHECK enum err auth_login(struct auth *a, struct conn *c, struct slice user, struct slice password,
                               struct account_ref *out_account);

/* SASL PLAIN (RFC 4616) message: authzid NUL authcid NUL password. An authzid other than empty or equal to authcid is
 * ERR_PERM. */
MUST_CHECK enum err auth_sasl_plain(struct slice message, struct slice *out_user, struct slice *out_password);

/* Makes all verifiers of a password (session/credentials.c; used by ctl and the hash upgrade). Blocking: tens of ms. */
MUST_CHECK enum err credentials_make(struct slice password, struct rng *rng, struct arena *arena, Pb__Credentials *out);
/* Import of a crypt(3) or PHC Argon2id string as found in other servers' passwd files ("{SCHEME}" prefixes are taken
 * off). Blocking, as a login: the hash is tried. ERR_UNSUPPORTED: another scheme; ERR_INVAL: cut or garbled. */
MUST_CHECK enum err credentials_import(struct slice hash, struct arena *arena, Pb__Credentials *out);
MUST_CHECK enum err credentials_verify(const Pb__Credentials *c, struct slice password);

#ifdef __cplusplus
}
#endif

#endif /* FRONTEND_SESSION_AUTH_H */
