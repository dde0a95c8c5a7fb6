/* The log entry of the mail store: a fixed little-endian header, then the bytes of the write RPC's request message
 * (proto/schema/op.proto). The leader gives it its time and random bits; apply is a pure function of (state, entry).
 *
 *   0 u8 version (1)   1 u8 level - 1, bit 7: keep   2 u16 method   4 u32 shard   8 u64 account   16 u64 entry_ms
 *  24 u64 issue_ms   32 u8[16] request id   48 u8[32] random   80 op bytes
 */
#ifndef STORAGE_APPLY_ENTRY_H
#define STORAGE_APPLY_ENTRY_H

#include "proto/base/buf.h"
#include "proto/base/id.h"
#include "proto/base/kv.h"
#include "replication/group.h"

#ifdef __cplusplus
extern "C" {
#endif

#define ENTRY_HEAD_BYTES 80

struct entry_head {
    uint8_t level; /* of the cluster when it was proposed (proto/rpc/level.h): what it means. 0 counts as 1 */
    uint16_t method;
    bool keep; /* the leader's word: what this entry expunges can be brought back (storage/apply/keeping.h) */
    struct shard_id shard;
    struct account_id account;
    uint64_t entry_ms;
    uint64_t issue_ms;
    struct u128 request_id;
    uint8_t random[32];
};

void entry_head_encode(const struct entry_head *h, uint8_t out[ENTRY_HEAD_BYTES]);
MUST_CHECK enum err entry_decode(struct slice data, struct entry_head *out, struct slice *out_op);

/* What apply answers a proposer: u32 status (enum err), then the op's result message bytes. This is also the dedupe
 * record. */
#define APPLY_RESULT_HEAD_BYTES 4

/* The state machine of one shard: repl_fsm's ctx. Single-threaded (the volume's). */
struct storage_fsm;

struct storage_event { /* a change to publish after the commit */
    struct shard_id shard;
    struct account_id account;
    struct mailbox_id mailbox;
    uint64_t modseq;
};

struct storage_fsm_config {
    struct shard_id shard;
    uint8_t prefix[5];  /* volume_state_prefix */
    uint64_t dedupe_ms; /* dedupe records older than this by entry time are dropped (15 minutes) */
};

MUST_CHECK enum err storage_fsm_new(const struct storage_fsm_config *cfg, struct storage_fsm **out);
void storage_fsm_free(struct storage_fsm *f);
/* Filled with apply/committed/aborted. The prefix may be set later, before the first apply (the replica is opened with
 * it). */
void storage_fsm_bind(struct storage_fsm *f, struct repl_fsm *out);
void storage_fsm_set_prefix(struct storage_fsm *f, const uint8_t prefix[5]);
/* Events of committed turns since the last call, oldest first; valid until the next turn. */
const struct storage_event *storage_fsm_events(struct storage_fsm *f, size_t *out_n);

/* A check before the log, on a read snapshot: decodes, refuses what apply would refuse now, and answers a request
 * already applied (a retry) from its dedupe record: then *out_done is true and result holds the reply. grows: whether
 * the disk watermark applies. Nobody records what it refuses, so it is for requests whose late duplicate does no harm
 * (deploy/docs/adr/0005): those that fill staged bodies. */
MUST_CHECK enum err storage_precheck(struct kv_txn *t, const uint8_t prefix[5], const struct entry_head *h,
                                     struct slice op, uint32_t attach_bytes, bool *out_grows, bool *out_done,
                                     struct buf *result);

#ifdef __cplusplus
}
#endif

#endif /* STORAGE_APPLY_ENTRY_H */
