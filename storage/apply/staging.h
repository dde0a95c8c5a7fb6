/* Staged bodies (ARCHITECTURE, section 5): OpStageBegin reserves its own entry's index; each chunk is a log entry of
 * replication's own that names it, so every replica at an index has the same bytes; the operation that uses the body
 * consumes the reservation. Unused ones are killed by OpStageAbort, or by OpPurge an hour after they were made. Reserved bytes are budgeted per account and per shard. */
#ifndef STORAGE_APPLY_STAGING_H
#define STORAGE_APPLY_STAGING_H

#include "storage/mailbox/row.h"

#ifdef __cplusplus
extern "C" {
#endif

#define STAGE_BODY_BYTES_MAX (512u * 1024 * 1024)
#define STAGE_ACCOUNT_BYTES_MAX (UINT64_C(1) << 30)
#define STAGE_SHARD_BYTES_MAX (UINT64_C(8) << 30)
#define STAGE_LIFETIME_MS 3600000u

struct stage_row {
    uint64_t account;
    uint64_t entry_ms;
    uint32_t size; /* reserved; the body may turn out smaller */
    uint32_t zero;
};

struct op_context;

/* ERR_NOTFOUND. */
MUST_CHECK enum err stage_get(const struct store *s, uint64_t index, struct stage_row *out);
MUST_CHECK enum err stage_put(const struct store *s, uint64_t index, const struct stage_row *row);
static inline bool stage_expired(const struct stage_row *row, uint64_t entry_ms)
{
    return entry_ms > row->entry_ms && entry_ms - row->entry_ms > STAGE_LIFETIME_MS;
}
/* For the leader's check: ERR_INVAL unless this replica holds exactly `size` bytes of it. */
MUST_CHECK enum err stage_check_complete(const struct store *s, uint64_t index, uint32_t size);
/* For the leader, before it proposes a chunk: its order and size. ERR_NOTFOUND, ERR_INVAL. */
MUST_CHECK enum err stage_check_chunk(const struct store *s, uint64_t account, uint64_t index, uint32_t offset,
                                      uint32_t chunk_bytes);
/* Ends the reservation and gives its budget back; the body itself stays. Only in commit. */
MUST_CHECK enum err stage_release(struct op_context *ox, uint64_t index, uint64_t account, uint32_t size);
/* Ends it and kills the body. */
MUST_CHECK enum err stage_kill(struct op_context *ox, uint64_t index, const struct stage_row *row);

#ifdef __cplusplus
}
#endif

#endif /* STORAGE_APPLY_STAGING_H */
