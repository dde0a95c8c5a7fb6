#include "frontend/imap/imap_fetch_item.h"
#include "proto/rpc/flags.h"

static void rfc822_size_format(struct imap_fetch_run *run, const struct imap_fetch_arg *arg, const struct imap_row *row)
{
    (void)arg;
    imap_out_str(run->out, "RFC822.SIZE ");
    imap_out_u64(run->out, row->size);
}

IMAP_FETCH_ITEM(rfc822_size) = {
    .name = "RFC822.SIZE",
    .columns = FETCH_COL_SIZE,
    .format = rfc822_size_format,
};
