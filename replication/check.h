/* Offline verification of replication's rows (`ctl check`): checksums, contiguity, agreement of log, term ranges,
 * configurations, meta row and bodies. What state rows say is the state machine's to verify: it gets every body from
 * here. Reads only; one long read transaction, so not for a running node. */
#ifndef REPLICATION_CHECK_H
#define REPLICATION_CHECK_H

#include "replication/group.h"

#ifdef __cplusplus
extern "C" {
#endif

struct repl_check {
    void *ctx;
    /* What is wrong, where (a key of the store). */
    void (*problem)(void *ctx, const char *what, struct slice key);
    /* Every shard's replica. prefix as from volume_state_prefix. */
    void (*replica)(void *ctx, struct shard_id shard, const uint8_t prefix[5]);
    /* Every body whose chunks are whole, in (prefix, index, ordinal) order; dead: waiting for the purge. */
    void (*body)(void *ctx, const uint8_t prefix[5], uint64_t index, uint16_t ordinal, uint64_t bytes, bool dead);
};

struct repl_check_totals {
    uint64_t replicas;
    uint64_t entries;
    uint64_t bodies;
    uint64_t body_bytes;
    uint64_t dead_bodies;
    uint64_t problems;
};

/* Walks the whole store. OK also when problems were found (they are counted); an error means that it could not be read.
 */
MUST_CHECK enum err repl_check_run(struct kv_txn *t, const struct repl_check *c, struct repl_check_totals *out);

#ifdef __cplusplus
}
#endif

#endif /* REPLICATION_CHECK_H */
