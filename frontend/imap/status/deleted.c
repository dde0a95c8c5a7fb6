#include "frontend/imap/imap_status.h"

static void deleted_format(struct imap_out *o, const Pb__MailboxInfo *info)
{
    imap_out_u64(o, info->deleted);
}

IMAP_STATUS_ITEM(deleted) = {
    .name = "DELETED",
    .format = deleted_format,
};
