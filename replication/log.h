/* The rows of one replica's log: entries, term ranges, configurations and the meta row. Pure functions of a
 * transaction; every row carries a crc32c of its content and place (without the replica number: a replica may be
 * shipped under another one). Errors besides the store's own: ERR_CORRUPT (checksum, length, version or place is
 * wrong), ERR_NOTFOUND. */
#ifndef REPLICATION_LOG_H
#define REPLICATION_LOG_H

#include "proto/base/buf.h"
#include "proto/base/kv.h"
#include "replication/raft_driver.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What a replica knows of itself; written in every transaction that changes its log. */
struct repl_meta {
    uint64_t node; /* Raft server id: the node that this replica belongs to */
    uint64_t term;
    uint64_t vote; /* 0 = none */
    uint64_t applied;
    uint64_t log_first; /* log_last + 1 when empty: a replica that has just joined or got a snapshot */
    uint64_t log_last;
    uint64_t last_term; /* of log_last */
    uint64_t snapshot_index;
    uint64_t snapshot_term;
    uint64_t snapshot_configuration; /* index of the configuration in force at the snapshot */
    uint64_t log_bytes;              /* entries and bodies of [log_first, log_last] */
    /* Where a log ended that was thrown away (volume_replica_empty): votes are given as if it were still there. 0: no
     * such log. */
    uint64_t floor_index;
    uint64_t floor_term;
};

MUST_CHECK enum err log_meta_put(struct kv_txn *t, uint32_t replica, const struct repl_meta *m);
MUST_CHECK enum err log_meta_get(struct kv_txn *t, uint32_t replica, struct repl_meta *out);

struct log_entry {
    uint64_t index;
    uint64_t term;
    enum repl_entry_type type;
    uint32_t body_bytes;
    struct slice data;
};

/* Writes the rows of an entry. The term range and the configuration row are the caller's. */
MUST_CHECK enum err log_entry_put(struct kv_txn *t, uint32_t replica, const struct log_entry *e);
/* data's memory is `scratch` (reset first), valid until its next use. */
MUST_CHECK enum err log_entry_get(struct kv_txn *t, uint32_t replica, uint64_t index, struct log_entry *out,
                                  struct buf *scratch);

MUST_CHECK enum err log_range_put(struct kv_txn *t, uint32_t replica, struct raft_term_range range);
MUST_CHECK enum err log_configuration_put(struct kv_txn *t, uint32_t replica, uint64_t index, struct slice conf);

/* Rows under their keys; ERR_CORRUPT. */
MUST_CHECK enum err log_range_decode(struct slice key, struct slice row, struct raft_term_range *out);
MUST_CHECK enum err log_configuration_decode(struct slice key, struct slice row, struct raft_log_change *out);

/* Everything that a start needs of the log but its payloads. */
struct log_index {
    struct raft_term_range *ranges;
    size_t n_ranges;
    struct raft_log_change *changes; /* of [log_first, log_last] */
    size_t n_changes;
    struct slice snapshot_configuration; /* empty without a snapshot */
    struct buf bytes;                    /* of the configurations */
};
/* Loads and checks; free with log_index_fini also after an error. */
MUST_CHECK enum err log_index_load(struct kv_txn *t, uint32_t replica, const struct repl_meta *m,
                                   struct log_index *out);
void log_index_fini(struct log_index *x);

/* Term of an entry of the log, or of the snapshot's. ERR_NOTFOUND. */
MUST_CHECK enum err log_term_of(struct kv_txn *t, uint32_t replica, const struct repl_meta *m, uint64_t index,
                                uint64_t *out_term);

/* Cuts entries from index `from` (> applied) on off the log's end, with their bodies, term ranges and configurations;
 * updates log_last, last_term and log_bytes of *m (the caller writes the meta row). */
MUST_CHECK enum err log_truncate(struct kv_txn *t, uint32_t replica, struct repl_meta *m, uint64_t from);

/* Deletes entries from the head of the log up to last_index, at most rows_max rows, in one walk; updates log_first,
 * log_bytes and the snapshot fields of *m (the caller writes the meta row). Term ranges and configurations that nobody
 * needs any more go along. Returns the rows used in *out_rows; stopped early when m->log_first <= last_index. */
MUST_CHECK enum err log_trim(struct kv_txn *t, uint32_t replica, struct repl_meta *m, uint64_t last_index,
                             size_t rows_max, size_t *out_rows);

#ifdef __cplusplus
}
#endif

#endif /* REPLICATION_LOG_H */
