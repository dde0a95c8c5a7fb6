#include "frontend/imap/imap_error.h"

#include "proto/base/assert.h"

static struct imap_error not_found(enum imap_error_about about)
{
    switch (about) {
    case IMAP_ABOUT_MAILBOX:
        return (struct imap_error){"NONEXISTENT", "No such mailbox"};
    case IMAP_ABOUT_TARGET:
        return (struct imap_error){"TRYCREATE", "No such mailbox"};
    case IMAP_ABOUT_MESSAGE:
        return (struct imap_error){"EXPUNGEISSUED", "Some of the messages no longer exist"};
    case IMAP_ABOUT_LOGIN:
        return (struct imap_error){"AUTHENTICATIONFAILED", "Authentication failed"};
    }
    UNREACHABLE();
}

/* No default: a new error does not compile until somebody has decided what clients hear. */
struct imap_error imap_error_of(enum err e, enum imap_error_about about)
{
    switch (e) {
    case ERR_NOTFOUND:
    case ERR_NOPARENT:
        return not_found(about);
    case ERR_STALE:
        return (struct imap_error){"NONEXISTENT", "The mailbox was replaced"};
    case ERR_EXISTS:
        return (struct imap_error){"ALREADYEXISTS", "Mailbox already exists"};
    case ERR_NONEMPTY:
        return (struct imap_error){"HASCHILDREN", "Mailbox has children"};
    case ERR_EXPUNGED:
        return (struct imap_error){"EXPUNGEISSUED", "Some of the messages no longer exist"};
    case ERR_NOT_LEADER:
    case ERR_UNAVAILABLE:
    case ERR_TIMEOUT:
    case ERR_OVERLOAD:
    case ERR_EXPIRED:
    case ERR_CLOSED:
    case ERR_MOVED:
    case ERR_SHUTDOWN:
        return (struct imap_error){"UNAVAILABLE", "Temporarily unavailable, try again later"};
    case ERR_FULL:
        return (struct imap_error){"UNAVAILABLE", "Storage is full"};
    case ERR_QUOTA:
        return (struct imap_error){"OVERQUOTA", "Over quota"};
    case ERR_LIMIT:
        return (struct imap_error){"LIMIT", "A limit was exceeded"};
    case ERR_LOCKED:
        return (struct imap_error){"INUSE", "In use by another session"};
    case ERR_PERM:
        return (struct imap_error){"CANNOT", "Not possible for this mailbox"};
    case ERR_INVAL:
        return (struct imap_error){"CANNOT", "Invalid name or argument"};
    case ERR_UNSUPPORTED:
        return (struct imap_error){"CANNOT", "Not supported"};
    case ERR_AUTH:
        return (struct imap_error){"AUTHENTICATIONFAILED", "Authentication failed"};
    case ERR_TLS:
        return (struct imap_error){"PRIVACYREQUIRED", "TLS is required"};
    case ERR_CHARSET:
        return (struct imap_error){"BADCHARSET (US-ASCII UTF-8)", "Unknown character set"};
    case OK:
    case ERR_NOMEM:
    case ERR_CORRUPT:
    case ERR_IO:
    case ERR_PROTOCOL:
        return (struct imap_error){"SERVERBUG", "Internal error"};
    }
    UNREACHABLE();
}
