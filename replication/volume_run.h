/* Inside a volume (internal to replication/): its state, shared by volume.c (open, replicas, readers) and
 * volume_turn.c. */
#ifndef REPLICATION_VOLUME_RUN_H
#define REPLICATION_VOLUME_RUN_H

#include "replication/group_run.h"

#define VOLUME_TURN_BYTES_MAX ((size_t)8 << 20) /* larger dirty lists spill in LMDB */
#define VOLUME_TURN_ENTRIES_MAX 4096
#define VOLUME_RETRY_MS 1000 /* after ERR_FULL or ERR_NOMEM in what nobody waits for */
#define VOLUME_TABLE_PAGES 1024
#define VOLUME_TABLE_PAGE_GROUPS 256

struct volume {
    struct volume_config cfg;
    struct group_limits limits;
    uint32_t next_replica;
    bool row_dirty; /* next_replica is not on disk yet */
    bool dead;      /* the store is gone (a simulated crash): nothing is answered any more */

    struct group **groups; /* all, owned */
    size_t n_groups;
    size_t groups_capacity;
    struct group **table[VOLUME_TABLE_PAGES]; /* by shard; pages and slots are atomic */
    struct volume_found *found;
    size_t n_found;
    size_t found_capacity;

    struct list active;   /* groups with proposals, next to be served first */
    struct list batch;    /* groups of the open transaction */
    struct list upkeep;   /* groups with rows to trim or purge */
    struct list starting; /* groups that do not run yet */

    size_t entries_max; /* of the next transaction: halved by ERR_FULL until the one that does not fit stands alone */
    struct group_slot *slots;
    size_t n_slots;
    struct buf scratch;
    uint64_t pause_until_ms;  /* monotonic: no upkeep and no start before */
    uint64_t purge_at_ms;     /* wall clock: earliest walk over dead bodies of any group, UINT64_MAX = none */
    bool above_watermark;     /* written by the turn, read by volume_stats */
    uint64_t watermark_at_ms; /* monotonic: next look */
    uint64_t bytes_since_look;
    struct volume_stats stats; /* written with relaxed atomics */
};

struct group *volume_group(struct volume *v, struct shard_id shard);
MUST_CHECK enum err volume_row_put(struct volume *v, struct kv_txn *t);
/* Puts a running group with proposals among those that a turn serves. */
void volume_activate(struct volume *v, struct group *g);
/* Answers everything that waits for the group. */
void volume_fail_waiting(struct group *g, enum err status);
/* A corrupt row stops its shard, not its neighbours. */
void volume_quarantine(struct group *g);
/* The transaction is thrown away: every group of the batch is as before. */
void volume_abort_batch(struct volume *v);
/* Sets v->dead when the store is. */
void volume_start_groups(struct volume *v, uint64_t now_ms);

static inline void volume_count(uint64_t *counter, uint64_t n)
{
    __atomic_store_n(counter, *counter + n, __ATOMIC_RELAXED);
}

#endif /* REPLICATION_VOLUME_RUN_H */
