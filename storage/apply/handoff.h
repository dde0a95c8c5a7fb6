/* Handoffs (ARCHITECTURE, section 6.6): what a delivery owes to another shard. One long value a target shard: a fixed
 * head, then the packed OpDeliver to send there, whose body the leader reads from (index, ordinal) and sends along or
 * stages there. A handoff holds a reference to the body. */
#ifndef STORAGE_APPLY_HANDOFF_H
#define STORAGE_APPLY_HANDOFF_H

#include "storage/apply/op.h"

#ifdef __cplusplus
extern "C" {
#endif

#define HANDOFF_HEAD_BYTES 32

struct handoff_head {
    uint64_t entry_ms;
    uint64_t body_index;
    uint32_t body_ordinal;
    uint32_t body_bytes;
    uint32_t recipients;
    uint32_t zero;
};

void handoff_key(struct key *k, const struct store *s, uint64_t index, struct shard_id to);
/* Takes the body's reference. */
MUST_CHECK enum err handoff_put(struct op_context *ox, const Pb__OpDeliver *req, const Pb__Handoff *h,
                                struct op_body *body);
MUST_CHECK enum err handoff_decode(struct slice value, struct handoff_head *out, struct slice *out_op);

#ifdef __cplusplus
}
#endif

#endif /* STORAGE_APPLY_HANDOFF_H */
