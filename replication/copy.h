/* The state of a replica copied into an empty one, while the source goes on (ARCHITECTURE, section 8, copy-then-patch):
 * catch-up past the log, and backups, which pull by volume_pull instead of messages and are otherwise served alike.
 *
 * The receiver pulls: COPY_PULL says up to which batch it has everything durable, and how many more it takes. The
 * source answers with rows of bodies, pieces and state in key order (short reads between its turns), remembers which
 * keys are written behind its cursor (kv_spy), sends those again, and at last, with nothing under way, the few that
 * remain together with the index at which all of it is the state. What is lost is pulled again; a source that dies, or
 * a record of written keys that grows too long, ends the copy, and raft asks for another.
 *
 * A node sends few copies at a time, a batch of each in turn, and of all together no more than copy_bytes_per_s
 * (copy_rate.h). Who waits for its turn and pulls again gets COPY_ROWS without rows that repeats its sequence.
 *
 * The receiver writes under a new replica number, which is garbage (row 0 'G') until the last batch: the commit that
 * holds it makes it the shard's replica and the old one garbage. raft then starts again from the disk. Garbage is
 * deleted in bounded steps.
 *
 * Rows: key bytes(2) flags(1) value bytes(4) key value, keys without the replica's number; flag 1: the row is gone. */
#ifndef REPLICATION_COPY_H
#define REPLICATION_COPY_H

#include "replication/kv_spy.h"
#include "replication/message.h"
#include "replication/volume.h"

#ifdef __cplusplus
extern "C" {
#endif

struct volume;
struct group;
struct copy_in;
struct copy_out;

/* --- the receiver --- */

/* raft wants a snapshot; from: who offered it. An earlier copy is thrown away. */
void copy_in_begin(struct volume *v, struct group *g, struct node_id from, uint64_t now_ms);
void copy_in_received(struct volume *v, struct group *g, const struct repl_message *m, struct repl_received *received,
                      uint64_t now_ms);
/* Every grid tick: pulls again, gives up. */
void copy_in_tick(struct volume *v, struct group *g, uint64_t now_ms);
/* Has rows for the transaction. */
bool copy_in_waits(const struct group *g);
size_t copy_in_bytes(const struct group *g);
MUST_CHECK enum err copy_in_write(struct volume *v, struct group *g, struct kv_txn *t);
/* The transaction is durable. True: the group has another replica now and must start again. */
bool copy_in_written(struct volume *v, struct group *g, uint64_t now_ms);
void copy_in_aborted(struct group *g);
void copy_in_drop(struct group *g);

/* Carries out rows in the form above. ERR_CORRUPT: they are cut short, or no rows of a copy. *out_n: how
 * many. t NULL: only looks. */
MUST_CHECK enum err copy_rows_write(struct kv_txn *t, uint32_t replica, struct slice rows, uint64_t *out_n);
/* Bodies of entries that the source had in its log but not in its state, which is at `index`. */
MUST_CHECK enum err copy_drop_later_bodies(struct kv_txn *t, uint32_t replica, uint64_t index);

/* --- the source --- */

void copy_out_pulled(struct volume *v, struct group *g, const struct repl_message *m, uint64_t now_ms);
void copy_out_tick(struct group *g, uint64_t now_ms);
/* Sends what receivers have pulled and the rate allows. Reads through volume_reader. */
void copy_out_serve(struct volume *v, uint64_t now_ms);
/* A backup asks (volume_pull), is not heard any more, or has to go. */
void copy_out_asked(struct volume *v, struct group *g, struct volume_pull *p, uint64_t now_ms);
void copy_out_backups_tick(struct volume *v, uint64_t now_ms);
void copy_out_backups_end(struct volume *v);
/* Until it has something to send by itself; UINT64_MAX: not before a receiver pulls. */
uint64_t copy_out_wait_ms(const struct volume *v, uint64_t now_ms);
/* The first entry of the log, not before `first`, that the receiver of a copy will need after it. UINT64_MAX: none. */
uint64_t copy_out_wants(const struct group *g, uint64_t first);
void copy_out_drop(struct group *g);
/* The group's transaction: `inner`, watched when a copy is under way. */
struct kv_txn *copy_out_watch(struct group *g, struct kv_spy *spy, struct kv_txn *inner);

/* --- garbage --- */

MUST_CHECK enum err copy_garbage_put(struct kv_txn *t, uint32_t replica);
/* Deletes up to *rows_left rows of replicas that nobody uses; *out_done: none is left. */
MUST_CHECK enum err copy_garbage_step(const struct volume *v, struct kv_txn *t, size_t *rows_left, bool *out_changed,
                                      bool *out_done);

#ifdef __cplusplus
}
#endif

#endif /* REPLICATION_COPY_H */
