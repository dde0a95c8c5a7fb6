/* Emails: what copies of a message share. The row (email_row, then the message record, in chunks of 4,080 bytes) never
 * changes; references to it are counted in a row of their own that exists only from two on, so that an ordinary
 * delivery writes none. Bodies are counted the same way across the shard; at zero the body is killed (replication drops
 * its chunks when the log and the retention allow). */
#ifndef STORAGE_MAILBOX_EMAIL_H
#define STORAGE_MAILBOX_EMAIL_H

#include "proto/message/message.h"
#include "storage/mailbox/row.h"

#ifdef __cplusplus
extern "C" {
#endif

#define EMAIL_CHUNKS_MAX 16

/* Takes a further reference to / gives one back. The last one kills the body. */
MUST_CHECK enum err body_ref_take(const struct store *s, uint64_t index, uint16_t ordinal);
MUST_CHECK enum err body_ref_drop(const struct store *s, uint64_t index, uint16_t ordinal, uint64_t entry_ms);
/* How many references the state records: 1 when there is no row. */
MUST_CHECK enum err body_ref_count(const struct store *s, uint64_t index, uint16_t ordinal, uint32_t *out);

/* row: all but record_bytes and version is set by the caller. The email starts with one reference and holds one to its
 * body that the caller has accounted for. */
MUST_CHECK enum err email_put(const struct store *s, struct account_id a, uint64_t email, const struct email_row *row,
                              struct slice record);
MUST_CHECK enum err email_ref_take(const struct store *s, struct account_id a, uint64_t email);
/* The last reference deletes the email, its thread references and its reference to the body. */
MUST_CHECK enum err email_ref_drop(const struct store *s, struct account_id a, uint64_t email, uint64_t entry_ms);

/* Deletes an email, whoever refers to it, with its reference to the body; its thread references stay. For copies of
 * accounts that are not whole. */
MUST_CHECK enum err email_drop_row(const struct store *s, struct account_id a, uint64_t email, uint64_t entry_ms);

/* Only the fixed part. ERR_CORRUPT when it is missing: a message row pointed at it. */
MUST_CHECK enum err email_get(const struct store *s, struct account_id a, uint64_t email, struct email_row *out);

/* Walks emails as their numbers come: ascending ones are one cursor step each. */
struct email_reader {
    const struct store *store;
    struct account_id account;
    struct scan scan;
    struct buf long_record; /* a record in several chunks is put together here */
    uint64_t at;            /* email the cursor stands at, 0 = none */
};

MUST_CHECK enum err email_reader_open(struct email_reader *r, const struct store *s, struct account_id a);
void email_reader_close(struct email_reader *r);
/* record is valid until the next call (or write). ERR_CORRUPT when it is missing. */
MUST_CHECK enum err email_reader_get(struct email_reader *r, uint64_t email, struct email_row *out,
                                     struct slice *out_record);

/* THREADID (RFC 8474): messages that name each other and have the same base subject (RFC 5256). Looks the message's ids
 * up and gives the thread of the first one known, else `fresh`. out_parent: what the new email should be indexed under
 * besides its own id (0 = nothing). Reads only. */
MUST_CHECK enum err thread_find(const struct store *s, struct account_id a, const struct msg_record *m,
                                const struct u128 *fresh, uint8_t out_threadid[16], uint64_t *out_parent);
/* Takes the references that row names. */
MUST_CHECK enum err thread_take(const struct store *s, struct account_id a, const struct email_row *row);
MUST_CHECK enum err thread_drop(const struct store *s, struct account_id a, const struct email_row *row);

#define THREAD_ROW_BYTES 20 /* thread id, le32 references */

#ifdef __cplusplus
}
#endif

#endif /* STORAGE_MAILBOX_EMAIL_H */
