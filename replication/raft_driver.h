/* The only place that knows C raft (0.22, its raft_step() API): one Raft server of one group as a pure state machine.
 * No I/O, no threads, time passed in.
 *
 * A group of one server needs, in this order (its log is the only one there is):
 *
 *   raft_driver_start     once the term (raised by one, without a vote) and the log are durable
 *   raft_driver_append    after its transaction is durable: hands the entries over and reports them persisted
 *   raft_driver_compact   after the transaction that deleted the log's head is durable
 *
 * A group of several is stepped by receive, timeout and submit; each fills a struct raft_driver_update: what must
 * become durable, and the messages to send (ARCHITECTURE, section 6.3, says which of them may leave before that).
 * Afterwards raft_driver_persisted reports it.
 *
 * Memory is the driver's own; everything passed in is lent for the call. Errors: ERR_NOMEM, ERR_CORRUPT (a
 * configuration that does not decode; a peer whose log contradicts what is committed here), ERR_NOT_LEADER (of submit,
 * change and transfer, which change nothing then). After ERR_NOMEM or ERR_CORRUPT of a step the server is in no defined
 * state: free it and start another from the disk. */
#ifndef REPLICATION_RAFT_DRIVER_H
#define REPLICATION_RAFT_DRIVER_H

#include "proto/base/buf.h"
#include "proto/base/id.h"

#ifdef __cplusplus
extern "C" {
#endif

struct raft_driver;
struct repl_message;

/* Types of log entries, as stored. The first three numbers are the library's; all are part of the disk format. CHUNK is
 * a command to the library: a piece of a staged body (replication/body.h). */
enum repl_entry_type { REPL_ENTRY_COMMAND = 1, REPL_ENTRY_BARRIER = 2, REPL_ENTRY_CHANGE = 3, REPL_ENTRY_CHUNK = 4 };
#define REPL_ENTRY_TYPE_MAX REPL_ENTRY_CHUNK

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
    uint64_t applied;
    uint64_t floor_index; /* of a log that was thrown away (struct repl_meta); 0 = none */
    uint64_t floor_term;
};

struct raft_driver_config {
    struct node_id node;
    unsigned seed;
    unsigned election_ms;
    unsigned heartbeat_ms;
    unsigned lease_drift_percent; /* 0: no leases (replication/lease.h) */
};

MUST_CHECK enum err raft_driver_new(const struct raft_driver_config *cfg, struct raft_driver **out);
void raft_driver_free(struct raft_driver *d);

/* What a step asks for. */
struct raft_driver_update {
    bool hard_state;       /* term or vote changed: raft_driver_term, raft_driver_vote */
    uint64_t append_first; /* != 0: entries from here on are new and replace whatever the log had from here on */
    size_t append_n;
    bool barrier;  /* the new entry is a barrier */
    bool snapshot; /* the received SNAPSHOT is wanted */
    /* Valid until the next call. shard and from are the caller's to fill; an APPEND names its entries by index + 1 and
     * n_entries, their bytes are the caller's to find. */
    const struct repl_message *messages;
    size_t n_messages;
};

/* A sole voter leads at once; with other servers there are messages to send (heartbeats). The configuration is taken as
 * committed when it is at or below `applied`. */
MUST_CHECK enum err raft_driver_start(struct raft_driver *d, const struct raft_start *start,
                                      struct raft_driver_update *out);

/* --- a group of several servers --- */

/* entries: of an APPEND, m->n_entries of them. */
struct repl_entry;
MUST_CHECK enum err raft_driver_receive(struct raft_driver *d, uint64_t now_ms, const struct repl_message *m,
                                        const struct repl_entry *entries, struct raft_driver_update *out);
/* When raft_driver_timeout wants to be called, on the clock of now_ms. */
uint64_t raft_driver_deadline_ms(const struct raft_driver *d);
MUST_CHECK enum err raft_driver_timeout(struct raft_driver *d, uint64_t now_ms, struct raft_driver_update *out);
/* n entries of the current term (commands and chunks) at last + 1. ERR_NOT_LEADER, also while leadership is being
 * transferred. */
MUST_CHECK enum err raft_driver_submit(struct raft_driver *d, uint64_t now_ms, size_t n,
                                       struct raft_driver_update *out);
/* One barrier. ERR_NOT_LEADER as above. */
MUST_CHECK enum err raft_driver_barrier(struct raft_driver *d, uint64_t now_ms, struct raft_driver_update *out);
/* Leads with no entry of its own term, which a change waits for. */
bool raft_driver_wants_barrier(struct raft_driver *d);
/* One configuration entry. ERR_LOCKED: another change is under way, or no entry of this leader's term is committed: an
 * earlier leader's change may be about to be, and of two changes that do not know of each other each may have a
 * majority of its own. */
MUST_CHECK enum err raft_driver_change(struct raft_driver *d, uint64_t now_ms, struct slice configuration,
                                       struct raft_driver_update *out);
/* Entries up to index (above earlier reports, at most the last) are durable. */
MUST_CHECK enum err raft_driver_persisted(struct raft_driver *d, uint64_t now_ms, uint64_t index,
                                          struct raft_driver_update *out);
/* The configuration entry at index has been applied. */
MUST_CHECK enum err raft_driver_configuration_applied(struct raft_driver *d, uint64_t now_ms, uint64_t index,
                                                      struct slice configuration);
/* Until when, on the clock of now_ms, nobody else is elected, as far as this leader can tell (replication/lease.h). 0:
 * it cannot. */
uint64_t raft_driver_lease_ms(const struct raft_driver *d);
/* Hands leadership to a voter, 0: to the one that is furthest. ERR_NOT_LEADER, ERR_NOTFOUND. */
MUST_CHECK enum err raft_driver_transfer(struct raft_driver *d, uint64_t now_ms, struct node_id to,
                                         struct raft_driver_update *out);
/* Entries that may be on their way to a follower: the caller bounds bytes by it. */
void raft_driver_inflight_max(struct raft_driver *d, unsigned entries);
/* How far a server is known to hold the leader's log. 0: unknown, or this one does not lead. */
uint64_t raft_driver_match(const struct raft_driver *d, struct node_id server);

/* The first entry that a server which has answered since since_ms is not known to hold, of those that need none
 * before `first`. UINT64_MAX: no such server, or this one does not lead. */
uint64_t raft_driver_wanted(const struct raft_driver *d, uint64_t since_ms, uint64_t first);

/* The library's numbers. */
enum raft_server_role { RAFT_ROLE_STANDBY = 0, RAFT_ROLE_VOTER = 1, RAFT_ROLE_SPARE = 2 };
struct raft_server_info {
    struct node_id node;
    enum raft_server_role role;
};
#define RAFT_SERVERS_MAX 16
/* Servers of the configuration in force (committed or not), at most RAFT_SERVERS_MAX. */
size_t raft_driver_servers(const struct raft_driver *d, struct raft_server_info out[RAFT_SERVERS_MAX]);
/* Index of the configuration in force. */
uint64_t raft_driver_configuration_index(const struct raft_driver *d);
/* Index of the configuration that is not known to be committed, 0 = none. */
uint64_t raft_driver_change_index(const struct raft_driver *d);
static inline bool raft_driver_changing(const struct raft_driver *d)
{
    return raft_driver_change_index(d) != 0;
}

uint64_t raft_driver_vote(const struct raft_driver *d);
/* Who leads as far as this server knows; 0 = nobody. */
struct node_id raft_driver_leader(struct raft_driver *d);
/* For how long no leader was heard, since the start at most; 0: it leads. A standby believes in its leader for ever, as
 * it will not stand for election. */
uint64_t raft_driver_silent_ms(struct raft_driver *d, uint64_t now_ms);
/* Leads, and an entry of its own term is committed or nothing was uncommitted when it was elected: everything that was
 * ever committed is known to be (ARCHITECTURE, section 7). */
bool raft_driver_serves(struct raft_driver *d);

/* --- a group of one server --- */

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
/* Leader, the only server, and no configuration change under way: append and apply may share a transaction
 * (ARCHITECTURE, 6.3). */
bool raft_driver_is_sole(struct raft_driver *d);

/* --- configurations, as bytes of a log entry --- */

/* n servers, at least one of them a voter. */
MUST_CHECK enum err raft_configuration_put(const struct raft_server_info *servers, size_t n, struct buf *out);
/* Bounds-checked: servers of a configuration that the library decodes without reading past its bytes. ERR_CORRUPT, also
 * for more than RAFT_SERVERS_MAX. */
MUST_CHECK enum err raft_configuration_get(struct slice configuration, struct raft_server_info out[RAFT_SERVERS_MAX],
                                           size_t *out_n);
static inline MUST_CHECK enum err raft_configuration_decodes(struct slice configuration)
{
    struct raft_server_info servers[RAFT_SERVERS_MAX];
    size_t n;
    return raft_configuration_get(configuration, servers, &n);
}
/* Whether node is the only voter. */
bool raft_configuration_is_sole(const struct raft_server_info *servers, size_t n, struct node_id node);

#ifdef __cplusplus
}
#endif

#endif /* REPLICATION_RAFT_DRIVER_H */
