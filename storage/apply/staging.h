/* Staged bodies (ARCHITECTURE, section 5): OpStageBegin reserves its own entry's index; each chunk is a log entry of
 * replication's own that names it, so every replica at an index has the same bytes; the operation that uses the body
 * consumes the reservation. Unused ones are killed by OpStageAbort, or by OpPurge an hour after they were made. What
 * chunks have brought is budgeted per account and per shard; reserving costs nothing (a client that declares much and
 * sends little would keep out everybody else's mail), so reservations are counted as well. */
#ifndef STORAGE_APPLY_STAGING_H
#define STORAGE_APPLY_STAGING_H

#include "proto/rpc/flags.h"
#include "storage/mailbox/row.h"

#ifdef __cplusplus
extern "C" {
#endif

#define STAGE_ACCOUNT_BYTES_MAX (UINT64_C(1) << 30)
#define STAGE_SHARD_BYTES_MAX (UINT64_C(8) << 30)
/* Bounds of rows only: frontends reserve when they have a first chunk, and so many chunks fill the budgets. */
#define STAGE_ACCOUNT_UPLOADS_MAX 8192u
#define STAGE_SHARD_UPLOADS_MAX 65536u
#define STAGE_LIFETIME_MS 3600000u

struct stage_row {
    uint64_t account;
    uint64_t entry_ms;
    uint32_t size;   /* the most that it may become */
    uint32_t staged; /* bytes of the chunks so far: what the budgets were charged */
};

struct op_context;

/* ERR_NOTFOUND. */
MUST_CHECK enum err stage_get(const struct store *s, uint64_t index, struct stage_row *out);
MUST_CHECK enum err stage_put(const struct store *s, uint64_t index, const struct stage_row *row);
static inline bool stage_expired(const struct stage_row *row, uint64_t entry_ms)
{
    return entry_ms > row->entry_ms && entry_ms - row->entry_ms > STAGE_LIFETIME_MS;
}
/* For the leader, before it proposes a chunk: its order, size and budget. ERR_NOTFOUND, ERR_INVAL, ERR_LIMIT. */
MUST_CHECK enum err stage_check_chunk(struct op_context *ox, uint64_t account, uint64_t index, uint32_t offset,
                                      uint32_t chunk_bytes);
/* A chunk adds `bytes` to the body of an open reservation; 0: only whether it is open. ERR_NOTFOUND, ERR_LIMIT (more
 * than was reserved; the account's or the shard's budget): nothing changed. */
MUST_CHECK enum err stage_charge(struct op_context *ox, uint64_t index, uint32_t bytes);
/* Ends the reservation and gives back what it was charged; the body itself stays. Only in commit. */
MUST_CHECK enum err stage_release(struct op_context *ox, uint64_t index, const struct stage_row *row);
/* Ends it and kills the body. */
MUST_CHECK enum err stage_kill(struct op_context *ox, uint64_t index, const struct stage_row *row);

#ifdef __cplusplus
}
#endif

#endif /* STORAGE_APPLY_STAGING_H */
