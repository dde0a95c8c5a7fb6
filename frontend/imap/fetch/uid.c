#include "frontend/imap/imap_fetch_item.h"
#include "proto/rpc/flags.h"

static void uid_format(struct imap_fetch_run *run, const struct imap_fetch_arg *arg, const struct imap_row *row)
{
    (void)arg;
    imap_out_bytes(run->out, "UID ", 4);
    imap_out_u64(run->out, row->uid);
}

IMAP_FETCH_ITEM(uid) = {
    .name = "UID",
    .columns = 0,
    .format = uid_format,
};
