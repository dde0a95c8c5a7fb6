/* Keeping what is expunged (deploy/docs/adr/0007): messages that leave a mailbox for good become kept rows
 * (storage/mailbox/kept.h) when the leader says so in the entry, OpUndelete makes them messages again, OpKeptDrop lets
 * the old ones go. Only in commit, but for keeping_name. */
#ifndef STORAGE_APPLY_KEEPING_H
#define STORAGE_APPLY_KEEPING_H

#include "storage/apply/op.h"
#include "storage/mailbox/kept.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Kept rows dropped by one entry, at most. */
#define KEPT_DROP_MAX 1000u

/* The rows of one mailbox that go with one entry. */
struct keeping {
    struct op_context *ox;
    struct account_id account;
    uint32_t mailbox;
    uint64_t ms;
    struct slice name;
    struct keyword_table table;
    uint8_t *packed; /* room for all keywords of the table */
    struct kept_totals kept;
};

/* The full name of a live mailbox's node, in the arena. */
MUST_CHECK enum err keeping_name(struct op_context *ox, struct account_id a, uint32_t node, struct slice *out);
/* keywords: rows of the mailbox's keyword table, which is still there. name outlives the keeping. */
MUST_CHECK enum err keeping_begin(struct keeping *k, struct op_context *ox, struct account_id a, uint32_t mailbox,
                                  uint32_t keywords, struct slice name, uint64_t ms);
/* The message's reference to its email goes to the kept row: its removal must not drop it. */
MUST_CHECK enum err keeping_add(struct keeping *k, uint32_t uid, const struct message_row *row,
                                const struct flagset *flags);
MUST_CHECK enum err keeping_end(struct keeping *k);

/* Drops up to `max` kept rows of entries before that time, the shard's oldest first, until they have that many bytes.
 * It ends early at an account that moves between shards just now. */
MUST_CHECK enum err keeping_drop_before(struct op_context *ox, uint64_t before_ms, uint32_t max, uint64_t bytes);
/* Drops up to `max` kept rows of an account. out_done: it has none. */
MUST_CHECK enum err keeping_drop_account(struct op_context *ox, struct account_id a, uint32_t max, bool *out_done);
/* The same of a copy from another shard that was given up: rows only, whose emails are gone or never came. */
MUST_CHECK enum err keeping_forget_account(struct op_context *ox, struct account_id a, uint32_t max, bool *out_done);

#ifdef __cplusplus
}
#endif

#endif /* STORAGE_APPLY_KEEPING_H */
