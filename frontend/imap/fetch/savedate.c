#include "frontend/imap/imap_fetch_item.h"
#include "frontend/imap/imap_date.h"
#include "proto/rpc/flags.h"

static void savedate_format(struct imap_fetch_run *run, const struct imap_fetch_arg *arg, const struct imap_row *row)
{
    (void)arg;
    imap_out_str(run->out, "SAVEDATE ");
    uint8_t *p = imap_out_room(run->out, IMAP_DATE_TIME_BYTES);
    if (p != NULL) {
        imap_date_time_put(p, row->save_s);
        imap_out_commit(run->out, IMAP_DATE_TIME_BYTES);
    }
}

IMAP_FETCH_ITEM(savedate) = {
    .name = "SAVEDATE",
    .columns = FETCH_COL_SAVED,
    .capability = "SAVEDATE", /* RFC 8514 */
    .format = savedate_format,
};
