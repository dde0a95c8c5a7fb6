#include "frontend/pop3/pop3_reply.h"

#include "frontend/pop3/pop3_session.h"

struct pop3_status pop3_status_of(enum err e)
{
    static const char temporary[] = "[SYS/TEMP] ";
    static const char permanent[] = "[SYS/PERM] ";
    switch (e) {
    case ERR_AUTH:
        return (struct pop3_status){"[AUTH] ", "authentication failed"};
    case ERR_LOCKED:
        return (struct pop3_status){"[IN-USE] ", "maildrop is locked by another session"};
    case ERR_NOTFOUND:
    case ERR_EXPUNGED:
    case ERR_STALE:
        return (struct pop3_status){"", "the message is gone"};
    case ERR_PROTOCOL:
        return (struct pop3_status){"", "protocol violation"};
    case ERR_FULL:
        return (struct pop3_status){temporary, "storage is full"};
    case ERR_OVERLOAD:
        return (struct pop3_status){temporary, "overloaded, try again later"};
    case ERR_SHUTDOWN:
        return (struct pop3_status){temporary, "shutting down"};
    case ERR_NOMEM:
    case ERR_LIMIT:
    case ERR_NOT_LEADER:
    case ERR_UNAVAILABLE:
    case ERR_MOVED:
    case ERR_TIMEOUT:
    case ERR_CLOSED:
    case ERR_EXPIRED:
    case ERR_TLS:
    case ERR_QUOTA:
        return (struct pop3_status){temporary, "temporarily unavailable, try again later"};
    case ERR_CORRUPT:
    case ERR_IO:
        return (struct pop3_status){permanent, "the maildrop needs its operator"};
    case ERR_PERM:
    case ERR_UNSUPPORTED:
        return (struct pop3_status){permanent, "not permitted"};
    case OK:
    case ERR_INVAL:
    case ERR_EXISTS:
    case ERR_NOPARENT:
    case ERR_NONEMPTY:
    case ERR_CHARSET:
        return (struct pop3_status){temporary, "local error, try again later"};
    }
    return (struct pop3_status){temporary, "local error, try again later"};
}

enum err pop3_reply_ok(struct pop3_session *s, const char *text)
{
    return conn_printf(s->conn, "+OK %s\r\n", text);
}

enum err pop3_reply_err(struct pop3_session *s, enum err e)
{
    struct pop3_status st = pop3_status_of(e);
    return conn_printf(s->conn, "-ERR %s%s\r\n", st.code, st.text);
}

enum err pop3_reply_bad(struct pop3_session *s, const char *text)
{
    enum err err = conn_printf(s->conn, "-ERR %s\r\n", text);
    return err == OK && ++s->errors >= s->cfg->errors_max ? ERR_CLOSED : err;
}

enum err pop3_reply_close(struct pop3_session *s, enum err e)
{
    enum err err = pop3_reply_err(s, e);
    return err == OK ? ERR_CLOSED : err;
}
