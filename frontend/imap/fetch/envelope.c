#include "frontend/imap/imap_fetch_item.h"
#include "proto/rpc/flags.h"

static void envelope_format(struct imap_fetch_run *run, const struct imap_fetch_arg *arg, const struct imap_row *row)
{
    (void)arg;
    imap_out_str(run->out, "ENVELOPE ");
    imap_out_slice(run->out, row->envelope);
}

IMAP_FETCH_ITEM(envelope) = {
    .name = "ENVELOPE",
    .columns = FETCH_COL_ENVELOPE,
    .format = envelope_format,
};
