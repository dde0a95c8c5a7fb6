#include "frontend/imap/imap_fetch_item.h"
#include "frontend/imap/imap_objectid.h"
#include "proto/rpc/flags.h"

static void emailid_format(struct imap_fetch_run *run, const struct imap_fetch_arg *arg, const struct imap_row *row)
{
    (void)arg;
    imap_out_str(run->out, "EMAILID ");
    imap_out_objectid(run->out, 'M', row->emailid);
}

IMAP_FETCH_ITEM(emailid) = {
    .name = "EMAILID",
    .columns = FETCH_COL_OBJECTID,
    .format = emailid_format,
};
