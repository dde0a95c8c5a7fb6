#include "frontend/imap/imap_status.h"

static void uidnext_format(struct imap_out *o, const Pb__MailboxInfo *info)
{
    imap_out_u64(o, info->uidnext);
}

IMAP_STATUS_ITEM(uidnext) = {
    .name = "UIDNEXT",
    .format = uidnext_format,
};
