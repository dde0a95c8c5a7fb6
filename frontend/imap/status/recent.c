#include "frontend/imap/imap_status.h"

static void recent_format(struct imap_out *o, const Pb__MailboxInfo *info)
{
    imap_out_u64(o, info->recent);
}

IMAP_STATUS_ITEM(recent) = {
    .name = "RECENT",
    .format = recent_format,
};
