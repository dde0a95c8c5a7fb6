/* Inside repl_reads (internal to replication/): its state, shared by reads.c (the calls, what became of a read) and
 * reads_round.c (asking). Everything here runs under the lock. */
#ifndef REPLICATION_READS_RUN_H
#define REPLICATION_READS_RUN_H

#include <pthread.h>

#include "replication/reads.h"
#include "replication/reads_frame.h"

#define ROUNDS_MAX 8
#define ROUND_PEERS_MAX 64 /* nodes that one round asks */
#define ROUND_NEXT_MS 20   /* the next one does not wait longer for the last one's answers */
#define ROUND_AGAIN_MS 100
#define ROUND_FOLD_MS 250 /* when all are open, one of this age is given up: its reads go into another */

/* What the reads of a round that have shard, term and configuration in common ask. */
struct reads_vote {
    struct shard_id shard;
    bool open;             /* the majority is not there yet */
    uint16_t answered;     /* bit i: at.voters[i] */
    struct volume_read at; /* of its first read: term, configuration and voters are those of all */
    struct list reads;
};

struct reads_round {
    uint64_t number; /* 0 = free */
    uint64_t sent_ms;
    uint64_t again_ms;
    struct reads_vote *votes; /* as they were sent, until the round ends */
    size_t n_votes;
    size_t n_open;
    struct node_id peers[ROUND_PEERS_MAX];
    size_t n_peers;
};

/* A frame to be sent once the lock is free. */
struct reads_letter {
    struct list node;
    struct node_id to;
    size_t n;
    uint8_t bytes[];
};

/* What is to be called once the lock is free. */
struct reads_out {
    struct list done;
    struct list letters;
};

struct repl_reads {
    struct repl_reads_config cfg;
    pthread_mutex_t lock;
    pthread_cond_t quiet; /* nobody flushes */
    size_t n_flushing;
    bool stopped;
    struct list waiting; /* for the next round */
    size_t n_waiting;
    struct list applying; /* confirmed; the index is not applied yet */
    size_t n_reads;       /* in all */
    uint64_t deadline_ms; /* none is earlier */
    uint64_t last_number;
    struct reads_round *last; /* the latest round, while it is open */
    struct reads_round rounds[ROUNDS_MAX];
};

/* --- reads.c --- */
void reads_wait(struct repl_reads *r, struct repl_read *read);
void reads_finish(struct repl_reads *r, struct repl_read *read, enum err status, struct reads_out *out);
/* A majority has answered. */
void reads_confirmed(struct repl_reads *r, struct repl_read *read, struct reads_out *out);

/* --- reads_round.c --- */
/* Starts a round with what waits, if it is time for one. */
void reads_round_start(struct repl_reads *r, uint64_t now_ms, struct reads_out *out);
void reads_round_pong(struct repl_reads *r, struct node_id from, const struct reads_frame *f, struct reads_out *out);
/* Asks again who has not answered. */
void reads_round_again(struct repl_reads *r, uint64_t now_ms, struct reads_out *out);
/* Votes that nobody waits for any more, and rounds without open votes, end. */
void reads_round_sweep(struct repl_reads *r);
void reads_round_free(struct repl_reads *r, struct reads_round *round);

#endif /* REPLICATION_READS_RUN_H */
