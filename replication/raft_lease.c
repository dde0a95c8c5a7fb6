/* Who has heard this leader, and since when; and what a follower owes its leader. The argument is in lease.h. */
#include "proto/base/plant.h"
#include "replication/lease.h"
#include "replication/raft_driver_internal.h"

/* --- a follower --- */

/* No answer left before its term was durable. */
void raft_lease_started(struct raft_driver *d, const struct raft_start *s)
{
    d->votes_from_ms = s->term == 0 ? 0 : s->now_ms + d->raft.election_timeout;
}

bool raft_lease_defers(const struct raft_driver *d, const struct repl_message *m, uint64_t now_ms)
{
    return m->type == REPL_MESSAGE_VOTE && now_ms < d->votes_from_ms;
}

/* Such a message makes the sender its leader and starts its election timeout again, whatever becomes of the entries. */
void raft_lease_heard(struct raft_driver *d, const struct repl_message *m)
{
    if (m->type != REPL_MESSAGE_APPEND || m->term < d->raft.current_term) {
        return;
    }
    bool same = d->heard_term == m->term && d->heard_from == m->from.v;
    d->heard_sent_ms = same && d->heard_sent_ms > m->sent_ms ? d->heard_sent_ms : m->sent_ms;
    d->heard_term = m->term;
    d->heard_from = m->from.v;
}

uint64_t raft_lease_echo(const struct raft_driver *d, uint64_t to, uint64_t term)
{
    return d->heard_from == to && d->heard_term == term ? d->heard_sent_ms : 0;
}

/* --- a leader --- */

void raft_lease_led(struct raft_driver *d)
{
    for (size_t i = 0; i < RAFT_SERVERS_MAX; i++) {
        d->answers[i].sent_ms = 0;
    }
}

static uint64_t heard_by(const struct raft_driver *d, uint64_t server)
{
    for (size_t i = 0; i < RAFT_SERVERS_MAX; i++) {
        if (d->answers[i].from == server) {
            return d->answers[i].sent_ms;
        }
    }
    return 0;
}

/* The latest first. */
static void insert(uint64_t *times, size_t n, uint64_t t)
{
    for (size_t i = n; i > 0 && times[i - 1] < t; i--) {
        times[i] = times[i - 1];
        times[i - 1] = t;
    }
}

/* What a majority of the voters has heard was sent then or later; 0: there is no such time. */
static uint64_t majority_heard(const struct raft_driver *d)
{
    uint64_t times[RAFT_SERVERS_MAX + 1] = {0};
    size_t n_voters = 0;
    size_t others = 0;
    for (unsigned i = 0; i < d->raft.configuration.n && others < RAFT_SERVERS_MAX; i++) {
        const struct raft_server *s = &d->raft.configuration.servers[i];
        if (s->role != RAFT_VOTER) {
            continue;
        }
        n_voters++;
        if (s->id != d->node) {
            times[others] = heard_by(d, s->id);
            insert(times, others, times[others]);
            others++;
        }
    }
    size_t needed = n_voters / 2 + 1 - (n_voters - others);
    return n_voters < 2 ? 0 : times[needed - 1];
}

uint64_t raft_driver_lease_ms(const struct raft_driver *d)
{
    bool handed_over = d->transfer_term == d->raft.current_term && !planted(PLANT_LEASE_KEPT);
    if (d->lease_ms == 0 || d->raft.state != RAFT_LEADER || handed_over) {
        return 0;
    }
    uint64_t sent_ms = majority_heard(d);
    uint64_t length_ms = planted(PLANT_LEASE_DRIFT) ? d->raft.election_timeout : d->lease_ms;
    return sent_ms == 0 ? 0 : sent_ms + length_ms;
}
