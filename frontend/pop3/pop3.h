/* POP3 (RFC 1939) with CAPA (2449), STLS (2595), SASL PLAIN (5034), PIPELINING, RESP-CODES and AUTH-RESP-CODE (2449,
 * 3206). A listener's user pointer is a struct pop3_server_config that outlives the server; it is only read.
 *
 * A session sees INBOX as it was at login. It holds the maildrop's lock, a lease in storage that it renews. DELE marks;
 * only QUIT deletes, and only under the live lease; any other end of the session deletes nothing. */
#ifndef FRONTEND_POP3_POP3_H
#define FRONTEND_POP3_POP3_H

#include <stdint.h>

#include "frontend/net/conn.h"
#include "frontend/session/auth.h"
#include "frontend/session/backend.h"
#include "proto/base/clock.h"

#ifdef __cplusplus
extern "C" {
#endif

extern const struct conn_proto pop3_proto;

struct pop3_server_config {
    struct backend *backend;
    struct auth *auth;
    const char *hostname;       /* in the banner */
    struct clock *clock;        /* NULL: the system's */
    uint32_t line_bytes_max;    /* of a command with its line end; RFC 2449, 4 asks for 255 */
    uint32_t errors_max;        /* wrong commands, then the end */
    uint32_t auth_failures_max; /* of a connection */
    uint32_t messages_max;      /* of a maildrop: the oldest so many are served */
    uint32_t lock_renew_ms;     /* how often the lease is renewed, also while idle or in the middle of RETR */
    uint64_t login_ms;          /* from the banner to a login */
    uint64_t idle_ms;           /* autologout (RFC 1939, 3: 10 minutes at least) */
};

/* The defaults; backend, auth and hostname are the caller's to set. */
void pop3_server_config_init(struct pop3_server_config *cfg);

#ifdef __cplusplus
}
#endif

#endif /* FRONTEND_POP3_POP3_H */
