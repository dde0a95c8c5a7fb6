/* Commands: one file each in cmd/, found by the build (imap_cmd_table), described by a struct imap_cmd. Dispatch,
 * CAPABILITY, state checks, the UID prefix, untagged updates, log redaction, metrics and the
 * every-command-in-every-state test come from the descriptor.
 *
 * Parsing is pure: imap_command_parse makes a struct imap_command of a command's text, its arguments in the arena.
 * Running is straight-line code on a fiber. */
#ifndef FRONTEND_IMAP_IMAP_CMD_H
#define FRONTEND_IMAP_IMAP_CMD_H

#include "frontend/imap/imap_error.h"
#include "frontend/imap/imap_parse.h"

#ifdef __cplusplus
extern "C" {
#endif

struct imap_session;
struct imap_command;

/* RFC 3501, 3. A mask in descriptors. */
enum imap_state {
    IMAP_STATE_NOT_AUTHENTICATED = 1 << 0,
    IMAP_STATE_AUTHENTICATED = 1 << 1,
    IMAP_STATE_SELECTED = 1 << 2,
    IMAP_STATE_LOGOUT = 1 << 3
};
#define IMAP_STATES_LOGGED_IN ((unsigned)IMAP_STATE_AUTHENTICATED | (unsigned)IMAP_STATE_SELECTED)
#define IMAP_STATES_ALL (IMAP_STATES_LOGGED_IN | (unsigned)IMAP_STATE_NOT_AUTHENTICATED)

#define IMAP_CMD_UID (1u << 0)        /* may come with the UID prefix; command->uid tells */
#define IMAP_CMD_NO_EXPUNGE (1u << 1) /* without that prefix, no EXPUNGE while it runs (RFC 3501, 7.4.1) */
#define IMAP_CMD_NO_SYNC (1u << 2)    /* no untagged updates before its tagged reply */
#define IMAP_CMD_SYNC (1u << 3)       /* asks storage for changes even when no hint came */
#define IMAP_CMD_WRITE (1u << 4)      /* refused in a mailbox opened by EXAMINE */
#define IMAP_CMD_STREAM (1u << 5)     /* runs when its last literal's header has come and reads the bytes itself */
#define IMAP_CMD_SECRET (1u << 6)     /* arguments must not reach a log */

struct imap_cmd {
    const char *name;
    const char *capability; /* words for CAPABILITY, or NULL */
    /* Whether the words are listed in this session now; NULL: always. */
    bool (*capable)(const struct imap_session *s);
    unsigned states;
    unsigned flags;
    /* After the command's name: takes everything up to the end. */
    bool (*parse)(struct imap_cursor *c, struct imap_command *cmd);
    /* OK: the tagged reply is cmd->reply (by default "OK <name> completed"). Otherwise it is made from the error and
     * cmd->about. */
    enum err (*run)(struct imap_session *s, struct imap_command *cmd);
};

#define IMAP_CMD(cmd_name)                                                                                             \
    extern const struct imap_cmd imap_cmd_##cmd_name;                                                                  \
    const struct imap_cmd imap_cmd_##cmd_name

extern const struct imap_cmd *const imap_cmd_table[];

enum imap_status { IMAP_STATUS_OK, IMAP_STATUS_NO, IMAP_STATUS_BAD };

/* The tagged reply; strings live in the arena or are static. */
struct imap_reply {
    enum imap_status status;
    const char *code; /* without brackets; NULL for none */
    const char *text; /* NULL: "<name> completed" */
    bool silent;      /* already answered, or to be answered later (IDLE, AUTHENTICATE) */
};

struct imap_command {
    const struct imap_cmd *cmd; /* NULL when unknown */
    struct slice tag;           /* empty when there is none */
    bool uid;
    void *args; /* the command's own, in the arena */
    struct arena *arena;
    struct imap_reply reply;
    enum imap_error_about about;
    bool condstore; /* an enabling command of RFC 7162, 3.1 */
};

enum imap_parsed {
    IMAP_PARSED_OK,
    IMAP_PARSED_BAD, /* reply.text is the reason */
    IMAP_PARSED_MORE /* correct so far, but a literal's bytes have not come */
};
/* The text is a whole command, or, for commands that stream, everything up to the line end after the last literal's
 * header. out->tag is set whenever there is one. */
enum imap_parsed imap_command_parse(struct slice text, enum imap_state state, const struct imap_limits *limits,
                                    struct arena *arena, struct imap_command *out);
/* By name, any case; NULL. */
const struct imap_cmd *imap_cmd_find(struct slice name);

/* For commands without arguments. */
bool imap_parse_no_args(struct imap_cursor *c, struct imap_command *cmd);

/* SP sequence-set, and what follows is the caller's. */
bool imap_parse_sp_set(struct imap_cursor *c, struct imap_set *out);

#ifdef __cplusplus
}
#endif

#endif /* FRONTEND_IMAP_IMAP_CMD_H */
