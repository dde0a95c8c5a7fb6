/* One client's POP3 session and the shape of a command. In the connection's memory; its loop's thread only. */
#ifndef FRONTEND_POP3_POP3_SESSION_H
#define FRONTEND_POP3_POP3_SESSION_H

#include "frontend/pop3/pop3.h"
#include "frontend/pop3/pop3_ahead.h"
#include "frontend/pop3/pop3_drop.h"
#include "frontend/pop3/pop3_line.h"
#include "frontend/pop3/pop3_lock.h"
#include "frontend/pop3/pop3_reply.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Bits, so that a command lists those in which it may run. RFC 1939, 3. */
enum pop3_state {
    POP3_STATE_NONE = 0,
    POP3_STATE_AUTHORIZATION = 1,
    POP3_STATE_TRANSACTION = 2,
    POP3_STATE_UPDATE = 4
};

enum pop3_args { POP3_ARGS_NONE, POP3_ARGS_OPTIONAL, POP3_ARGS_REQUIRED };

struct pop3_session {
    struct conn *conn;
    const struct pop3_server_config *cfg;
    enum pop3_state state;
    struct pop3_line line;
    uint32_t errors;
    uint32_t auth_failures;
    uint64_t active_ms; /* the last command; before the login: the banner */
    char user[256];     /* of USER; "" = none */
    struct account_ref account;
    struct pop3_lock lock;
    struct pop3_drop drop;
    struct pop3_ahead ahead;
};

/* A command: one file in cmd/, found by the build. Dispatch, CAPA and the every-command-in-every-state test are made
 * from it. */
struct pop3_command {
    const char *name; /* upper case */
    unsigned states;  /* where it may run */
    enum pop3_args args;
    const char *usage;                             /* when the arguments are wrong */
    const char *capability;                        /* of CAPA; NULL: none */
    bool (*offered)(const struct pop3_session *s); /* whether it is shown now; NULL: always */
    enum err (*run)(struct pop3_session *s,
                    struct slice args); /* args: everything behind one space; an error ends the session */
};

#define POP3_CMD(n) const struct pop3_command pop3_command_##n

/* NULL-terminated, by file name. */
extern const struct pop3_command *const pop3_command_table[];

const struct pop3_command *pop3_command_find(struct slice name);
/* Runs a complete command line. */
MUST_CHECK enum err pop3_dispatch(struct pop3_session *s, struct slice line);

/* The one way the state changes; asserts that it may. */
void pop3_session_enter(struct pop3_session *s, enum pop3_state state);
uint64_t pop3_session_now_ms(const struct pop3_session *s);
/* Password commands may run now (TLS, or allowed without). */
bool pop3_session_auth_allowed(const struct pop3_session *s);
/* Renews the lock when it is due. ERR_LOCKED: lost. */
MUST_CHECK enum err pop3_session_keep_lock(struct pop3_session *s);

/* Logs in, locks, opens the maildrop, enters TRANSACTION and replies; or replies why not. The password is the caller's
 * to wipe. */
MUST_CHECK enum err pop3_session_login(struct pop3_session *s, struct slice user, struct slice password);

/* A message number (RFC 1939, 3) that exists and is not marked; otherwise the reply is sent: *out_found tells. */
MUST_CHECK enum err pop3_session_message(struct pop3_session *s, struct slice number, uint32_t *out_index,
                                         bool *out_found);

/* Sends a message as a multi-line response (pop3_body.c), with all of the body or only its first lines. */
MUST_CHECK enum err pop3_body_send(struct pop3_session *s, uint32_t index, uint64_t body_lines);

#ifdef __cplusplus
}
#endif

#endif /* FRONTEND_POP3_POP3_SESSION_H */
