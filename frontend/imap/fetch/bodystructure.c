#include "frontend/imap/imap_fetch_item.h"
#include "proto/rpc/flags.h"

static void bodystructure_format(struct imap_fetch_run *run, const struct imap_fetch_arg *arg,
                                 const struct imap_row *row)
{
    (void)arg;
    imap_out_str(run->out, "BODYSTRUCTURE ");
    imap_out_slice(run->out, row->bodystructure);
}

IMAP_FETCH_ITEM(bodystructure) = {
    .name = "BODYSTRUCTURE",
    .columns = FETCH_COL_BODYSTRUCTURE,
    .format = bodystructure_format,
};
