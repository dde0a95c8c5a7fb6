#include "frontend/imap/imap_fetch_item.h"
#include "frontend/imap/imap_date.h"
#include "proto/rpc/flags.h"

static void internaldate_format(struct imap_fetch_run *run, const struct imap_fetch_arg *arg,
                                const struct imap_row *row)
{
    (void)arg;
    imap_out_str(run->out, "INTERNALDATE ");
    uint8_t *p = imap_out_room(run->out, IMAP_DATE_TIME_BYTES);
    if (p != NULL) {
        imap_date_time_put(p, row->internal_s);
        imap_out_commit(run->out, IMAP_DATE_TIME_BYTES);
    }
}

IMAP_FETCH_ITEM(internaldate) = {
    .name = "INTERNALDATE",
    .columns = FETCH_COL_INTERNAL,
    .format = internaldate_format,
};
