/* The only place that knows C raft (0.22, its raft_step() API): one Raft server of one group as a pure state machine.
 * No I/O, no threads, time passed in. What a caller does with it for a sole voter, in this order:
 *
 *   raft_driver_start     once the term (raised by one, without a vote) and the log are durable
 *   raft_driver_append    after its transaction is durable: hands the entries over and reports them persisted
 *   raft_driver_compact   after the transaction that deleted the log's head is durable
 *
 * Memory is the driver's own; everything passed in is lent for the call. Errors: ERR_NOMEM (nothing changed),
 * ERR_CORRUPT (a configuration that does not decode), ERR_NOT_LEADER. */
#ifndef REPLICATION_RAFT_DRIVER_H
#define REPLICATION_RAFT_DRIVER_H

#include "proto/base/buf.h"
#include "proto/base/id.h"

#ifdef __cplusplus
extern "C" {
#endif

struct raft_driver;

/* Types of log entries, as stored. The numbers are the library's and part of the disk format. */
enum repl_entry_type { REPL_ENTRY_COMMAND = 1, REPL_ENTRY_BARRIER = 2, REPL_ENTRY_CHANGE = 3 };

/* A run of entries of one term; it ends where the next one starts. */
struct raft_term_range {
    uint64_t first;
    uint64_t term;
};

/* A configuration entry of the log. */
struct raft_log_change {
    uint64_t index;
    struct slice configuration;
};

/* What is on disk when a server starts. */
struct raft_start {
    uint64_t now_ms;
    uint64_t term;
    uint64_t vote;           /* 0 = none */
    uint64_t snapshot_index; /* 0 = none: the log starts at 1 */
    uint64_t snapshot_term;
    uint64_t configuration_index; /* the one in force at the snapshot; 0 without a snapshot */
    struct slice configuration;
    uint64_t log_first; /* entries [log_first, log_last]; first = last + 1 when the log is empty */
    uint64_t log_last;
    const struct raft_term_range *ranges; /* ascending, covering the log */
    size_t n_ranges;
    const struct raft_log_change *changes; /* ascending */
    size_t n_changes;
};

struct raft_driver_config {
    struct node_id node;
    unsigned seed;
    unsigned election_ms;
    unsigned heartbeat_ms;
};

MUST_CHECK enum err raft_driver_new(const struct raft_driver_config *cfg, struct raft_driver **out);
void raft_driver_free(struct raft_driver *d);
MUST_CHECK enum err raft_driver_start(struct raft_driver *d, const struct raft_start *start);

/* n entries of the current term at log_last + 1, already durable here. Only a sole voter may: what it stored is
 * committed, which is asserted. ERR_NOT_LEADER. */
MUST_CHECK enum err raft_driver_append(struct raft_driver *d, uint64_t now_ms, uint64_t first, size_t n);
/* Entries up to snapshot_index are gone from the disk; snapshot_index is below the last entry and above earlier calls'.
 */
MUST_CHECK enum err raft_driver_compact(struct raft_driver *d, uint64_t now_ms, uint64_t snapshot_index,
                                        uint64_t snapshot_term, uint64_t configuration_index);

bool raft_driver_leads(struct raft_driver *d);
uint64_t raft_driver_term(const struct raft_driver *d);
uint64_t raft_driver_last_index(struct raft_driver *d);
uint64_t raft_driver_commit_index(const struct raft_driver *d);
/* Leader, the only voter, and no configuration change under way: append and apply may share a transaction
 * (ARCHITECTURE, 6.3). */
bool raft_driver_is_sole(struct raft_driver *d);

/* The configuration entry of a new group: `node` as its only voter. */
MUST_CHECK enum err raft_configuration_sole(struct node_id node, struct buf *out);
/* Bounds-checked: whether the bytes are a configuration that the library decodes without reading past them, and whether
 * `node` is its only voter. ERR_CORRUPT. */
MUST_CHECK enum err raft_configuration_check(struct slice configuration, struct node_id node, bool *out_sole);

#ifdef __cplusplus
}
#endif

#endif /* REPLICATION_RAFT_DRIVER_H */
