/* What changed in a mailbox after a MODSEQ: new rows at its end, changed rows by the change index, expunged UIDs by the
 * history. */
#ifndef STORAGE_MAILBOX_CHANGES_H
#define STORAGE_MAILBOX_CHANGES_H

#include "storage/mailbox/message.h"

#ifdef __cplusplus
extern "C" {
#endif

/* New rows: their UID came to be after `since` and not after `upto`. unseen may be NULL. O(new). */
MUST_CHECK enum err changes_new(const struct store *s, struct account_id a, uint32_t mailbox, uint64_t since,
                                uint64_t upto, struct uidset *out, struct uidset *out_unseen);

/* Walks the rows that changed after `since`, in order of (MODSEQ, UID); also new ones that changed again. */
struct changes_walk {
    struct scan scan;
    struct key at;
    const struct store *store;
    struct account_id account;
    uint32_t mailbox;
};
MUST_CHECK enum err changes_walk_open(struct changes_walk *w, const struct store *s, struct account_id a,
                                      uint32_t mailbox, uint64_t since);
/* ERR_NOTFOUND at the end. ERR_CORRUPT when the index names a row that is not there, or has another MODSEQ. */
MUST_CHECK enum err changes_walk_next(struct changes_walk *w, uint32_t *out_uid, struct message_row *out);
void changes_walk_close(struct changes_walk *w);

/* Changes come in no order of UIDs: beyond this many a walk over the rows is cheaper than adding them to a set one by
 * one. */
#define CHANGES_ONE_BY_ONE_MAX 4000
/* Adds the UIDs of rows that are new or changed after `since`. ERR_LIMIT: too many; out holds some of them. */
MUST_CHECK enum err changes_uids(const struct store *s, struct account_id a, uint32_t mailbox, uint64_t since,
                                 uint64_t upto, struct uidset *out);

#ifdef __cplusplus
}
#endif

#endif /* STORAGE_MAILBOX_CHANGES_H */
