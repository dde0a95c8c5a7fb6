/* LIST patterns (RFC 3501, 6.3.8): "*" matches anything, "%" anything but the separator '/'. */
#ifndef FRONTEND_IMAP_IMAP_MATCH_H
#define FRONTEND_IMAP_IMAP_MATCH_H

#include <stdbool.h>

#include "proto/base/slice.h"

#ifdef __cplusplus
extern "C" {
#endif

#define IMAP_PATTERN_BYTES_MAX 1024

/* Whether the whole name matches. A first component INBOX is compared without case. Time O(pattern * name); a pattern
 * longer than IMAP_PATTERN_BYTES_MAX matches nothing. */
bool imap_match(struct slice pattern, struct slice name);

#ifdef __cplusplus
}
#endif

#endif /* FRONTEND_IMAP_IMAP_MATCH_H */
