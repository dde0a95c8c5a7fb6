/* The durable record of a COPY in several steps (RFC 3501, 6.4.7: all or nothing). Each step adds the UIDs it made; the
 * last one deletes the record. An undo, or ten minutes without a step (OpPurge), turns the record to undoing: then
 * steps are refused, and what was made is removed again, 1,000 messages an entry, until nothing is left and the record
 * goes. Rows: SHARD_COPIES account copy-id. */
#ifndef STORAGE_APPLY_COPY_RECORD_H
#define STORAGE_APPLY_COPY_RECORD_H

#include "storage/apply/op.h"

#ifdef __cplusplus
extern "C" {
#endif

#define COPY_IDLE_MS 600000u
#define COPY_RUNS_MAX 400

struct copy_run {
    uint32_t first;
    uint32_t last;
};

struct copy_record {
    uint64_t entry_ms; /* of the last step */
    uint32_t mailbox;  /* destination */
    uint32_t undoing;
    uint32_t n;
    uint32_t zero;
    struct copy_run runs[COPY_RUNS_MAX]; /* of destination UIDs, ascending */
};

/* ERR_NOTFOUND. */
MUST_CHECK enum err copy_record_get(const struct store *s, struct account_id a, const uint8_t id[16],
                                    struct copy_record *out);
MUST_CHECK enum err copy_record_put(const struct store *s, struct account_id a, const uint8_t id[16],
                                    const struct copy_record *r);
MUST_CHECK enum err copy_record_del(const struct store *s, struct account_id a, const uint8_t id[16]);
MUST_CHECK enum err copy_record_decode(struct slice value, struct copy_record *out);
/* Is it time for OpPurge to undo it? */
static inline bool copy_record_due(const struct copy_record *r, uint64_t now_ms)
{
    return r->undoing != 0 || (now_ms > r->entry_ms && now_ms - r->entry_ms > COPY_IDLE_MS);
}
/* ERR_LIMIT: may n more UIDs from `first` on be added? */
MUST_CHECK enum err copy_record_room(const struct copy_record *r, uint32_t first);
void copy_record_add(struct copy_record *r, uint32_t first, uint32_t last);

/* One step of undoing, in commit: removes up to OP_UIDS_MAX messages, the latest first, and puts or deletes the record.
 * removed gets their UIDs. */
MUST_CHECK enum err copy_undo_step(struct op_context *ox, struct op_account *a, const uint8_t id[16],
                                   struct copy_record *r, struct uidset *removed);

#ifdef __cplusplus
}
#endif

#endif /* STORAGE_APPLY_COPY_RECORD_H */
