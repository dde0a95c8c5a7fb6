#include "frontend/imap/imap_status.h"

static void messages_format(struct imap_out *o, const Pb__MailboxInfo *info)
{
    imap_out_u64(o, info->messages);
}

IMAP_STATUS_ITEM(messages) = {
    .name = "MESSAGES",
    .format = messages_format,
};
