/* Makes the replicas of saved groups in a store that nobody serves from: rows of a copy (copy.h) up to the index that
 * its last batch named, then saved entries (saved.h) one after the other through the state machine's apply, the same as
 * the first time. Each becomes a group with this node as its sole voter.
 *
 * A group that was restored has forgotten what came after its last entry, and others may remember: other shards have
 * records of its handoffs, clients of its answers. So it goes on from an index that the saved group never reached
 * (restore_end), with an empty log. Changes of the saved group's servers are applied as nothing.
 *
 * One thread; blocks; commits every few MiB. After an error the store is good for nothing. Errors: ERR_CORRUPT (rows or
 * entries that cannot be; a gap), ERR_FULL, ERR_NOMEM, the store's own. */
#ifndef REPLICATION_RESTORE_H
#define REPLICATION_RESTORE_H

#include "proto/base/kv.h"
#include "replication/saved.h"

#ifdef __cplusplus
extern "C" {
#endif

struct restore;

struct restore_config {
    struct kv *kv; /* the caller's, outlives it */
    struct shard_id shard;
    struct node_id node; /* whose replica it will be */
};

/* Begins the replica of a shard that the store does not have. fsm is copied; its prefix is restore_prefix's from now
 * on. ERR_EXISTS. */
MUST_CHECK enum err restore_begin(const struct restore_config *cfg, const struct repl_fsm *fsm, struct restore **out);
void restore_prefix(const struct restore *r, uint8_t out[5]);
/* Rows of the copy, in the order in which they were sent; *out_n: how many. */
MUST_CHECK enum err restore_rows(struct restore *r, struct slice rows, uint64_t *out_n);
/* Whether they are rows of a copy at all: ERR_CORRUPT. *out_n: how many. */
MUST_CHECK enum err restore_rows_check(struct slice rows, uint64_t *out_n);
/* They are complete: the state is at this entry. */
MUST_CHECK enum err restore_base(struct restore *r, uint64_t index, uint64_t term);
/* The entry after that, and so on. */
MUST_CHECK enum err restore_entry(struct restore *r, const struct repl_entry *entry);
/* Where it stands. */
uint64_t restore_index(const struct restore *r);
/* The transaction that is open, for changes of the state that no entry makes; begun if there is none. */
MUST_CHECK enum err restore_txn(struct restore *r, struct kv_txn **out);
/* Ends that transaction, so that another group of the same store may be restored before this one ends. */
MUST_CHECK enum err restore_commit(struct restore *r);
/* Term of the last entry. */
uint64_t restore_term(const struct restore *r);
/* The group goes on above `index` (at least restore_index), durable. */
MUST_CHECK enum err restore_end(struct restore *r, uint64_t index);
void restore_free(struct restore *r);

#ifdef __cplusplus
}
#endif

#endif /* REPLICATION_RESTORE_H */
