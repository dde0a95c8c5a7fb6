/* Inside a volume (internal to replication/): its state, shared by volume.c (open, replicas, readers),
 * volume_turn.c (what arrives, timers), volume_commit.c (the transaction) and volume_start.c. */
#ifndef REPLICATION_VOLUME_RUN_H
#define REPLICATION_VOLUME_RUN_H

#include "replication/copy_rate.h"
#include "replication/group_run.h"

#define VOLUME_TURN_BYTES_MAX ((size_t)8 << 20) /* larger dirty lists spill in LMDB */
#define VOLUME_TURN_ENTRIES_MAX 4096
#define VOLUME_GRID_MS 100   /* timers of all groups fire together, so that their messages travel together */
#define VOLUME_RETRY_MS 1000 /* after ERR_FULL or ERR_NOMEM in what nobody waits for */
#define VOLUME_TABLE_PAGES 1024
#define VOLUME_TABLE_PAGE_GROUPS 256

/* The copies that this node is the source of, of all groups (copy_out.c). */
struct copy_turns {
    struct copy_rate rate;
    struct list ready;   /* begun, and the receiver has pulled, next to be served first */
    struct list waiting; /* not begun: enough others are sending */
    struct list backups; /* those that are no server's, whatever they do */
    unsigned sending;
};
void copy_turns_init(struct copy_turns *t, uint64_t bytes_per_s);

struct volume {
    struct volume_config cfg;
    struct group_limits limits;
    uint32_t next_replica;
    bool garbage;   /* there may be replicas to delete */
    bool row_dirty; /* next_replica is not on disk yet */
    struct copy_turns copies;
    bool dead; /* the store is gone (a simulated crash): nothing is answered any more */

    struct group **groups; /* all, owned */
    size_t n_groups;
    size_t groups_capacity;
    struct group **table[VOLUME_TABLE_PAGES]; /* by shard; pages and slots are atomic */
    struct volume_found *found;
    size_t n_found;
    size_t found_capacity;

    struct list submit;   /* groups of several servers that got proposals */
    struct list active;   /* groups with proposals, next to be served first */
    struct list batch;    /* groups of the open transaction */
    struct list upkeep;   /* groups with rows to trim or purge */
    struct list starting; /* groups that do not run yet */

    size_t entries_max; /* of the next transaction: halved by ERR_FULL until the one that does not fit stands alone */
    struct group_slot *slots;
    size_t n_slots;
    struct group_slot spare; /* of entries that nobody here waits for */
    struct buf scratch;
    struct buf message;       /* being built */
    uint64_t message_term;    /* of its last entry */
    struct buf body;          /* of the entry that goes into it */
    struct kv_txn *reader;    /* open while groups are stepped before the transaction; NULL = none was needed */
    uint64_t grid_ms;         /* monotonic: when timers are looked at next */
    uint64_t impostor_log_ms; /* monotonic: no log line about messages in another's name before */
    uint64_t pause_until_ms;  /* monotonic: no upkeep and no start before */
    uint64_t purge_at_ms;     /* wall clock: earliest walk over dead bodies of any group, UINT64_MAX = none */
    bool above_watermark;     /* written by the turn, read by volume_stats */
    uint64_t watermark_at_ms; /* monotonic: next look */
    uint64_t bytes_since_look;
    struct volume_stats stats; /* written with relaxed atomics */
};

struct group *volume_group(struct volume *v, struct shard_id shard);
MUST_CHECK enum err volume_row_put(struct volume *v, struct kv_txn *t);
/* ERR_CORRUPT, ERR_UNSUPPORTED: of another version. */
MUST_CHECK enum err volume_row_get(struct slice row, uint32_t *out_next);
/* Puts a running group with something for a transaction among those that a turn serves. */
void volume_activate(struct volume *v, struct group *g);
/* Puts it among those whose log or dead bodies are to be cut, if they are. */
void volume_upkeep(struct volume *v, struct group *g);
void volume_answer(struct proposal *p, enum err status);
/* The group falls back to what is on the disk, and starts from there in the next turn. */
void volume_reload(struct volume *v, struct group *g);
/* Answers everything that waits for the group: what raft has not seen with `status`, the rest with ERR_UNAVAILABLE. */
void volume_fail_waiting(struct group *g, enum err status);
/* A corrupt row stops its shard, not its neighbours. */
void volume_quarantine(struct group *g);
/* The transaction is thrown away: every group of the batch is as before. */
void volume_abort_batch(struct volume *v);

/* One turn on its way. */
struct turn {
    uint64_t now_ms;
    uint64_t wall_ms;
    size_t entries; /* proposals in the transaction */
    size_t bytes;
    bool upkeep;       /* wanted */
    bool changed;      /* there is something to commit */
    bool cleaned;      /* no replica to delete is left */
    struct group *bad; /* the group whose rows failed */
};
/* The turn's transaction, if there is something for one, and what follows. */
void volume_turn_commit(struct volume *v, struct turn *turn);

/* --- group_step.c: raft goes on, for groups of several servers --- */

void group_step_started(struct volume *v, struct group *g, const struct raft_driver_update *u, uint64_t now_ms);
void group_step_received(struct volume *v, struct group *g, const struct repl_message *message,
                         struct repl_received *received, uint64_t now_ms);
/* Does nothing before raft's deadline. */
void group_step_timeout(struct volume *v, struct group *g, uint64_t now_ms);
/* Hands waiting proposals to raft, or answers them. */
void group_step_submit(struct volume *v, struct group *g, uint64_t now_ms);
MUST_CHECK enum err group_step_change(struct volume *v, struct group *g, struct slice configuration, uint64_t now_ms);
MUST_CHECK enum err group_step_transfer(struct volume *v, struct group *g, struct node_id to, uint64_t now_ms);
/* A read transaction of this turn. */
MUST_CHECK enum err volume_reader(struct volume *v, struct kv_txn **out);
void volume_end_reader(struct volume *v);
void volume_send(struct volume *v, struct node_id to, bool bulk, struct slice message);
/* The group has another replica on disk. */
void volume_switched(struct volume *v, struct group *g);
/* After group_committed. */
void group_step_committed(struct volume *v, struct group *g, uint64_t now_ms);
void group_send_late(struct volume *v, struct group *g);

/* Sets v->dead when the store is. */
void volume_start_groups(struct volume *v, uint64_t now_ms);

static inline void volume_count(uint64_t *counter, uint64_t n)
{
    __atomic_store_n(counter, *counter + n, __ATOMIC_RELAXED);
}

#endif /* REPLICATION_VOLUME_RUN_H */
