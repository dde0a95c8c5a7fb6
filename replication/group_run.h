/* One replica of one group, inside its volume (internal to replication/). The volume drives it through a turn:
 *
 *   group_collect   choose proposals for this transaction
 *   group_write     append and apply them in the transaction
 *   group_committed / group_aborted
 *
 * and through its start: group_load (rows to memory), group_start_write (recovery, term + 1, a barrier of the new
 * term), group_start_raft. Between turns group_upkeep trims the log and deletes dead bodies in bounded steps.
 *
 * Everything runs on the volume's thread but group_leads_term and group_view_read. */
#ifndef REPLICATION_GROUP_RUN_H
#define REPLICATION_GROUP_RUN_H

/* See copy.h. */
struct copy_in;

#include "proto/base/list.h"
#include "replication/body.h"
#include "replication/log.h"
#include "replication/message.h"
#include "replication/volume.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What a read needs, published as one: the volume's thread writes, any thread reads (group_view.c). All atomic. */
struct group_view {
    uint64_t sequence;   /* odd while it is being written */
    uint64_t leads_term; /* 0 = does not lead, or may not serve yet */
    uint64_t commit;
    uint64_t alone;         /* the only server */
    uint64_t configuration; /* index of the one in force, committed or not */
    uint64_t lease_ms;      /* 0 = none, or until when it lasts */
    uint64_t n_voters;      /* 0 unless it leads */
    uint64_t voters[RAFT_SERVERS_MAX];
};

#define GROUP_TURN_ENTRIES_MAX 1000 /* uncommitted entries of a group (ARCHITECTURE, section 8) */

enum group_state {
    GROUP_LOADED,  /* rows are in memory; its term is not raised yet */
    GROUP_DURABLE, /* the start's transaction is committed, raft is to be started */
    GROUP_RUNNING,
    GROUP_FAILED, /* a row is corrupt: answers ERR_UNAVAILABLE until the node is repaired */
};

/* An entry that raft has and the disk has not yet. Its bytes are a proposal's (which waits until it is applied), a
 * received message's, or its own. */
struct group_pending {
    struct repl_entry entry;
    struct repl_received *received; /* counted */
    uint8_t *own;                   /* freed with the entry */
};

/* What became of a proposal of the open transaction. */
struct group_slot {
    enum err status;
    struct buf result;
};

/* The log ended at index at that time: what is up to there is no younger. */
struct group_mark {
    uint64_t index;
    uint64_t ms;
};
#define GROUP_MARKS 32

struct group_limits {
    uint64_t log_entries_max;
    uint64_t log_bytes_max;
    uint64_t log_age_ms; /* 0 = any */
    uint64_t sole_entries_max;
    uint64_t sole_bytes_max;
    unsigned election_ms;
    unsigned heartbeat_ms;
    unsigned lease_drift_percent;
    uint64_t dead_retention_ms;
};

struct group {
    uint32_t replica;
    struct shard_id shard;
    struct node_id node;
    struct repl_fsm fsm;
    struct group_limits limits;
    enum group_state state;
    bool fresh; /* no rows on disk yet */
    bool join;  /* and it will get them from others */
    bool sole;  /* at start: the only voter, so everything in the log is committed */
    struct raft_driver *raft;
    struct repl_meta meta; /* as committed */
    struct repl_meta next; /* as the open transaction leaves it */

    struct proposal *head; /* waiting, oldest first */
    struct proposal *tail;
    size_t n_waiting;
    size_t waiting_bytes;

    /* A group of several servers. */
    struct proposal *flight_head; /* in raft's log, waiting to be applied, oldest first */
    struct proposal *flight_tail;
    size_t n_flights;
    size_t flight_bytes;
    struct group_pending *pending; /* ascending, without gaps, up to raft's last entry */
    size_t n_pending;
    size_t pending_capacity;
    size_t pending_bytes;
    uint64_t cut_from; /* != 0: log rows from here on are to be cut off before the pending ones are written */
    bool hard_state;   /* raft's term or vote is not durable */
    struct buf late;   /* messages that wait for the commit: to(8) bytes(4) message */
    struct buf change; /* configuration that the open transaction applied, with its index */
    uint64_t change_index;
    size_t written;          /* pending entries that the open transaction wrote, */
    bool wrote_state;        /* and whether raft's term and vote are in it */
    size_t applied_now;      /* entries that it applied */
    size_t answers;          /* flights among them */
    uint64_t retry_at_ms;    /* after a failed transaction */
    struct copy_in *copy_in; /* a copy that replaces this replica; NULL = none */
    struct list copies;      /* of this replica, for others (copy_out.c) */
    bool was_alone;          /* when the transaction was written */
    size_t taken;            /* the first ones, in the open transaction */
    size_t appended;         /* entries among them */
    size_t slot;             /* first slot in the volume's array */
    bool applied_any;
    bool kills; /* an apply of the open transaction killed a body */

    struct group_mark marks[GROUP_MARKS]; /* of entries that are not too old, oldest first */
    size_t n_marks;
    uint64_t aged; /* entries up to here are too old */
    bool trim_due;
    bool purge_due;
    struct body_purge purge;
    bool purge_done;      /* the open transaction finished the walk */
    uint64_t purge_at_ms; /* wall clock: when the next walk pays; UINT64_MAX = not known to */
    /* Atomic, for readers on other threads. */
    struct group_view view;
    uint64_t term;   /* latest seen */
    uint64_t leader; /* node, 0 = unknown */
    uint64_t applied;

    struct list active; /* in volume.active: has work for a transaction */
    struct list batch;  /* in the turn's batch */
    struct list upkeep; /* in volume.upkeep: trim or purge is due */
    struct list start;  /* in volume.starting */
    struct list submit; /* in volume.submit: proposals came */
};

struct group_config {
    uint32_t replica;
    struct shard_id shard;
    struct node_id node;
    struct group_limits limits;
    struct repl_fsm fsm;
    unsigned seed;
};

/* How a replica comes to be. */
enum group_origin { GROUP_FROM_DISK, GROUP_FOUND /* sole voter of a new group */, GROUP_JOIN /* empty */ };
/* ERR_CORRUPT, ERR_INVAL (the rows belong to another node), ERR_NOMEM: `why` says what and where. */
MUST_CHECK enum err group_load(const struct group_config *cfg, struct kv_txn *t, enum group_origin origin,
                               struct group **out, struct buf *why);
void group_free(struct group *g);
static inline uint64_t group_leads_term(struct group *g)
{
    return __atomic_load_n(&g->view.leads_term, __ATOMIC_ACQUIRE);
}

/* Applies what recovery left to a sole voter to apply, at most `entries_max` entries and about `bytes_max`; when
 * nothing is left, raises the term and appends the barrier and *out_complete is true. A new replica's first rows
 * otherwise. */
MUST_CHECK enum err group_start_write(struct group *g, struct kv_txn *t, size_t entries_max, size_t bytes_max,
                                      struct buf *scratch, bool *out_complete);
void group_start_committed(struct group *g, bool complete);
/* ERR_NOMEM: call again later. *out: messages to send. */
MUST_CHECK enum err group_start_raft(struct group *g, struct kv_txn *t, uint64_t now_ms, unsigned seed,
                                     struct raft_driver_update *out);
/* Forgets what raft decided and the disk does not know, and reads the rows again; then it has to be started again.
 * t NULL: the store is gone. ERR_CORRUPT, ERR_NOMEM: it is GROUP_FAILED. */
MUST_CHECK enum err group_reload(struct group *g, struct kv_txn *t);

void group_push(struct group *g, struct proposal *p);
/* Takes the first waiting one; NULL: none. */
struct proposal *group_pop(struct group *g);
/* Bytes that a proposal adds to the transaction, rows included. */
size_t group_cost(const struct proposal *p);
/* Applies one entry that is in the log, body included. */
MUST_CHECK enum err group_apply(struct group *g, struct kv_txn *t, const struct log_entry *entry,
                                struct group_slot *slot);
/* Appends the rows of one entry to the log, and its body. */
MUST_CHECK enum err group_append(struct group *g, struct kv_txn *t, const struct repl_entry *entry);
/* A proposal as the entry at an index. */
void group_entry_of(struct proposal *p, uint64_t index, uint64_t term, struct repl_entry *out);

/* --- one server (group_write.c): proposals are written and applied in one transaction --- */

/* Takes proposals while they fit; sets g->taken. Returns their bytes. */
size_t group_collect(struct group *g, size_t entries_max, size_t bytes_max);
/* slots: at least g->taken of them. */
MUST_CHECK enum err group_write(struct group *g, struct kv_txn *t, struct group_slot *slots);

/* --- several servers: what waits in memory (group_peers.c) --- */

static inline bool group_is_alone(const struct group *g)
{
    return g->view.alone != 0; /* changed on the volume's thread only */
}
/* Nothing of raft's waits to become durable. */
static inline bool group_is_durable(const struct group *g)
{
    return g->n_pending == 0 && !g->hard_state;
}
/* Up to where entries may be applied once what waits is durable. */
uint64_t group_target(const struct group *g);
/* Has something for a transaction to do. */
bool group_has_work(const struct group *g);
/* Throws away what raft replaced from index `from` on: entries that wait, and rows in the next transaction. */
void group_pending_cut(struct group *g, uint64_t from);
/* All of them: raft starts again from the disk. */
void group_pending_drop(struct group *g);
/* Adds the next entry; takes over one reference of received, and own. ERR_NOMEM: neither was taken. */
MUST_CHECK enum err group_pending_add(struct group *g, const struct group_pending *p);
/* Gives entries that refer to proposals bytes of their own: the proposals are about to be answered. ERR_NOMEM. */
MUST_CHECK enum err group_pending_own(struct group *g);
void group_received_unref(struct repl_received *r);
/* Moves the first n waiting proposals to those that are in raft's log, from index `first` on. */
void group_fly(struct group *g, uint64_t first, size_t n);
struct proposal *group_land(struct group *g);

/* As group_collect; false: it does not fit. Sets g->taken, the answers at most. */
MUST_CHECK bool group_peers_collect(struct group *g, size_t entries_max, size_t bytes_max, size_t *out_bytes);
/* Makes raft's state durable and applies what is committed. spare: for entries that nobody here waits for. */
MUST_CHECK enum err group_peers_write(struct group *g, struct kv_txn *t, struct group_slot *slots,
                                      struct group_slot *spare, struct buf *scratch);
/* That transaction is durable; followed by raft_driver_persisted. */
void group_peers_written(struct group *g);

/* --- both --- */

/* The transaction is durable. The proposals are answered by the volume. */
void group_committed(struct group *g, uint64_t now_ms, uint64_t wall_ms);
void group_aborted(struct group *g);
/* To the state machine: what it applied since the last call is durable. */
void group_tell_committed(struct group *g);
/* Publishes what readers look at (group_view.c). */
void group_publish(struct group *g);
/* It leads no more, whatever raft says. */
void group_publish_stopped(struct group *g);
/* Any thread. All of out is of one moment. False: it does not serve. */
bool group_view_read(struct group *g, struct volume_read *out);

/* Not while a copy is under way, which replaces the log: raft has forgotten it already. */
static inline bool group_may_trim(const struct group *g)
{
    return g->trim_due && g->copy_in == NULL;
}
static inline bool group_wants_upkeep(const struct group *g)
{
    return g->state == GROUP_RUNNING && (group_may_trim(g) || g->purge_due);
}
/* One step of trimming and purging in the transaction, within *rows_left. Followed by group_committed or group_aborted.
 */
MUST_CHECK enum err group_upkeep(struct group *g, struct kv_txn *t, uint64_t now_ms, uint64_t wall_ms,
                                 size_t *rows_left, bool *out_changed);
/* Whether the log's head is to go (group_retain.c), and a step of that; sets g->trim_due. */
void group_check_trim(struct group *g, uint64_t now_ms);
MUST_CHECK enum err group_trim(struct group *g, struct kv_txn *t, uint64_t now_ms, size_t *rows_left,
                               bool *out_changed);
/* Starts a walk over dead bodies whose time has come. */
void group_check_due(struct group *g, uint64_t wall_ms);

#ifdef __cplusplus
}
#endif

#endif /* REPLICATION_GROUP_RUN_H */
