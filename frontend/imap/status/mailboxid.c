#include "frontend/imap/imap_objectid.h"
#include "frontend/imap/imap_status.h"

static void mailboxid_format(struct imap_out *o, const Pb__MailboxInfo *info)
{
    imap_out_objectid(o, 'F', slice_make(info->objectid.data, info->objectid.len));
}

/* RFC 8474 */
IMAP_STATUS_ITEM(mailboxid) = {
    .name = "MAILBOXID",
    .capability = "OBJECTID",
    .format = mailboxid_format,
};
