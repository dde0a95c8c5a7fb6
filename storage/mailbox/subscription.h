/* Subscriptions are full names, independent of mailboxes (RFC 3501, 6.3.6). Keyed by a hash of the name and a sequence
 * number for names that collide, since a name may be longer than a key. */
#ifndef STORAGE_MAILBOX_SUBSCRIPTION_H
#define STORAGE_MAILBOX_SUBSCRIPTION_H

#include "storage/mailbox/row.h"

#ifdef __cplusplus
extern "C" {
#endif

#define SUBSCRIPTIONS_MAX 10000
#define SUBSCRIPTION_COLLISIONS_MAX 8

MUST_CHECK enum err subscription_has(const struct store *s, struct account_id a, struct slice name, bool *out);
/* Both count in acct->subscriptions and are no-ops when it is so already. ERR_LIMIT is checked by subscription_check
 * before. */
MUST_CHECK enum err subscription_add(const struct store *s, struct account_id a, struct account_row *acct,
                                     struct slice name);
MUST_CHECK enum err subscription_remove(const struct store *s, struct account_id a, struct account_row *acct,
                                        struct slice name);
/* May this name be added? ERR_LIMIT. */
MUST_CHECK enum err subscription_check(const struct store *s, struct account_id a, const struct account_row *acct,
                                       struct slice name);

#ifdef __cplusplus
}
#endif

#endif /* STORAGE_MAILBOX_SUBSCRIPTION_H */
