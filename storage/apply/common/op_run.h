/* Runs an operation on an entry: what storage_fsm and storage_precheck share. */
#ifndef STORAGE_APPLY_COMMON_OP_RUN_H
#define STORAGE_APPLY_COMMON_OP_RUN_H

#include "storage/apply/op.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Memory of one entry: an operation of 256 KiB unpacks into far less, so that this limit never decides an outcome. */
#define OP_ARENA_BYTES (256u * 1024 * 1024)

void op_context_init(struct op_context *ox, struct kv_txn *t, const uint8_t prefix[5], const struct entry_head *h,
                     struct arena *arena);
/* Frees the sets; the arena is the caller's. */
void op_context_fini(struct op_context *ox);

/* Which account keeps the request's dedupe record: the one it is about, or account 0 when that does not exist. */
MUST_CHECK enum err op_dedupe_owner(struct op_context *ox, struct op_account **out);
/* Appends the recorded result (status first) of a request that was applied before. */
MUST_CHECK enum err op_dedupe_find(struct op_context *ox, const struct op_account *owner, uint64_t dedupe_ms,
                                   struct buf *result, bool *out_found);
/* Puts the rows in work that are dirty, in the order in which they were loaded, and queues the events. */
MUST_CHECK enum err op_context_flush(struct op_context *ox);

#ifdef __cplusplus
}
#endif

#endif /* STORAGE_APPLY_COMMON_OP_RUN_H */
