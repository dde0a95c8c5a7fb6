/* Leases: how a leader may answer reads without asking a majority each time (reads.h). Off unless
 * volume_config.lease_drift_percent is set.
 *
 * A leader's AppendEntries, heartbeats included, carry the time at which they were made, on the leader's clock. A
 * follower's answers carry the latest such time that it has heard from that leader in that term. A majority of the
 * voters of the configuration in force, the leader among them if it is one, has thus heard what was sent at s or later:
 * the lease lasts until s + lease_length_ms(), the election timeout less what the clocks may differ. It is published
 * with the rest of what a read needs (group_view.c), and a read whose time, taken after it began, is before that is
 * answered as if its round had been confirmed. Without a lease it asks.
 *
 * Why nobody else has acknowledged anything by then that the read does not see. Were it so, take the leader of the
 * lowest term U above this one's, T, that was elected before the read began. A majority voted for it, which shares a
 * voter f with the majority of the lease: both configurations are in force next to each other (reads.h has the
 * argument; the view is looked at after the read began). f is not this leader: it publishes that it steps down before
 * its vote leaves. f has heard this leader in term T, sent at s or later, and answered so; it voted for U
 *
 *  - not before that: it would have refused term T;
 *  - not by standing for election itself: it waits for an election timeout since it heard;
 *  - not when asked without permission to disrupt: C raft denies that, pre-vote or not, to a server that knows a leader
 *    (recvRequestVote), and a voter forgets its leader only when it stands itself. A standby, which lends its vote, is
 * made to forget it after an election timeout (lend_vote in raft_receive.c);
 *  - not after a start, which makes it forget: it drops every vote request for an election timeout after that
 *    (raft_lease_defers), and the start came after it heard. So does a replica that a copy replaced, or that raft
 *    failed under. Only one that starts with a term of 0 need not: an answer leaves when its term is durable;
 *  - not when asked with permission. C raft sets that flag on the request of a server whom its leader told to stand,
 *    skips every check for a leader, and sets it again in all later terms in which that candidate tries once more. We
 *    clear it there (end_permission in raft_step.c), so that it stands for term U only if a leader of U - 1 told it to.
 * A leader between T and U there is none; and this one has no lease in a term in which it has begun a transfer, however
 *    that ended: what it sent may arrive at any time.
 *
 * So f votes for U an election timeout, on its clock, after it heard, or later; the lease is over by then. Also:
 *
 *  - The leader serves only when an entry of its own term is committed, or nothing was uncommitted at its election;
 * that stays (raft_driver_serves).
 *  - A sole voter elects itself at once when it starts. With one voter in force there is no lease: the leader is that
 *    voter, which asks nobody, or is about to be removed.
 *  - Times that a follower sends back are of this leadership: they come with its term, in which a node leads once.
 *
 * The clocks. CLOCK_BOOTTIME of each node: it never goes back, and goes on in suspend. The wall clock has no part. Two
 * nodes' clocks go forward at rates of which one is at most lease_drift_percent above the other; all that counts is the
 * time since a message was sent, not what the clocks say. Linux slews CLOCK_BOOTTIME by at most 500 ppm for NTP, and 10
 * % when its tick is changed. A process that is stopped, a slow network or a busy disk only make the lease end. When a
 * clock breaks the promise (a leader's virtual machine that is stopped or moved while its guest's clock is too, a
 * broken time source), the old leader may answer reads with a state that lacks what a new one has acknowledged, until
 * its clock has used up the lease, the next message reaches it, or it is told of the higher term. Writes are never in
 * danger: they need a majority each.
 *
 * All nodes must run a version that has this file before a lease is turned on: an earlier one drops the messages (no
 * lease is held then, nor a term long), and keeps the permission to disrupt. */
#ifndef REPLICATION_LEASE_H
#define REPLICATION_LEASE_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* How long a lease lasts on the leader's clock from when its messages were sent. A follower waits election_ms, read off
 * a clock of whole milliseconds, of which the first may have begun before it heard. 0: no lease. */
static inline uint64_t lease_length_ms(uint64_t election_ms, unsigned drift_percent)
{
    return drift_percent == 0 || election_ms == 0 ? 0 : (election_ms - 1) * 100 / (100 + drift_percent);
}

#ifdef __cplusplus
}
#endif

#endif /* REPLICATION_LEASE_H */
