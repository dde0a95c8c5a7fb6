#include "frontend/smtp/smtp_reply.h"

#include "frontend/net/fiber.h"
#include "frontend/smtp/smtp_session.h"

static struct smtp_status status_make(int code, const char *enhanced, const char *text)
{
    struct smtp_status st = {code, enhanced, text};
    return st;
}

struct smtp_status smtp_status_of(enum err e, bool quota_permanent)
{
    switch (e) {
    case OK:
        return status_make(250, "2.0.0", "ok");
    case ERR_QUOTA:
        return quota_permanent ? status_make(552, "5.2.2", "mailbox is over its quota")
                               : status_make(452, "4.2.2", "mailbox is over its quota, try again later");
    case ERR_FULL:
        return status_make(452, "4.3.1", "insufficient system storage");
    case ERR_NOTFOUND:
        return status_make(550, "5.1.1", "no such mailbox here");
    case ERR_LIMIT:
        return status_make(552, "5.3.4", "message is too large");
    case ERR_OVERLOAD:
        return status_make(451, "4.3.2", "overloaded, try again later");
    case ERR_SHUTDOWN:
        return status_make(421, "4.3.2", "shutting down");
    case ERR_LOCKED:
        return status_make(451, "4.2.0", "mailbox is busy, try again later");
    case ERR_PERM:
        return status_make(550, "5.7.1", "not permitted");
    case ERR_AUTH:
        return status_make(535, "5.7.8", "authentication failed");
    case ERR_TLS:
        return status_make(454, "4.7.0", "TLS is not available");
    case ERR_PROTOCOL:
        return status_make(500, "5.5.2", "syntax error");
    case ERR_NOMEM:
    case ERR_NOT_LEADER:
    case ERR_UNAVAILABLE:
    case ERR_MOVED:
    case ERR_TIMEOUT:
    case ERR_CLOSED:
    case ERR_EXPIRED:
        return status_make(451, "4.3.0", "temporarily unavailable, try again later");
    case ERR_CORRUPT:
    case ERR_INVAL:
    case ERR_EXISTS:
    case ERR_IO:
    case ERR_STALE:
    case ERR_UNSUPPORTED:
    case ERR_EXPUNGED:
    case ERR_NOPARENT:
    case ERR_NONEMPTY:
    case ERR_CHARSET:
        return status_make(451, "4.3.0", "local error, try again later");
    }
    return status_make(451, "4.3.0", "local error, try again later");
}

struct smtp_status smtp_status_of_auth(enum err e)
{
    if (e == OK) {
        return status_make(235, "2.7.0", "authentication succeeded");
    }
    if (e == ERR_AUTH || e == ERR_PERM) {
        return status_make(535, "5.7.8", "authentication failed");
    }
    if (e == ERR_INVAL) {
        return status_make(501, "5.5.2", "cannot decode the credentials");
    }
    return status_make(454, "4.7.0", "temporary authentication failure");
}

static enum err write_reply(struct smtp_session *s, int code, const char *enhanced, const char *text)
{
    s->last_code = code;
    return conn_printf(s->conn, "%d %s %s\r\n", code, enhanced, text);
}

/* Counts the client's errors: delays the late ones, ends the session at the hard limit. */
static enum err punish(struct smtp_session *s)
{
    s->errors++;
    if (s->errors >= s->cfg->errors_hard) {
        return smtp_reply_close(s, 421, "4.7.0", "too many errors");
    }
    if (s->errors > s->cfg->errors_soft) {
        conn_flush(s->conn);
        fiber_sleep(s->cfg->error_delay_ms);
    }
    return OK;
}

/* LMTP's client is a mail server that we trust: recipients and messages that it is refused are no misbehaviour of its
 * own, and each recipient is owed its reply (RFC 2033, 4.2). */
static bool is_error(const struct smtp_session *s, int code)
{
    return code >= 500 && (s->role != SMTP_ROLE_LMTP || code < 510);
}

enum err smtp_reply(struct smtp_session *s, int code, const char *enhanced, const char *text)
{
    if (is_error(s, code)) {
        enum err err = punish(s);
        if (err != OK) {
            return err;
        }
    }
    return write_reply(s, code, enhanced, text);
}

enum err smtp_reply_status(struct smtp_session *s, struct smtp_status st)
{
    if (st.code == 421) {
        return smtp_reply_close(s, st.code, st.enhanced, st.text);
    }
    return smtp_reply(s, st.code, st.enhanced, st.text);
}

enum err smtp_reply_close(struct smtp_session *s, int code, const char *enhanced, const char *text)
{
    enum err err = write_reply(s, code, enhanced, text);
    return err == OK ? ERR_CLOSED : err;
}
