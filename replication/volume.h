/* A volume: one kv environment, one writer, and the replicas hashed to it. Single-threaded and deterministic: clock,
 * randomness, disk and everything that arrives are passed in; threads, nng and eventfd are a thin shell around it
 * (storage/node).
 *
 * A turn (ARCHITECTURE, section 6.3): take the inbox -> ONE kv transaction with the log rows and bodies to append, the
 * entries to apply, applied index, compaction and purge -> commit -> raft -> state machines -> answers. One commit a
 * turn, however many shards and requests; a turn without work commits nothing, and shards without work cost nothing.
 *
 * A group of one server takes the shortcut that append and apply share the transaction: only if leader, the only server
 * and no configuration change under way (asserted). raft is told after the commit, entries and persistence in one go,
 * and its commit index must equal what was applied (asserted). So a transaction that fails leaves raft as it was.
 * Before a sole voter starts, term + 1, no vote and a barrier entry of the new term are durable.
 *
 * A group of several is stepped first: what peers sent, timeouts, proposals (replication/group_step.c). What raft wants
 * durable waits in memory for the turn's transaction, which also applies entries up to min(commit, durable). Messages
 * leave after the commit; only AppendEntries of a group without a new term or vote leave before it. A transaction that
 * fails leaves all of it waiting, and nothing is reported as persisted.
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
#include "replication/raft_driver.h"

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
    uint64_t log_age_ms;        /* older entries go though there is room; 0 = none. Groups of several servers */
    /* The same for groups of one server, whose log serves nobody else (0: as above). */
    uint64_t sole_entries_max;
    uint64_t sole_bytes_max;
    unsigned election_ms;      /* 0: 1,000; the timeouts lie between it and its double */
    unsigned heartbeat_ms;     /* 0: 200 */
    uint64_t copy_bytes_per_s; /* sent of all copies together (copy.h); 0 = no bound */
    /* 0: no leases. Else by how much the clocks of two nodes may differ in rate (replication/lease.h). */
    unsigned lease_drift_percent;
    /* Sends one message to a node: copied or dropped, never waited for; in order, bulk ones apart from the others. On
     * the volume's thread. NULL: groups of one server only. */
    void (*send)(void *ctx, struct node_id to, bool bulk, struct slice message);
    void *send_ctx;
    /* What was sent so far may leave in one piece: before a turn's transaction and at the turn's end. May be NULL. */
    void (*flush)(void *ctx);
    /* Free bytes of the file system under the store, NULL for memory. */
    uint64_t (*disk_free)(void *ctx);
    void *disk_ctx;
};

/* What a node sent: messages, each behind its length(4). The volume keeps it until release is called (on its thread).
 */
struct repl_received {
    struct queue_node node;
    struct node_id from; /* whose link it came over: a message that names another sender is dropped */
    struct slice bytes;
    void (*release)(struct repl_received *r);
    uint32_t refs; /* the volume's: entries that wait for the disk refer to the bytes */
};

/* A write waiting in the inbox. Owned by the submitter until done is called (on the volume's thread, after the commit).
 */
struct proposal {
    struct queue_node node;
    uint64_t index;    /* the volume's own: of its entry, */
    uint8_t piece[16]; /* and that entry's data when it is a chunk */
    uint32_t shard;
    bool grows;        /* refused with ERR_FULL above the watermark */
    struct slice data; /* must stay valid until done */
    struct slice body;
    /* != 0: one chunk of a staged body: `body` is stored at staged_offset of body (staged_index, ordinal 0), by an
     * entry of its own (deploy/docs/adr/0004); data is empty. Chunks of one body come in order. ERR_INVAL: a gap, an
     * overlap, an index that no entry has yet. Writing the same again is fine (a retry). ERR_STALE: the body is dead.
     * Whatever else the state machine says (repl_fsm.staged). */
    uint64_t staged_index;
    uint64_t staged_offset;
    /* status OK: the entry is durable and applied, result is what apply produced (valid during the call). Otherwise it
     * was not logged (ERR_FULL, ERR_NOT_LEADER, ERR_OVERLOAD, ERR_LIMIT) or its fate is unknown (ERR_UNAVAILABLE: retry
     * with the same request id; leadership was lost). Must not call into the volume but for volume_leads,
     * volume_state_prefix and volume_stats; new proposals go through the next turn. */
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
 * or a bad id), each with a log line that says what and where; ERR_EXISTS. */
MUST_CHECK enum err volume_replica_open(struct volume *v, struct shard_id shard, struct node_id node,
                                        const struct repl_fsm *fsm);

/* Makes the replica of a group that exists elsewhere: empty, until the group's leader knows of it. Otherwise as
 * volume_replica_open, which loads it from the second start on. */
MUST_CHECK enum err volume_replica_join(struct volume *v, struct shard_id shard, struct node_id node,
                                        const struct repl_fsm *fsm);

/* Runs one turn over what came (linked lists, oldest first; may be NULL: timers and maintenance only). Returns ms until
 * it wants to be called again with nothing new. Bounded work: what does not fit this turn's transaction (8 MiB) is kept
 * for the next, and 0 is returned. What it committed is durable; before its thread waits for anything it calls
 * kv_publish, as readers elsewhere wait for that. */
uint64_t volume_turn(struct volume *v, struct proposal *list, struct repl_received *received);

/* --- on the volume's thread, between turns --- */

/* Starts to hand the shard's leadership to a voter (0: the one that is furthest). ERR_NOT_LEADER, ERR_NOTFOUND. */
MUST_CHECK enum err volume_transfer(struct volume *v, struct shard_id shard, struct node_id to);
/* Proposes another configuration, which differs from the one in force by one server or one role. It is in force when
 * volume_status says so. ERR_NOT_LEADER, ERR_INVAL, ERR_LOCKED: another change is under way, or nothing of this
 * leader's term is committed yet, which this call sees to: try again. */
MUST_CHECK enum err volume_change(struct volume *v, struct shard_id shard, const struct raft_server_info *servers,
                                  size_t n);
/* Throws away what this node has of a shard whose group it has left, and waits for a leader with an empty replica that
 * keeps its term and vote, and in mind where its log ended: it votes for nobody whose log does not reach as far, since
 * a server that lags several configurations behind may ask it with a log that lacks what was committed with its help.
 * The caller knows that the group's configuration of `term` is committed without this node (the leader of that term
 * said so), and that no leader was heard here since long before it asked: else a replica that was taken in again could
 * vote with less than it had. ERR_NOTFOUND; ERR_LOCKED: a leader was heard lately, the log has an entry of a later
 * term, or something is under way; ERR_FULL, ERR_NOMEM: later. OK also when it is empty. The rows are deleted in steps
 * (replication/README.md). */
MUST_CHECK enum err volume_replica_empty(struct volume *v, struct shard_id shard, uint64_t term);
struct volume_status {
    uint64_t term;
    struct node_id leader; /* 0 = nobody known */
    uint64_t silent_ms;    /* since a leader was heard; 0: this node leads */
    bool serves;           /* this node leads and knows everything that was committed */
    uint64_t log_first, log_last, commit, applied;
    bool changing; /* the configuration is not committed yet */
    size_t n_servers;
    struct raft_server_info servers[RAFT_SERVERS_MAX];
    uint64_t match[RAFT_SERVERS_MAX]; /* the leader's: how far each one's log is known to reach */
};
/* ERR_NOTFOUND. */
MUST_CHECK enum err volume_status(struct volume *v, struct shard_id shard, struct volume_status *out);

/* A copy of a shard's state for somebody who is no server of its group, batch after batch: a backup (copy.h has how
 * it is made, and the form of the rows). One a shard at a time; all share turns and rate with the copies for servers.
 * A pull says what has arrived and gets the batch after that; the same again gets it again, maybe with other rows. */
struct volume_batch {
    uint64_t sequence;
    struct slice rows;    /* valid during the call */
    bool last;            /* all batches together are the state at */
    uint64_t index, term; /* this entry, */
    uint64_t wall_ms;     /* now */
};
struct volume_pull {
    struct queue_node node; /* the caller's */
    struct shard_id shard;
    uint64_t copy;    /* drawn by the receiver, not 0 */
    uint64_t arrived; /* batches; 0: the copy begins */
    /* Once, from volume_pull or a later turn; a batch comes with OK only. ERR_NOT_LEADER: no such replica runs here.
     * ERR_STALE: the copy is not known or has ended, another one may begin; or a later pull took this one's place.
     * ERR_LOCKED: another backup copies the shard. ERR_NOMEM. ERR_SHUTDOWN. */
    void (*done)(struct volume_pull *p, enum err status, const struct volume_batch *batch);
};
/* The caller's until done. */
void volume_pull(struct volume *v, struct volume_pull *p);
/* Answers what still waits with ERR_SHUTDOWN and ends these copies. */
void volume_pulls_end(struct volume *v);

/* --- for readers, any thread --- */
/* What a linearizable read needs (ARCHITECTURE, section 7): the index that it must find applied, once a majority has
 * confirmed `term` (replication/reads.h). All of one moment. False: this node does not serve the shard. */
struct volume_read {
    uint64_t term;
    uint64_t index;
    bool alone;             /* the only server: nobody to ask */
    uint64_t configuration; /* index of the one in force in the leader's log, committed or not */
    uint64_t lease_ms;      /* before then, on the volume's monotonic clock, nobody needs to be asked; 0: always */
    size_t n_voters;
    struct node_id voters[RAFT_SERVERS_MAX];
};
bool volume_read_begin(struct volume *v, struct shard_id shard, struct volume_read *out);
/* Entries up to here are applied and visible to transactions begun from now on. */
uint64_t volume_applied(struct volume *v, struct shard_id shard);
/* The latest term that this node has seen of the shard, published before it is durable: what a leader's ping is
 * answered with. 0: no such replica. */
uint64_t volume_term(struct volume *v, struct shard_id shard);
struct node_id volume_leader(struct volume *v, struct shard_id shard);
/* True when this node leads the shard and has committed an entry of its term; term for (term, token) checks. */
bool volume_leads(struct volume *v, struct shard_id shard, uint64_t *out_term);
/* Key prefix (5 bytes: replica number, 'S') of the shard's state, and of its bodies. ERR_NOTFOUND. */
MUST_CHECK enum err volume_state_prefix(struct volume *v, struct shard_id shard, uint8_t out_prefix[5]);
/* Ordinal of the bodies that are pieces of staged ones: replication's own. */
#define REPL_ORDINAL_PIECE 0xFFFFu
/* Appends body bytes [off, off+n) of (index, ordinal) to out, checking crc32c. ERR_NOTFOUND, ERR_CORRUPT. */
MUST_CHECK enum err repl_body_read(struct kv_txn *t, const uint8_t prefix[5], uint64_t index, uint16_t ordinal,
                                   uint64_t off, size_t n, struct buf *out);
/* Marks a body dead (apply calls it, inside the turn's transaction): its chunks go when the log and the retention
 * allow. */
MUST_CHECK enum err repl_body_kill(struct kv_txn *t, const uint8_t prefix[5], uint64_t index, uint16_t ordinal,
                                   uint64_t now_ms);

/* Bytes applied so far of a (staged) body: 0 when there is none. The same on every replica at the same index. */
MUST_CHECK enum err repl_body_bytes(struct kv_txn *t, const uint8_t prefix[5], uint64_t index, uint16_t ordinal,
                                    uint64_t *out_bytes);

struct volume_stats {
    uint64_t turns, commits, entries, body_bytes, full_refusals;
    uint64_t commit_us_total;
    bool above_watermark;
    uint64_t messages, messages_dropped; /* from peers */
    uint64_t copy_bytes;                 /* sent of copies */
    uint64_t elections;                  /* begun here because no leader was heard */
};
void volume_stats(const struct volume *v, struct volume_stats *out);

#ifdef __cplusplus
}
#endif

#endif /* REPLICATION_VOLUME_H */
