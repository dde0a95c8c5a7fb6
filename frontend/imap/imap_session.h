/* An IMAP session: the state of one connection, and what commands use to do their work. Lies in the connection's
 * memory; one fiber at a time runs in it.
 *
 * A run function writes untagged responses to s->out and returns; the dispatcher then reports changes of the mailbox,
 * where the command allows it, and writes the tagged reply. s->out.err tells that the client is gone: long loops look
 * at it. */
#ifndef FRONTEND_IMAP_IMAP_SESSION_H
#define FRONTEND_IMAP_IMAP_SESSION_H

#include "frontend/imap/imap.h"
#include "frontend/imap/imap_cmd.h"
#include "frontend/imap/imap_frame.h"
#include "frontend/imap/imap_out.h"
#include "frontend/imap/imap_view.h"
#include "frontend/session/auth.h"
#include "frontend/session/backend.h"

#ifdef __cplusplus
extern "C" {
#endif

#define IMAP_ARENA_BYTES_MAX ((size_t)8 * 1024 * 1024)

struct imap_session {
    struct conn *conn;
    const struct imap_server_config *cfg;
    enum imap_state state;
    struct imap_frame frame;
    struct imap_out out;
    struct arena arena;          /* the running command's */
    struct account_ref account;  /* from login on */
    struct imap_view *view;      /* in state selected */
    struct backend_watch *watch; /* of the account, while a mailbox is selected */
    uint64_t watch_seen;         /* its modseq at the last sync */
    /* Takes the next line in place of a command: DONE, SASL responses. The slice is the line without its end. */
    enum err (*line)(struct imap_session *s, struct slice line);
    struct imap_pending *pending; /* what `line` is about: the waiting command's tag and more */
    bool idling;
    bool condstore;
    bool dirty;      /* this session changed the mailbox: sync before the tagged reply */
    bool recent_due; /* messages were shown as \Recent but not claimed in storage */
    bool ended;      /* BYE was said */
    uint32_t errors; /* BAD in a row */
    uint32_t auth_failures;
    uint64_t opened_ms; /* loop time */
    uint64_t commands;
    uint64_t bytes_in;
    const char *end_reason; /* for the log */
};

/* A command that waits for a line. */
struct imap_pending {
    char *tag;
    enum { IMAP_SASL_NONE, IMAP_SASL_PLAIN, IMAP_SASL_LOGIN_USER, IMAP_SASL_LOGIN_PASSWORD } sasl;
    struct buf user; /* AUTHENTICATE LOGIN */
};

/* State changes go through here; asserts legal predecessors. */
void imap_session_enter(struct imap_session *s, enum imap_state state);

/* Sets the tagged reply; strings static or in cmd->arena. For use as `return imap_no(cmd, "CANNOT", "...")`. */
enum err imap_no(struct imap_command *cmd, const char *code, const char *text);
enum err imap_bad(struct imap_command *cmd, const char *text);
enum err imap_ok(struct imap_command *cmd, const char *code, const char *text);

/* Calls a method on the session's account; the reply's message lies in `arena`. Release with backend_reply_fini in
 * every case. */
MUST_CHECK enum err imap_call(struct imap_session *s, enum method m, const ProtobufCMessage *message,
                              struct arena *arena, struct backend_reply *out);

/* A UID set as a bytes field, in the arena. */
MUST_CHECK enum err imap_put_uids(const struct uidset *set, struct arena *arena, ProtobufCBinaryData *out);
MUST_CHECK enum err imap_get_uids(const ProtobufCBinaryData *in, struct uidset *set);
/* "1:3,7" in the arena. */
MUST_CHECK enum err imap_uids_text(const struct uidset *set, struct arena *arena, const char **out);

/* Resolves a command's set in the view; a number out of range sets BAD and gives ERR_INVAL with cmd->reply.status BAD
 * already there. */
MUST_CHECK enum err imap_resolve(struct imap_session *s, struct imap_command *cmd, const struct imap_set *set,
                                 struct uidset *out);

/* Writes "<tag> OK [code] text" CRLF. */
void imap_write_reply(struct imap_session *s, struct slice tag, const struct imap_cmd *cmd,
                      const struct imap_reply *reply);
/* "* BYE text"; the connection closes when the callback returns. */
void imap_bye(struct imap_session *s, const char *text, const char *reason);

/* A command that will be answered after more lines: keeps its tag. Then imap_wait_line, any number of times; then
 * imap_line_done. */
MUST_CHECK enum err imap_wait_begin(struct imap_session *s, const struct imap_command *cmd);
/* "+ text"; the next line goes to `line`. */
void imap_wait_line(struct imap_session *s, const char *text,
                    enum err (*line)(struct imap_session *s, struct slice line));
/* The waiting is over: writes the tagged reply of the command that waited. */
void imap_line_done(struct imap_session *s, const struct imap_reply *reply);

/* "CAPABILITY IMAP4rev1 ..." for the session as it is now: a response's or a response code's text, in the arena; NULL
 * when memory is out. Made from the descriptors of commands, FETCH items and STATUS items. */
const char *imap_capabilities(const struct imap_session *s, struct arena *arena);

/* Runs one complete command (imap_dispatch.c): parse, run, untagged updates, tagged reply. The text must stay until it
 * returns. */
void imap_dispatch(struct imap_session *s, struct slice text);
/* The same for one that was parsed. */
void imap_dispatch_parsed(struct imap_session *s, struct imap_command *cmd);
/* BAD, and BYE when there were too many in a row. */
void imap_dispatch_bad(struct imap_session *s, struct slice tag, const char *reason);

/* RFC 7162, 3.1: from the first enabling command on, FETCH responses carry MODSEQ. */
void imap_condstore_enable(struct imap_session *s);

/* Leaves the selected mailbox without expunging; claims \Recent if that is due. */
void imap_unselect(struct imap_session *s);

#ifdef __cplusplus
}
#endif

#endif /* FRONTEND_IMAP_IMAP_SESSION_H */
