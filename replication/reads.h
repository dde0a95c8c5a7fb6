/* Linearizable reads (ARCHITECTURE, section 7): a leader fixes the index, asks a majority whether it still leads, waits
 * until the index is applied. Reads that wait are asked for together, all shards in one frame a node: a round. A read
 * goes into the next round; that starts when the one before has all its answers, or after 20 ms.
 *
 * Why it is enough that a majority of the voters of the leader's configuration answers, to a ping sent after the read
 * began, with a published term that is not above the leader's:
 *
 *  - Were there a write that the read must see and this leader has not committed, a leader of a higher term had it
 *    acknowledged before the read began. Take the first such leader: it was elected by a majority, and each of that
 *    majority published the term as soon as it took it: before term and vote were durable, so before the vote left
 *    (group_publish comes before what raft wants sent; votes wait for the commit). After a crash nothing is published
 *    until what is durable is, and a term of 0 is no answer.
 *  - The two majorities share a node: both configurations are in force next to each other, since a leader begins a
 *    change only when the one before is committed, and publishes a new one before it sends it. That node would have
 *    answered with the higher term. The leader is an answer too, if it is a voter: that it still leads in the same
 *    term is looked at after the read began.
 *  - Answers count for the round that they name only, and rounds have numbers in the asker's life: late, repeated or
 *    reordered frames, also of an earlier life, say nothing about another round.
 *
 * When the majority is there, term and configuration are looked at once more; if another one is in force by now the
 * read starts over. A leader with a lease (lease.h) is sure without asking.
 *
 * Threads: any; one mutex, never held during callbacks. send, and done, which may call repl_reads_begin, come from
 * within any call here. Nothing blocks. Memory: a round's, bounded by its 4,096 (shard, term); reads are the caller's,
 * who bounds their number. */
#ifndef REPLICATION_READS_H
#define REPLICATION_READS_H

#include "proto/base/list.h"
#include "replication/volume.h"

#ifdef __cplusplus
extern "C" {
#endif

struct repl_reads;

/* Owned by the caller until done is called, once. */
struct repl_read {
    struct list node; /* the module's */
    struct shard_id shard;
    uint64_t deadline_ms;  /* on the clock of now_ms */
    struct volume_read at; /* the module's: what was fixed */
    enum err status;       /* the module's */
    /* OK: this node led the shard after the read began, and at.index is applied: a snapshot opened from now on has all
     * that was acknowledged before. ERR_NOT_LEADER. ERR_UNAVAILABLE: the deadline has passed, or the node stops. */
    void (*done)(struct repl_read *r, enum err status);
    void *user;
};

struct repl_reads_config {
    struct volume *volume; /* outlives it */
    struct node_id self;
    uint64_t life; /* random: answers to an earlier life of this node are none to this one */
    void *ctx;
    void (*send)(void *ctx, struct node_id to, struct slice frame); /* copied or dropped, never waited for */
};

/* ERR_NOMEM. */
MUST_CHECK enum err repl_reads_new(const struct repl_reads_config *cfg, struct repl_reads **out);
/* Answers what waits, and what begins from now on, ERR_UNAVAILABLE; returns when no done or send of another thread is
 * under way any more. Not from within done. */
void repl_reads_stop(struct repl_reads *reads);
/* Stops it. No call is under way, none comes. NULL is fine. */
void repl_reads_free(struct repl_reads *reads);

/* now_ms: read after the read came. done may be called before it returns; at once for a group of one server, which has
 * nobody to ask, and under a lease. */
void repl_reads_begin(struct repl_reads *reads, struct repl_read *r, uint64_t now_ms);
/* A ping came: it is answered from the published terms, however busy the volume is. */
void repl_reads_ping(struct repl_reads *reads, struct node_id from, struct slice frame);
/* An answer came. What does not decode, or is not expected, is dropped. */
void repl_reads_pong(struct repl_reads *reads, struct node_id from, struct slice frame, uint64_t now_ms);
/* Deadlines, rounds to repeat (after 100 ms) or to start, reads that wait for applied: to be called after each turn of
 * the volume too. Returns ms until it wants to be called again, UINT64_MAX when nothing waits. */
uint64_t repl_reads_tick(struct repl_reads *reads, uint64_t now_ms);

#ifdef __cplusplus
}
#endif

#endif /* REPLICATION_READS_H */
