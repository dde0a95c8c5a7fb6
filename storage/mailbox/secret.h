/* The name and the credentials of an account, in a row of their own that deliveries never touch:
 * u64 version | u16 name bytes | name | packed Credentials. */
#ifndef STORAGE_MAILBOX_SECRET_H
#define STORAGE_MAILBOX_SECRET_H

#include "storage/mailbox/key.h"

#ifdef __cplusplus
extern "C" {
#endif

#define SECRET_NAME_BYTES_MAX 320
#define SECRET_BYTES_MAX 2048

struct secret {
    uint64_t version;
    struct slice name;
    struct slice credentials;
};

/* Views: valid until the next write. */
MUST_CHECK enum err secret_get(const struct store *s, struct account_id a, struct secret *out);
/* name and credentials must not lie in the store. */
MUST_CHECK enum err secret_put(const struct store *s, struct account_id a, const struct secret *v);

#ifdef __cplusplus
}
#endif

#endif /* STORAGE_MAILBOX_SECRET_H */
