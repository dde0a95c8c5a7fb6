#include "frontend/imap/imap_fetch_item.h"
#include "frontend/imap/imap_flag.h"
#include "proto/rpc/flags.h"

static void flags_format(struct imap_fetch_run *run, const struct imap_fetch_arg *arg, const struct imap_row *row)
{
    (void)arg;
    imap_out_bytes(run->out, "FLAGS ", 6);
    imap_out_flags(run->out, run->view, row->flags, row->overflow, row->recent);
}

IMAP_FETCH_ITEM(flags) = {
    .name = "FLAGS",
    .columns = FETCH_COL_FLAGS,
    .format = flags_format,
};
