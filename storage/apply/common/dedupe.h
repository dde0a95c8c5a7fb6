/* Exactly once (ARCHITECTURE, section 6): what an entry answered is recorded under its request id, in the account that
 * the request is about; a retry gets the same again. So are refusals and what found nothing to do: a duplicate that
 * comes after the answer was given must not act on what others did since (deploy/docs/adr/0005).
 *
 * Records lie in buckets of five minutes of entry time, so that finding one is a few point reads, and dropping the old
 * ones a range from the front, without an index by time. The account row bounds the buckets that can hold any. */
#ifndef STORAGE_APPLY_COMMON_DEDUPE_H
#define STORAGE_APPLY_COMMON_DEDUPE_H

#include "storage/mailbox/row.h"

#ifdef __cplusplus
extern "C" {
#endif

#define DEDUPE_BUCKET_MS 300000u
#define DEDUPE_MS_DEFAULT 900000u
/* Buckets ahead of the entry's own in which a record may lie: the clocks of two leaders that accept a request differ by
 * at most twice the five minutes that a request may be off. */
#define DEDUPE_BUCKETS_AHEAD 2u

/* Appends the recorded value. */
MUST_CHECK enum err dedupe_find(const struct store *s, struct account_id a, const struct account_row *row,
                                uint64_t entry_ms, uint64_t dedupe_ms, const struct u128 *request_id,
                                struct buf *result, bool *out_found);
/* Changes row's bucket bounds. */
MUST_CHECK enum err dedupe_put(const struct store *s, struct account_id a, struct account_row *row, uint64_t entry_ms,
                               const struct u128 *request_id, struct slice value);
bool dedupe_expiry_due(const struct account_row *row, uint64_t entry_ms, uint64_t dedupe_ms);
/* Drops up to `max` rows that are too old. */
MUST_CHECK enum err dedupe_expire(const struct store *s, struct account_id a, struct account_row *row,
                                  uint64_t entry_ms, uint64_t dedupe_ms, uint32_t max);

#ifdef __cplusplus
}
#endif

#endif /* STORAGE_APPLY_COMMON_DEDUPE_H */
