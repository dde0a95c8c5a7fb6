#include "frontend/imap/imap_fetch_item.h"
#include "proto/rpc/flags.h"

static void modseq_format(struct imap_fetch_run *run, const struct imap_fetch_arg *arg, const struct imap_row *row)
{
    (void)arg;
    imap_out_str(run->out, "MODSEQ (");
    imap_out_u64(run->out, row->modseq);
    imap_out_char(run->out, ')');
}

IMAP_FETCH_ITEM(modseq) = {
    .name = "MODSEQ",
    .columns = FETCH_COL_MODSEQ,
    .condstore = true,
    .format = modseq_format,
};
