#include "frontend/imap/imap_section.h"

IMAP_FETCH_ITEM(body_peek) = {
    .name = "BODY.PEEK",
    .parse = imap_parse_section,
    .format = imap_section_format,
};
