/* What happens to the messages of a mailbox: every change of a message row goes through these, so that counters, quota,
 * change index, expunge history, email references and overflow rows stay with it. The account's and the mailbox's rows
 * are the caller's copies: it puts them once when the operation is through. Only store errors come back; whether it may
 * be done is checked before. */
#ifndef STORAGE_MAILBOX_MESSAGE_H
#define STORAGE_MAILBOX_MESSAGE_H

#include "proto/base/uidset.h"
#include "storage/mailbox/email.h"
#include "storage/mailbox/keyword.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Rows of expunge history that a mailbox keeps; older ones go, and the floor rises. */
#define HISTORY_ROWS_MAX 4096

/* A mailbox in work: the rows in memory. */
struct mailbox_work {
    const struct store *store;
    struct account_id account;
    uint32_t mailbox;
    struct account_row *acct;
    struct mailbox_row *row;
    uint64_t modseq; /* of this entry */
    uint64_t entry_ms;
};

/* row: email, internal_s, save_s and size are set. Takes over one reference to the email. */
MUST_CHECK enum err message_add(struct mailbox_work *w, const struct message_row *row, const struct flagset *flags,
                                uint32_t *out_uid);
/* Replaces the flags; the row gets the modseq. */
MUST_CHECK enum err message_set_flags(struct mailbox_work *w, uint32_t uid, struct message_row *row,
                                      const struct flagset *flags);
/* Removes the row. Its reference to the email goes to the caller when keep_email (a move), else it is dropped. History
 * is history_add's. */
MUST_CHECK enum err message_remove(struct mailbox_work *w, uint32_t uid, const struct message_row *row,
                                   bool keep_email);
/* Records what this entry expunged from the mailbox (not empty). */
MUST_CHECK enum err history_add(struct mailbox_work *w, const struct uidset *uids);

/* Adds the UIDs expunged after `since` up to `upto` to out. */
MUST_CHECK enum err history_read(const struct store *s, struct account_id a, uint32_t mailbox, uint64_t since,
                                 uint64_t upto, struct uidset *out);
/* The UIDs that exist, by a scan; unseen may be NULL. */
MUST_CHECK enum err message_uids(const struct store *s, struct account_id a, uint32_t mailbox, struct uidset *out,
                                 struct uidset *out_unseen);

/* Steps through the rows of a mailbox whose UIDs are in a set, seeking over gaps. */
struct message_walk {
    struct scan scan;
    const struct uidset *uids; /* NULL: all */
    struct key at;
    uint32_t next;     /* smallest UID wanted next; 0 = done */
    uint32_t run_last; /* of the run of UIDs that `next` is in */
    bool stepped;      /* the cursor stands at the row before `next` */
};

MUST_CHECK enum err message_walk_open(struct message_walk *w, const struct store *s, struct account_id a,
                                      uint32_t mailbox, const struct uidset *uids, uint32_t from_uid);
/* ERR_NOTFOUND at the end. */
MUST_CHECK enum err message_walk_next(struct message_walk *w, uint32_t *out_uid, struct message_row *out);
void message_walk_close(struct message_walk *w);

#ifdef __cplusplus
}
#endif

#endif /* STORAGE_MAILBOX_MESSAGE_H */
