/* Mailbox names: UTF-8 in NFC, '/' between components, at most 255 bytes a component and 16 deep; INBOX in any case is
 * INBOX, also as the first component. Apply treats names as bytes (the rules of Unicode may differ between replicas'
 * libraries): that a name is NFC is checked by storage_precheck, before it is logged. */
#ifndef STORAGE_MAILBOX_NAME_H
#define STORAGE_MAILBOX_NAME_H

#include <stdbool.h>

#include "proto/base/arena.h"
#include "proto/base/err.h"
#include "proto/base/slice.h"

#ifdef __cplusplus
extern "C" {
#endif

#define NAME_COMPONENT_BYTES_MAX 255
#define NAME_DEPTH_MAX 16
#define NAME_BYTES_MAX (NAME_DEPTH_MAX * (NAME_COMPONENT_BYTES_MAX + 1) - 1)

struct name_path {
    struct slice part[NAME_DEPTH_MAX];
    size_t n;
};

/* Views into `full` (but for INBOX, which is static). ERR_INVAL: empty name or component, not UTF-8, control
 * characters. ERR_LIMIT: too long or too deep. */
MUST_CHECK enum err name_split(struct slice full, struct name_path *out);
bool name_is_inbox(const struct name_path *p);
/* The name with INBOX in its one spelling, in the arena: what subscriptions are kept by. */
MUST_CHECK enum err name_canonical(struct arena *a, struct slice full, struct slice *out);

/* ERR_INVAL for what is not UTF-8. */
MUST_CHECK enum err name_to_nfc(struct arena *a, struct slice in, struct slice *out);
/* ERR_INVAL unless the name is NFC already; ERR_NOMEM. */
MUST_CHECK enum err name_check_nfc(struct arena *a, struct slice name);
/* For addresses: NFKC with case folding; ASCII is just lowered. ERR_INVAL, ERR_NOMEM. */
MUST_CHECK enum err name_casefold(struct arena *a, struct slice in, struct slice *out);

#ifdef __cplusplus
}
#endif

#endif /* STORAGE_MAILBOX_NAME_H */
