/* A volume: one kv environment, one writer, and the replicas hashed to it. Single-threaded and deterministic: clock,
 * randomness, disk and everything that arrives are passed in; threads, nng and eventfd are a thin shell around it
 * (storage/node).
 *
 * A turn (ARCHITECTURE, section 6.3): take the inbox -> ONE kv transaction with the log rows and bodies to append, the
 * entries to apply, applied index, compaction and purge -> commit -> raft -> state machines -> answers. One commit a
 * turn, however many shards and requests; a turn without work commits nothing, and shards without work cost nothing.
 *
 * Groups have one voter so far (volume_replica_open refuses others), which allows the shortcut that append and apply
 * share the transaction: only if leader, one voter and no configuration change under way (asserted). raft is told after
 * the commit, entries and persistence in one go, and its commit index must equal what was applied (asserted). So a
 * transaction that fails leaves raft as it was. Before a sole voter starts, term + 1, no vote and a barrier entry of
 * the new term are durable.
 *
 * Failure. ERR_FULL or ERR_NOMEM abort the transaction; first upkeep is left out, then the batch is halved until the
 * proposal that does not fit stands alone: it is answered ERR_FULL or ERR_OVERLOAD, the others go on. Above the
 * watermark (free space in the map, the file and the file system below reserve_bytes; looked at once a second and every
 * reserve_bytes / 4 written) proposals flagged `grows` are refused with ERR_FULL before they are logged; the others are
 * taken. A corrupt row (ERR_CORRUPT) stops its shard with a log line: ERR_UNAVAILABLE from then on. ERR_IO, which only
 * the simulated store returns, is the death of the machine: nobody is answered any more. */
#ifndef REPLICATION_VOLUME_H
#define REPLICATION_VOLUME_H

#include "proto/base/buf.h"
#include "proto/base/queue.h"
#include "replication/group.h"

#ifdef __cplusplus
extern "C" {
#endif

struct volume;

struct volume_config {
    struct kv *kv; /* owned by the caller, outlives the volume */
    struct clock *clock;
    struct rng *rng;
    uint64_t log_entries_max;   /* retention a replica, default 1,000 with one voter: nobody needs more */
    uint64_t log_bytes_max;     /* default 64 MiB; bodies of retained entries count */
    uint64_t dead_retention_ms; /* undelete window; 0 = delete dead bodies as soon as the log allows */
    uint64_t reserve_bytes;     /* disk watermark; 0 = none */
    /* Free bytes of the file system under the store, NULL for memory. */
    uint64_t (*disk_free)(void *ctx);
    void *disk_ctx;
};

/* A write waiting in the inbox. Owned by the submitter until done is called (on the volume's thread, after the commit).
 */
struct proposal {
    struct queue_node node;
    uint32_t shard;
    bool grows;        /* refused with ERR_FULL above the watermark */
    struct slice data; /* must stay valid until done */
    struct slice body;
    /* != 0: no entry but one chunk of a staged body: `body` is stored at staged_offset of body (staged_index, ordinal
     * 0) in this turn's transaction, outside the log (ARCHITECTURE, section 5); data is empty. Chunks of one body come
     * in order; each but the last is a multiple of REPL_BODY_CHUNK_DATA bytes. ERR_INVAL: a gap, an odd offset, an
     * index that no entry has yet, or a rewrite that would leave a short chunk in the middle. Writing the same again is
     * fine (a retry). ERR_STALE: the body is dead. Whatever else the state machine says (repl_fsm.staged). */
    uint64_t staged_index;
    uint64_t staged_offset;
    /* status OK: the entry is durable and applied, result is what apply produced (valid during the call). Otherwise it
     * was not logged (ERR_FULL, ERR_NOT_LEADER, ERR_OVERLOAD, ERR_LIMIT) or its fate is unknown (ERR_UNAVAILABLE: retry
     * with the same request id). Must not call into the volume but for volume_leads, volume_state_prefix and
     * volume_stats; new proposals go through the next turn. */
    void (*done)(struct proposal *p, enum err status, struct slice result);
};

/* ERR_CORRUPT, ERR_UNSUPPORTED (another format version), both with a log line. */
MUST_CHECK enum err volume_open(const struct volume_config *cfg, struct volume **out);
/* Proposals that still wait are not answered: run turns until none does. */
void volume_close(struct volume *v);

/* The replicas that were in the store when the volume was opened, by shard; valid until the volume is closed. */
struct volume_found {
    struct shard_id shard;
    uint32_t replica;
};
const struct volume_found *volume_found(const struct volume *v, size_t *out_n);

/* Makes (first start, sole voter, `node`) or loads the replica of a shard; it leads after the next turn. The fsm is
 * copied. Only before the first turn or from the volume's thread. ERR_CORRUPT, ERR_INVAL (the rows are another node's,
 * or a bad id), ERR_UNSUPPORTED (several voters), each with a log line that says what and where; ERR_EXISTS. */
MUST_CHECK enum err volume_replica_open(struct volume *v, struct shard_id shard, struct node_id node,
                                        const struct repl_fsm *fsm);

/* Runs one turn over the proposals (linked list, oldest first; may be NULL: timers and maintenance only). Returns ms
 * until it wants to be called again with nothing new. Bounded work: what does not fit this turn's transaction (8 MiB)
 * is kept for the next, and 0 is returned. */
uint64_t volume_turn(struct volume *v, struct proposal *list);

/* --- for readers, any thread --- */
/* True when this node leads the shard and has committed an entry of its term; term for (term, token) checks. */
bool volume_leads(struct volume *v, struct shard_id shard, uint64_t *out_term);
/* Key prefix (5 bytes: replica number, 'S') of the shard's state, and of its bodies. ERR_NOTFOUND. */
MUST_CHECK enum err volume_state_prefix(struct volume *v, struct shard_id shard, uint8_t out_prefix[5]);
/* Appends body bytes [off, off+n) of (index, ordinal) to out, checking crc32c. ERR_NOTFOUND, ERR_CORRUPT. */
MUST_CHECK enum err repl_body_read(struct kv_txn *t, const uint8_t prefix[5], uint64_t index, uint16_t ordinal,
                                   uint64_t off, size_t n, struct buf *out);
/* Marks a body dead (apply calls it, inside the turn's transaction): its chunks go when the log and the retention
 * allow. */
MUST_CHECK enum err repl_body_kill(struct kv_txn *t, const uint8_t prefix[5], uint64_t index, uint16_t ordinal,
                                   uint64_t now_ms);

/* Bytes stored so far of a (staged) body: 0 when there is none. The leader checks completeness with it before it
 * proposes a use. */
MUST_CHECK enum err repl_body_bytes(struct kv_txn *t, const uint8_t prefix[5], uint64_t index, uint16_t ordinal,
                                    uint64_t *out_bytes);

struct volume_stats {
    uint64_t turns, commits, entries, body_bytes, full_refusals;
    uint64_t commit_us_total;
    bool above_watermark;
};
void volume_stats(const struct volume *v, struct volume_stats *out);

#ifdef __cplusplus
}
#endif

#endif /* REPLICATION_VOLUME_H */
