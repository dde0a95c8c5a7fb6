/* The node's parts among themselves. */
#ifndef STORAGE_NODE_NODE_INTERNAL_H
#define STORAGE_NODE_NODE_INTERNAL_H

#include <pthread.h>

#include "proto/base/clock.h"
#include "proto/base/kv.h"
#include "proto/base/list.h"
#include "proto/base/queue.h"
#include "proto/base/rng.h"
#include "proto/rpc/server.h"
#include "proto/schema/op.pb-c.h"
#include "replication/reads.h"
#include "replication/volume.h"
#include "storage/apply/entry.h"
#include "storage/method/method_run.h"
#include "storage/method/node_info.h"
#include "storage/node/node.h"
#include "storage/node/node_dir.h"

#ifdef __cplusplus
extern "C" {
#endif

struct reader_pool;
struct courier;
struct node_table;
struct peers;
struct away;
struct leaders;
struct leftovers;
struct others;
struct placement;
struct moves;

/* A shard's replica on this node. Touched by the volume's thread; readers use the volume's atomics only. */
struct node_shard {
    struct node *node;
    struct shard_id id;
    struct storage_fsm *fsm;
    struct repl_fsm inner; /* the fsm's own callbacks */
    struct list dirty;     /* in node.dirty while events wait to be published */
    uint64_t hint_seq;
    uint64_t hinted_ms; /* when the last hint went out */
    bool led;           /* when hints were last looked at */
};

struct node {
    struct node_identity identity;
    char data_dir[1024];
    uint64_t started_ms;
    uint64_t reserve_bytes;
    uint64_t undelete_retention_ms;
    struct node_info info;
    struct clock *clock;
    struct rng *rng;
    struct kv *kv;
    struct volume *volume;
    struct rpc_server *rpc;
    struct reader_pool *readers;
    struct repl_reads *reads_rounds; /* linear.c */
    uint32_t reads_waiting;          /* there; atomic */
    /* Sends a frame to another node: copied or dropped, never waited for. NULL: there are no others. */
    void (*peer_send)(void *ctx, struct node_id to, struct slice frame);
    void *peer_ctx;
    struct courier *courier;
    struct moves *moves;
    struct read_cache *cache;
    struct pop3_locks *pop3;
    struct node_table *table;
    struct peers *peers; /* NULL: the node is alone */
    struct others *others;
    struct leaders *leaders;
    struct leftovers *leftovers;
    struct away *away;
    char peer_address[256];
    char rpc_address[256];
    char events_address[256];
    uint8_t level_max; /* of the configuration; 0: as the program */
    bool row_refused;  /* the courier's thread */
    bool made;         /* the courier's: node.id says that all replicas were there */

    /* the volume's thread */
    pthread_t writer;
    bool writer_started;
    struct queue inbox;
    struct queue received; /* from peers */
    struct queue pulls;    /* of backups: struct volume_pull */
    bool pulls_ended;      /* atomic: no more are taken */
    uint32_t writes_open;  /* atomic: proposals that are not answered */
    struct placement *placement;
    pthread_mutex_t inbox_lock; /* only for sleeping and waking */
    pthread_cond_t inbox_wake;
    bool inbox_stop;
    struct list dirty;
    bool directory_changed; /* in this turn */
    int64_t led;            /* shards, when hints were last looked at */
    uint64_t hint_epoch;
    uint64_t beat_seq;
    uint64_t beat_ms;
    uint64_t hints_ms; /* the last time that changes were told */

    uint32_t n_shards; /* account shards + the directory */
    struct node_shard *shards;
};

/* --- node_store.c --- */
/* Opens kv and volume. ERR_CORRUPT: the store is another node's. */
MUST_CHECK enum err node_store_open(struct node *n, const struct node_config *cfg, struct buf *why);
/* ERR_CORRUPT: replicas that were there are gone. */
MUST_CHECK enum err node_store_check(const struct node *n, struct buf *why);

/* --- writer.c: the volume's thread --- */
MUST_CHECK enum err writer_start(struct node *n);
void writer_stop(struct node *n);
/* Any thread. */
void writer_submit(struct node *n, struct proposal *p);
/* Something else came for it. Any thread. */
void writer_wake(struct node *n);

/* --- copies.c: backups pull copies of shards from the volume's thread --- */
/* Any thread. Answers by itself what is not well-formed. */
void copies_request(struct node *n, struct rpc_request *r);
/* On the volume's thread: hands what came to the volume. */
void copies_take(struct node *n);
/* The volume's thread ends: everything is answered. */
void copies_end(struct node *n);

/* --- propose.c --- */
/* Turns a write request into a proposal; answers the request by itself when it is refused. Any thread. */
void propose_request(struct node *n, struct rpc_request *r);
/* The same after looking at the state (on a reader thread): requests that fill staged bodies. */
void propose_checked(struct node *n, struct rpc_request *r, struct kv_txn *t);
bool propose_needs_check(const struct rpc_request *r);

/* Where the account of a request refused with ERR_MOVED lives, for the reply's head; 0: not known. */
uint64_t propose_moved_to(struct node *n, const struct rpc_request *r, struct kv_txn *t);

/* A write in the volume's inbox: a request's, or of the node itself (handoffs, housekeeping). done runs on the volume's
 * thread with the op's status and result bytes. */
struct node_write {
    struct proposal p;
    struct node *node;
    struct rpc_request *request; /* NULL for the node's own */
    void (*done)(struct node_write *w, enum err status, struct slice result);
    void *user;
    uint8_t data[]; /* entry header and op */
};
struct proposal_spec {
    struct shard_id shard;
    struct account_id account;
    enum method method;
    const struct u128 *request_id; /* NULL = fresh */
    struct slice op;
    struct slice body;     /* must stay until done */
    uint64_t staged_index; /* != 0: `body` is a chunk of it, and there is no op */
    uint64_t staged_offset;
    bool raises_level;  /* of the cluster: all nodes were asked */
    uint32_t remote_ms; /* how long another node is waited for; 0: 10 s */
    void (*done)(struct node_write *w, enum err status, struct slice result); /* frees w */
    void *user;
};
MUST_CHECK enum err propose_own(struct node *n, const struct proposal_spec *spec);

/* --- readers.c --- */
MUST_CHECK enum err readers_open(struct node *n, uint32_t threads, struct reader_pool **out);
void readers_close(struct reader_pool *p);
/* Any thread. Answers ERR_OVERLOAD when the queue is full. */
void readers_submit(struct reader_pool *p, struct rpc_request *r);

/* --- placement_run.c, on the volume's thread between turns --- */
MUST_CHECK enum err placement_new(struct node *n, struct placement **out);
void placement_free(struct placement *p);
/* Does one step of each group that this node leads, twice a second. Milliseconds until it wants to be called again. */
uint64_t placement_run(struct node *n, uint64_t now_ms);
/* On the way out: others lead at once, and nobody waits for an election. */
void placement_hand_over(struct node *n);
bool placement_handed_over(struct node *n);
/* Any thread: what the last run found of a shard. false: it is not led here. */
bool placement_seen(struct node *n, struct shard_id shard, struct volume_status *out, bool *out_settled);

/* --- upkeep.c --- */
/* The volume's thread runs, the courier not yet, and no peer reaches this node: notes in node.id that the replicas are
 * there before they can vote. Blocks, a few ms as a rule and 2 s at most; the ticks go on trying then. */
void upkeep_first(struct node *n);
/* Once a second, on the courier's thread. */
void upkeep_tick(struct node *n);
/* Changes a row of the node table, and waits for it; never on the volume's thread. */
MUST_CHECK enum err upkeep_node_set(struct node *n, const Pb__OpNodeSet *set);

/* --- keep.c --- */
/* Any thread: does an entry of this method, proposed now, keep what it expunges (entry_head.keep)? */
bool keep_expunged(const struct node *n, unsigned method);
/* Once a second, on the courier's thread: drops what was kept for long enough, or, above the disk watermark, the oldest
 * of what is kept. Ends early when *stop (atomic) is set. */
void keep_tick(struct node *n, const bool *stop);

/* --- away.c, on the courier's thread, once a second --- */
MUST_CHECK enum err away_new(uint64_t replace_after_ms, struct away **out);
void away_tick(struct node *n);

/* --- level.c --- */
/* What this program may be asked to understand. */
uint8_t level_known(const struct node *n);
/* Others' levels are wanted. Any thread. */
bool level_is_due(const struct node *n);
/* On the courier's thread, once a second. */
void level_tick(struct node *n);

/* --- hints.c --- */
/* On the volume's thread, after each turn. */
void hints_publish(struct node *n, uint64_t now_ms);
/* Milliseconds until a heartbeat is due. */
uint64_t hints_wait_ms(const struct node *n, uint64_t now_ms);

#ifdef __cplusplus
}
#endif

#endif /* STORAGE_NODE_NODE_INTERNAL_H */
