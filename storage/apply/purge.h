/* The steps of OpPurge. Each is one entry's worth of work. What is purged is hidden already, so nothing of it is
 * recorded for retries: a step done twice just goes further. */
#ifndef STORAGE_APPLY_PURGE_H
#define STORAGE_APPLY_PURGE_H

#include "storage/apply/op.h"

#ifdef __cplusplus
extern "C" {
#endif

#define PURGE_ROWS_MAX 4000
#define PURGE_STAGED_MAX 100
#define PURGE_DEDUPE_MAX 1000

/* A deleted mailbox: messages first (kept, if its deletion and this entry say so: keeping.h), then what else lies under
 * its id, then its row. done: nothing is left of it. */
MUST_CHECK enum err purge_mailbox(struct op_context *ox, struct op_account *a, uint32_t mailbox, bool *out_done);
/* A removed account: its uploads, copies, mailboxes, kept messages, the rest, and when its dedupe records are too old
 * to matter, those and its row. One that moved the same, but what is staged stays, and the row for a day: it tells
 * where the account is. */
MUST_CHECK enum err purge_account(struct op_context *ox, struct op_account *a);
/* A copy of an account that was given up: rows without looking at what they say, but for bodies. */
MUST_CHECK enum err purge_cancelled(struct op_context *ox, struct op_account *a);
/* The shard's own: reservations and copies that nobody finishes, dedupe records of account 0. */
MUST_CHECK enum err purge_shard(struct op_context *ox);

#ifdef __cplusplus
}
#endif

#endif /* STORAGE_APPLY_PURGE_H */
