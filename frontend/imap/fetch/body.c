#include "frontend/imap/imap_section.h"
#include "proto/rpc/flags.h"

/* "BODY" alone is the structure without extension data; with a section it is content, and reading it sets \Seen. */
static bool body_parse(struct imap_cursor *c, struct imap_fetch_arg *arg)
{
    if (imap_peek(c) != '[') {
        arg->columns = FETCH_COL_BODY;
        return true;
    }
    arg->sets_seen = true;
    return imap_parse_section(c, arg);
}

static void body_format(struct imap_fetch_run *run, const struct imap_fetch_arg *arg, const struct imap_row *row)
{
    if (arg->section != NULL) {
        imap_section_format(run, arg, row);
        return;
    }
    imap_out_str(run->out, "BODY ");
    imap_out_slice(run->out, row->body);
}

IMAP_FETCH_ITEM(body) = {
    .name = "BODY",
    .parse = body_parse,
    .format = body_format,
};
