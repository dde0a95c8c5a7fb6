#include "frontend/imap/imap_status.h"

static void unseen_format(struct imap_out *o, const Pb__MailboxInfo *info)
{
    imap_out_u64(o, info->unseen);
}

IMAP_STATUS_ITEM(unseen) = {
    .name = "UNSEEN",
    .format = unseen_format,
};
