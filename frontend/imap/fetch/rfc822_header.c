#include "frontend/imap/imap_section.h"

static bool rfc822_header_parse(struct imap_cursor *c, struct imap_fetch_arg *arg)
{
    arg->sets_seen = false;
    return imap_section_fixed(c, arg, IMAP_SECTION_HEADER);
}

IMAP_FETCH_ITEM(rfc822_header) = {
    .name = "RFC822.HEADER",
    .parse = rfc822_header_parse,
    .format = imap_section_format,
};
