#include "frontend/imap/imap_section.h"

static bool rfc822_text_parse(struct imap_cursor *c, struct imap_fetch_arg *arg)
{
    arg->sets_seen = true;
    return imap_section_fixed(c, arg, IMAP_SECTION_TEXT);
}

IMAP_FETCH_ITEM(rfc822_text) = {
    .name = "RFC822.TEXT",
    .parse = rfc822_text_parse,
    .format = imap_section_format,
};
