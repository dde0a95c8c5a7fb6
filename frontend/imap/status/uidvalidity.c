#include "frontend/imap/imap_status.h"

static void uidvalidity_format(struct imap_out *o, const Pb__MailboxInfo *info)
{
    imap_out_u64(o, info->uidvalidity);
}

IMAP_STATUS_ITEM(uidvalidity) = {
    .name = "UIDVALIDITY",
    .format = uidvalidity_format,
};
