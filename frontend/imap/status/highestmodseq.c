#include "frontend/imap/imap_status.h"

static void highestmodseq_format(struct imap_out *o, const Pb__MailboxInfo *info)
{
    imap_out_u64(o, info->highestmodseq);
}

IMAP_STATUS_ITEM(highestmodseq) = {
    .name = "HIGHESTMODSEQ",
    .condstore = true,
    .format = highestmodseq_format,
};
