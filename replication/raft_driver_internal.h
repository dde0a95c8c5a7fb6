/* What the files of the driver share: raft_driver.c (start, state, the sole voter's calls), raft_step.c (events),
 * raft_receive.c (messages), raft_lease.c,
 * raft_configuration.c and raft_heap.c. Nobody else includes it: it shows the library. */
#ifndef REPLICATION_RAFT_DRIVER_INTERNAL_H
#define REPLICATION_RAFT_DRIVER_INTERNAL_H

#ifndef __cplusplus /* the library's header is C */

#include <raft.h>

#include "proto/base/bytes.h"
#include "replication/message.h"
#include "replication/raft_driver.h"

#define RAFT_ADDRESS_BYTES_MAX (U64_DEC_BYTES_MAX + 1)
#define RAFT_SUBMIT_ENTRIES_MAX 256 /* entries handed over in one event; more are several events */

struct raft_driver {
    struct raft raft;
    uint64_t node;
    uint64_t serves_from; /* commit index from which a leader serves */
    bool led;             /* at the last look */
    uint64_t own_term;    /* own_first is the log's first entry of this term; 0 = of none that is known */
    uint64_t own_first;
    struct raft_answer {
        uint64_t from;
        uint64_t at_ms;
        uint64_t sent_ms;        /* by this leader, what it had heard; 0 = not of this leadership */
    } answers[RAFT_SERVERS_MAX]; /* last ones to this leader, in no order */
    uint64_t heard_ms;           /* from a leader */
    uint64_t heard_from;         /* the leader, */
    uint64_t heard_term;         /* its term, */
    uint64_t heard_sent_ms;      /* and when it sent what was heard, on its clock; 0 = it did not say */
    uint64_t floor_index;        /* a candidate whose log ends before (floor_term, floor_index) gets no vote */
    uint64_t floor_term;
    uint64_t votes_from_ms;        /* before then it votes for nobody */
    uint64_t lease_ms;             /* how long one lasts from when it is sent; 0 = there are none */
    uint64_t transfer_term;        /* in which this leader began to hand leadership over */
    struct repl_message *messages; /* of the last step */
    size_t messages_capacity;
};

/* --- raft_lease.c --- */
/* What is on the disk says whether the server may have heard a leader before it was started. */
void raft_lease_started(struct raft_driver *d, const struct raft_start *s);
/* A request that nobody answers: it may have. */
bool raft_lease_defers(const struct raft_driver *d, const struct repl_message *m, uint64_t now_ms);
/* A leader's message, before the library sees it. */
void raft_lease_heard(struct raft_driver *d, const struct repl_message *m);
/* What an answer to `to` says that this server has heard. */
uint64_t raft_lease_echo(const struct raft_driver *d, uint64_t to, uint64_t term);
/* It leads now: what was answered before was another leadership. */
void raft_lease_led(struct raft_driver *d);

/* Before any other call of the library's. */
void raft_heap_use(void);
/* The library may "free" what lies in [p, p + n), which stays the caller's; NULL ends it. */
void raft_heap_lend(const void *p, size_t n);
/* The library frees the first entry's batch when it does not keep the entries: it gets a byte that is not its own. */
extern uint8_t raft_no_bytes[8];

MUST_CHECK enum err raft_error(int rc);
/* The node's number in decimal, NUL-terminated. */
size_t raft_address_put(char out[RAFT_ADDRESS_BYTES_MAX], uint64_t node);

MUST_CHECK enum err raft_driver_step(struct raft_driver *d, struct raft_event *event, struct raft_driver_update *out);

#endif /* __cplusplus */

#endif /* REPLICATION_RAFT_DRIVER_INTERNAL_H */
