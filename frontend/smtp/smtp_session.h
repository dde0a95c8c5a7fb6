/* One client's SMTP session and the shape of a command. In the connection's memory; its loop's thread only. */
#ifndef FRONTEND_SMTP_SMTP_SESSION_H
#define FRONTEND_SMTP_SMTP_SESSION_H

#include "frontend/smtp/smtp.h"
#include "frontend/smtp/smtp_envelope.h"
#include "frontend/smtp/smtp_line.h"
#include "frontend/smtp/smtp_reply.h"

#ifdef __cplusplus
extern "C" {
#endif

enum smtp_role { SMTP_ROLE_MX = 1, SMTP_ROLE_SUBMISSION = 2, SMTP_ROLE_LMTP = 4 };
#define SMTP_ROLES_SMTP (SMTP_ROLE_MX | SMTP_ROLE_SUBMISSION)
#define SMTP_ROLES_ALL (SMTP_ROLES_SMTP | SMTP_ROLE_LMTP)

/* Bits, so that a command lists those in which it may run. */
enum smtp_state {
    SMTP_STATE_NONE = 0,  /* before the banner */
    SMTP_STATE_START = 1, /* no EHLO yet (or none since STARTTLS) */
    SMTP_STATE_READY = 2, /* no transaction */
    SMTP_STATE_MAIL = 4,  /* a reverse-path */
    SMTP_STATE_RCPT = 8   /* at least one recipient */
};
#define SMTP_STATES_ALL (SMTP_STATE_START | SMTP_STATE_READY | SMTP_STATE_MAIL | SMTP_STATE_RCPT)

enum smtp_args { SMTP_ARGS_NONE, SMTP_ARGS_OPTIONAL, SMTP_ARGS_REQUIRED };

#define SMTP_HELO_BYTES_MAX 255
#define SMTP_ID_BYTES 17 /* 16 hex digits and a NUL */

struct smtp_session {
    struct conn *conn;
    const struct smtp_server_config *cfg;
    enum smtp_role role;
    enum smtp_state state;
    struct smtp_line line;
    uint64_t line_ms; /* since when the client owes the rest of a line; 0: it does not */
    bool extended;    /* EHLO or LHLO: pipelining and parameters are in force */
    bool authenticated;
    char helo[SMTP_HELO_BYTES_MAX + 1];
    struct account_ref account; /* when authenticated */
    uint32_t errors;
    uint32_t auth_failures;
    int last_code;
    struct arena arena; /* the transaction's */
    struct smtp_envelope envelope;
};

/* A command: one file in cmd/, found by the build. Dispatch, EHLO, HELP, the pipelining rule and the
 * every-command-in-every-state test are made from it. */
struct smtp_command {
    const char *name; /* upper case */
    unsigned roles;   /* where it exists */
    unsigned states;  /* where it may run */
    enum smtp_args args;
    const char *usage;                             /* for 501: what it looks like */
    const char *order;                             /* for 503: what is wrong about now */
    bool last;                                     /* must end a pipelined group (RFC 2920, 3.1) */
    const char *keyword;                           /* in the reply to EHLO; NULL: none */
    bool (*offered)(const struct smtp_session *s); /* whether the keyword is shown now; NULL: always */
    enum err (*run)(struct smtp_session *s,
                    struct slice args); /* args without surrounding spaces; an error ends the session */
};

#define SMTP_CMD(n) const struct smtp_command smtp_command_##n

/* NULL-terminated, by file name. */
extern const struct smtp_command *const smtp_command_table[];

/* The one way the state changes; asserts that it may. */
void smtp_session_enter(struct smtp_session *s, enum smtp_state state);
/* Forgets the transaction; START stays START. */
void smtp_session_reset(struct smtp_session *s);
/* After a greeting by HELO, EHLO or LHLO. */
void smtp_session_greet(struct smtp_session *s, struct slice helo, bool extended);
/* After STARTTLS: nothing said in the clear counts (RFC 3207, 4.2). */
void smtp_session_forget(struct smtp_session *s);

static inline bool smtp_session_is(const struct smtp_session *s, unsigned roles)
{
    return ((unsigned)s->role & roles) != 0;
}

/* Waits for the client's next line inside a command (AUTH). The line lies in the input until *out_consumed bytes are
 * consumed. ERR_LIMIT: it was too long and is gone. */
MUST_CHECK enum err smtp_session_line(struct smtp_session *s, size_t bytes_max, struct slice *out_line,
                                      size_t *out_consumed);

int64_t smtp_session_now_s(const struct smtp_session *s);
uint64_t smtp_session_mono_ms(const struct smtp_session *s);
void smtp_session_id(struct smtp_session *s, char out[SMTP_ID_BYTES]);
const char *smtp_role_name(enum smtp_role r);
enum smtp_bare smtp_session_bare(const struct smtp_session *s);

/* --- the one-command layer --- */
/* Runs a complete command line. */
MUST_CHECK enum err smtp_dispatch(struct smtp_session *s, struct slice line);
/* NULL for a name that no command of the role has. */
const struct smtp_command *smtp_command_find(enum smtp_role role, struct slice name);

/* --- DATA (smtp_data.c) --- */
MUST_CHECK enum err smtp_data_run(struct smtp_session *s);

/* --- metrics by role (smtp_metrics.c) --- */
enum smtp_metric {
    SMTP_METRIC_CONNECTIONS,
    SMTP_METRIC_ACCEPTED,
    SMTP_METRIC_DEFERRED,
    SMTP_METRIC_REFUSED,
    SMTP_METRIC_RECIPIENTS_REFUSED,
    SMTP_METRIC_BYTES,
    SMTP_METRIC_AUTH_FAILURES,
    SMTP_METRIC_COUNT
};
/* Exports zeros before the first use. */
void smtp_metrics_register(void);
void smtp_metric_add(enum smtp_role role, enum smtp_metric m, uint64_t n);
void smtp_metric_deliver_us(enum smtp_role role, uint64_t us);

#ifdef __cplusplus
}
#endif

#endif /* FRONTEND_SMTP_SMTP_SESSION_H */
