/* The three mail receivers: SMTP for other servers (port 25), submission for users (587, 465; RFC 6409) and LMTP for a
 * mail server in front of us (RFC 2033). RFC 5321 with PIPELINING (2920), SIZE (1870), 8BITMIME (6152),
 * ENHANCEDSTATUSCODES (2034), SMTPUTF8 (6531), STARTTLS (3207), AUTH (4954). A listener's user pointer is a struct
 * smtp_server_config that outlives the server; it is only read. The role comes from the protocol, so one config can
 * serve all three.
 *
 * A 250 after DATA means: durable on a majority (ARCHITECTURE, section 1). No reply means: unknown, the client sends
 * again. */
#ifndef FRONTEND_SMTP_SMTP_H
#define FRONTEND_SMTP_SMTP_H

#include <stdbool.h>
#include <stdint.h>

#include "frontend/net/conn.h"
#include "frontend/session/auth.h"
#include "frontend/session/backend.h"
#include "proto/base/clock.h"
#include "proto/base/rng.h"

#ifdef __cplusplus
extern "C" {
#endif

extern const struct conn_proto smtp_proto;
extern const struct conn_proto submission_proto;
extern const struct conn_proto lmtp_proto;

/* What becomes of CR without LF and LF without CR, in the content and at the end of command lines. No policy ever takes
 * anything but CRLF.CRLF as the end of the data. */
enum smtp_bare {
    SMTP_BARE_REJECT,    /* 550 5.6.0 after the data; 500 for a command line */
    SMTP_BARE_NORMALIZE, /* LF becomes CRLF, CR becomes a space */
    SMTP_BARE_KEEP       /* stored as it came */
};

struct smtp_server_config {
    struct backend *backend;
    struct auth *auth;       /* may be NULL when no submission listener uses the config */
    const char *hostname;    /* in the greeting, Received: and generated Message-IDs */
    const char *postmaster;  /* address that <postmaster> without a domain means; NULL: postmaster@hostname */
    struct clock *clock;     /* NULL: the system's */
    struct rng *rng;         /* NULL: the system's */
    uint32_t line_bytes_max; /* of a command with its CRLF; RFC 5321, 4.5.3.1.4 asks for 512 */
    uint32_t recipients_max; /* of a transaction, aliases expanded */
    uint64_t message_bytes_max;
    uint64_t body_budget_bytes; /* buffers of all messages being received by the process; beyond: 451 4.3.2 */
    uint32_t errors_soft;       /* after so many refusals every further one is delayed */
    uint32_t errors_hard;       /* 421 and the end */
    uint32_t error_delay_ms;
    uint32_t auth_failures_max; /* of a connection */
    uint32_t greet_delay_ms;    /* MX: talking before the banner is refused; 0 looks only at what is there at once */
    uint64_t command_ms;        /* waiting for a command */
    uint64_t data_read_ms;      /* waiting for more data */
    uint64_t data_deadline_ms;  /* a whole DATA */
    uint64_t data_grace_ms;     /* the data rate is looked at after this */
    uint32_t data_rate_min;     /* bytes a second */
    uint32_t received_max;      /* Received: fields, loop detection */
    enum smtp_bare bare_mx, bare_submission, bare_lmtp;
    bool pipelining_strict; /* input after a command that must end a group is 554 and the end */
    bool detail_folders;    /* "+detail" goes to the folder of that name when there is one */
    bool quota_permanent;   /* over quota is 552 5.2.2 instead of 452 4.2.2 */
};

/* The defaults; backend, auth and hostname are the caller's to set. */
void smtp_server_config_init(struct smtp_server_config *cfg);

#ifdef __cplusplus
}
#endif

#endif /* FRONTEND_SMTP_SMTP_H */
