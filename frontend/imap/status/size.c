#include "frontend/imap/imap_status.h"

static void size_format(struct imap_out *o, const Pb__MailboxInfo *info)
{
    imap_out_u64(o, info->size_bytes);
}

IMAP_STATUS_ITEM(size) = {
    .name = "SIZE",
    .capability = "STATUS=SIZE", /* RFC 8438 */
    .format = size_format,
};
