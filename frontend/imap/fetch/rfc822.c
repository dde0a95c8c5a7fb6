#include "frontend/imap/imap_section.h"

static bool rfc822_parse(struct imap_cursor *c, struct imap_fetch_arg *arg)
{
    arg->sets_seen = true;
    return imap_section_fixed(c, arg, IMAP_SECTION_ALL);
}

IMAP_FETCH_ITEM(rfc822) = {
    .name = "RFC822",
    .parse = rfc822_parse,
    .format = imap_section_format,
};
