/* What the leader has to do by itself, found in a read snapshot: handoffs to deliver (ARCHITECTURE, section 6.6) and
 * whether a step of OpPurge or OpKeptDrop is due. */
#ifndef STORAGE_APPLY_HOUSEKEEPING_H
#define STORAGE_APPLY_HOUSEKEEPING_H

#include "proto/base/buf.h"
#include "proto/base/id.h"
#include "proto/base/kv.h"

#ifdef __cplusplus
extern "C" {
#endif

struct handoff_due {
    uint64_t index; /* of the entry that made it; with `to` its name */
    struct shard_id to;
    uint64_t entry_ms;   /* when it was made */
    uint64_t body_index; /* repl_body_read(index, ordinal) */
    uint16_t body_ordinal;
    uint32_t body_bytes;
    uint32_t recipients;
};

/* The first handoff after (index, to); (0, 0) begins. op gets the packed OpDeliver for the target shard (its body's
 * staged_index is 0: attach the body, or stage it there and set it). ERR_NOTFOUND: none. When it is delivered or
 * finally refused, propose OpHandoffDone{index, to}. */
MUST_CHECK enum err housekeeping_handoff_next(struct kv_txn *t, const uint8_t prefix[5], uint64_t index,
                                              struct shard_id to, struct handoff_due *out, struct buf *op);
/* The request id that every attempt of a handoff must carry, so that it is delivered once. `from` is the shard that
 * holds it. */
struct u128 housekeeping_handoff_id(struct shard_id from, uint64_t index, struct shard_id to);

struct housekeeping {
    uint64_t next_account; /* where the walk over accounts for old dedupe records goes on; start with 0 */
};

/* Looks for work in bounded time (a few hundred rows). out_due: propose OpPurge{account, mailbox} with a fresh request
 * id, then ask again. When nothing is due call again after some seconds: the walk over accounts goes on. */
MUST_CHECK enum err housekeeping_purge_due(struct kv_txn *t, const uint8_t prefix[5], uint64_t wall_ms,
                                           struct housekeeping *h, uint64_t *out_account, uint64_t *out_mailbox,
                                           bool *out_due);

/* What a shard keeps of expunged messages (storage/apply/keeping.h). Propose OpKeptDrop with a time after the oldest
 * while that is due. */
struct housekeeping_kept {
    uint64_t messages;
    uint64_t bytes;
    uint64_t oldest_ms; /* UINT64_MAX: there is none */
};

MUST_CHECK enum err housekeeping_kept_get(struct kv_txn *t, const uint8_t prefix[5], struct housekeeping_kept *out);

#ifdef __cplusplus
}
#endif

#endif /* STORAGE_APPLY_HOUSEKEEPING_H */
