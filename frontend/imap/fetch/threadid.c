#include "frontend/imap/imap_fetch_item.h"
#include "frontend/imap/imap_objectid.h"
#include "proto/rpc/flags.h"

static void threadid_format(struct imap_fetch_run *run, const struct imap_fetch_arg *arg, const struct imap_row *row)
{
    (void)arg;
    imap_out_str(run->out, "THREADID ");
    imap_out_objectid(run->out, 'T', row->threadid);
}

IMAP_FETCH_ITEM(threadid) = {
    .name = "THREADID",
    .columns = FETCH_COL_OBJECTID,
    .format = threadid_format,
};
