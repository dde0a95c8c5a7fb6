/* The IMAP4rev1 frontend: one conn_proto for the listeners of ports 143 and 993 (2143 and 2993 by default).
 *
 * In: a client's bytes. Out: responses, and calls on the backend. A session is a struct imap_session in the
 * connection's memory; it belongs to the connection's loop. Idle sessions hold no fiber and no buffer: a line that is
 * not finished, the view of the selected mailbox, and the account's reference are all that stays. RFC 3501 and the
 * extensions in README.md. */
#ifndef FRONTEND_IMAP_IMAP_H
#define FRONTEND_IMAP_IMAP_H

#include <stddef.h>
#include <stdint.h>

#include "frontend/net/conn.h"

#ifdef __cplusplus
extern "C" {
#endif

struct auth;
struct backend;

/* What a client may ask for; everything that the network sizes is bounded by one of these. */
struct imap_limits {
    size_t line_bytes_max;      /* a command with its literals, the message of APPEND apart; 64 KiB */
    size_t prelogin_bytes_max;  /* the same before login; 8 KiB */
    uint64_t message_bytes_max; /* APPEND; 50 MiB */
    uint32_t depth_max;         /* nesting of parentheses and search keys; 100 */
    uint32_t set_ranges_max;    /* ranges in one sequence set; 20,000 */
    uint32_t errors_max;        /* BAD replies in a row before the connection is closed; 20 */
    uint32_t auth_failures_max; /* failed logins in a connection; 5 */
};

/* The listener's user pointer; the caller's memory, read-only while the server runs. Zero means the default. */
struct imap_server_config {
    struct backend *backend;
    struct auth *auth;
    struct imap_limits limits;
    uint64_t login_ms;   /* silence before login; 1 min. Three times that is the limit for logging in at all */
    uint64_t idle_ms;    /* silence after login (RFC 3501, 5.4: not below 30 min); 30 min */
    uint64_t literal_ms; /* silence within the message of APPEND; 2 min */
};

extern const struct imap_limits imap_limits_default;
/* Puts defaults in the place of zeros. */
void imap_server_config_defaults(struct imap_server_config *cfg);

/* Listeners with this protocol have a struct imap_server_config as user; defaults must have been filled in. */
extern const struct conn_proto imap_proto;

#ifdef __cplusplus
}
#endif

#endif /* FRONTEND_IMAP_IMAP_H */
