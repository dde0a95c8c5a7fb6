/* One replica of one group, inside its volume (internal to replication/). The volume drives it through a turn:
 *
 *   group_collect   choose proposals for this transaction
 *   group_write     append and apply them in the transaction
 *   group_committed / group_aborted
 *
 * and through its start: group_load (rows to memory), group_start_write (recovery, term + 1, a barrier of the new
 * term), group_start_raft. Between turns group_upkeep trims the log and deletes dead bodies in bounded steps.
 *
 * Everything runs on the volume's thread but group_leads_term. */
#ifndef REPLICATION_GROUP_RUN_H
#define REPLICATION_GROUP_RUN_H

#include "proto/base/list.h"
#include "replication/body.h"
#include "replication/log.h"
#include "replication/volume.h"

#ifdef __cplusplus
extern "C" {
#endif

#define GROUP_TURN_ENTRIES_MAX 1000 /* uncommitted entries of a group (ARCHITECTURE, section 8) */

enum group_state {
    GROUP_LOADED,  /* rows are in memory; its term is not raised yet */
    GROUP_DURABLE, /* the start's transaction is committed, raft is to be started */
    GROUP_RUNNING,
    GROUP_FAILED, /* a row is corrupt: answers ERR_UNAVAILABLE until the node is repaired */
};

/* What became of a proposal of the open transaction. */
struct group_slot {
    enum err status;
    struct buf result;
};

struct group_limits {
    uint64_t log_entries_max;
    uint64_t log_bytes_max;
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
    struct raft_driver *raft;
    struct repl_meta meta; /* as committed */
    struct repl_meta next; /* as the open transaction leaves it */

    struct proposal *head; /* waiting, oldest first */
    struct proposal *tail;
    size_t taken;    /* the first ones, in the open transaction */
    size_t appended; /* entries among them */
    size_t slot;     /* first slot in the volume's array */
    bool applied_any;
    bool kills; /* an apply of the open transaction killed a body */

    bool trim_due;
    bool purge_due;
    struct body_purge purge;
    bool purge_done;      /* the open transaction finished the walk */
    uint64_t purge_at_ms; /* wall clock: when the next walk pays; UINT64_MAX = not known to */
    uint64_t leads_term;  /* atomic; 0 = does not lead */

    struct list active; /* in volume.active: has proposals */
    struct list batch;  /* in the turn's batch */
    struct list upkeep; /* in volume.upkeep: trim or purge is due */
    struct list start;  /* in volume.starting */
};

struct group_config {
    uint32_t replica;
    struct shard_id shard;
    struct node_id node;
    struct group_limits limits;
    struct repl_fsm fsm;
    unsigned seed;
};

/* fresh: makes a new replica in memory (sole voter); else loads and checks its rows. ERR_CORRUPT, ERR_INVAL (the rows
 * belong to another node), ERR_UNSUPPORTED (several voters), ERR_NOMEM: `why` says what and where. */
MUST_CHECK enum err group_load(const struct group_config *cfg, struct kv_txn *t, bool fresh, struct group **out,
                               struct buf *why);
void group_free(struct group *g);
static inline uint64_t group_leads_term(struct group *g)
{
    return __atomic_load_n(&g->leads_term, __ATOMIC_ACQUIRE);
}

/* Applies what recovery left to apply, at most `entries_max` entries and about `bytes_max`; when nothing is left,
 * raises the term and appends the barrier and *out_complete is true. */
MUST_CHECK enum err group_start_write(struct group *g, struct kv_txn *t, size_t entries_max, size_t bytes_max,
                                      struct buf *scratch, bool *out_complete);
void group_start_committed(struct group *g, bool complete);
/* ERR_NOMEM: call again later. */
MUST_CHECK enum err group_start_raft(struct group *g, struct kv_txn *t, uint64_t now_ms, unsigned seed);

void group_push(struct group *g, struct proposal *p);
/* Bytes that a proposal adds to the transaction, rows included. */
size_t group_cost(const struct proposal *p);
/* Takes proposals while they fit; sets g->taken. Returns their bytes. */
size_t group_collect(struct group *g, size_t entries_max, size_t bytes_max);
/* slots: at least g->taken of them. */
MUST_CHECK enum err group_write(struct group *g, struct kv_txn *t, struct group_slot *slots);
/* The transaction is durable: tells raft. The proposals are answered by the volume (group_pop). */
void group_committed(struct group *g, uint64_t now_ms, uint64_t wall_ms);
void group_aborted(struct group *g);
/* To the state machine: what it applied since the last call is durable. */
void group_tell_committed(struct group *g);
struct proposal *group_pop(struct group *g);

static inline bool group_wants_upkeep(const struct group *g)
{
    return g->state == GROUP_RUNNING && (g->trim_due || g->purge_due);
}
/* One step of trimming and purging in the transaction, within *rows_left. Followed by group_committed or group_aborted.
 */
MUST_CHECK enum err group_upkeep(struct group *g, struct kv_txn *t, uint64_t wall_ms, size_t *rows_left,
                                 bool *out_changed);
/* Starts a walk over dead bodies whose time has come. */
void group_check_due(struct group *g, uint64_t wall_ms);

#ifdef __cplusplus
}
#endif

#endif /* REPLICATION_GROUP_RUN_H */
