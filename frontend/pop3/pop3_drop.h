/* The maildrop as it was at login: UIDs and sizes of INBOX in UID order, and the marks of DELE. */
#ifndef FRONTEND_POP3_POP3_DROP_H
#define FRONTEND_POP3_POP3_DROP_H

#include <stdbool.h>
#include <stdint.h>

#include "frontend/pop3/pop3_lock.h"
#include "frontend/session/backend.h"

#ifdef __cplusplus
extern "C" {
#endif

struct pop3_drop { /* zeroed = empty */
    uint64_t mailbox;
    uint32_t uidvalidity;
    uint32_t n;
    uint32_t cap;
    uint32_t *uids;
    uint32_t *sizes;  /* octets as stored */
    uint8_t *deleted; /* one byte a message */
    uint32_t n_deleted;
    uint64_t octets; /* of those not marked */
};

/* Fills an empty drop (fiber). messages_max: the oldest so many. On an error it is empty again. */
MUST_CHECK enum err pop3_drop_open(struct pop3_drop *d, struct backend *b, struct account_ref *a,
                                   uint32_t messages_max);
void pop3_drop_fini(struct pop3_drop *d);

/* index < n. */
void pop3_drop_mark(struct pop3_drop *d, uint32_t index);
void pop3_drop_unmark_all(struct pop3_drop *d);

/* Removes the marked messages, at most 1,000 an operation, each under a lease renewed just before (fiber). Those done
 * are unmarked; an error leaves the rest. */
MUST_CHECK enum err pop3_drop_commit(struct pop3_drop *d, struct backend *b, struct account_ref *a,
                                     struct pop3_lock *lock, uint64_t (*now_ms)(void *user), void *user);

/* Unique-id (RFC 1939, 7): 16 hex digits of UIDVALIDITY and UID, which are never used again for another message. */
void pop3_drop_uidl(const struct pop3_drop *d, uint32_t index, char out[17]);

#ifdef __cplusplus
}
#endif

#endif /* FRONTEND_POP3_POP3_DROP_H */
