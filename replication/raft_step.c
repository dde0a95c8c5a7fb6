/* One event of the library, and what it asks for. */
#include "proto/base/assert.h"
#include "proto/base/mem.h"
#include "replication/raft_driver_internal.h"

static void message_of(const struct raft_message *m, struct repl_message *out)
{
    memset(out, 0, sizeof(*out));
    out->to.v = m->server_id;
    switch (m->type) {
    case RAFT_APPEND_ENTRIES:
        out->type = REPL_MESSAGE_APPEND;
        out->term = m->append_entries.term;
        out->index = m->append_entries.prev_log_index;
        out->index_term = m->append_entries.prev_log_term;
        out->commit = m->append_entries.leader_commit;
        out->n_entries = m->append_entries.n_entries;
        break;
    case RAFT_APPEND_ENTRIES_RESULT:
        out->type = REPL_MESSAGE_APPEND_RESULT;
        out->term = m->append_entries_result.term;
        out->rejected = m->append_entries_result.rejected;
        out->index = m->append_entries_result.last_log_index;
        break;
    case RAFT_REQUEST_VOTE:
        out->type = REPL_MESSAGE_VOTE;
        out->term = m->request_vote.term;
        out->index = m->request_vote.last_log_index;
        out->index_term = m->request_vote.last_log_term;
        out->pre_vote = m->request_vote.pre_vote;
        out->disrupt = m->request_vote.disrupt_leader;
        break;
    case RAFT_REQUEST_VOTE_RESULT:
        out->type = REPL_MESSAGE_VOTE_RESULT;
        out->term = m->request_vote_result.term;
        out->pre_vote = m->request_vote_result.pre_vote;
        out->granted = m->request_vote_result.vote_granted;
        break;
    case RAFT_INSTALL_SNAPSHOT:
        out->type = REPL_MESSAGE_SNAPSHOT;
        out->term = m->install_snapshot.term;
        out->index = m->install_snapshot.last_index;
        out->index_term = m->install_snapshot.last_term;
        out->configuration_index = m->install_snapshot.conf_index;
        break;
    case RAFT_TIMEOUT_NOW:
        out->type = REPL_MESSAGE_TIMEOUT_NOW;
        out->term = m->timeout_now.term;
        out->index = m->timeout_now.last_log_index;
        out->index_term = m->timeout_now.last_log_term;
        break;
    }
}

static enum err take_messages(struct raft_driver *d, const struct raft_update *u, struct raft_driver_update *out)
{
    if (u->messages.n > d->messages_capacity) {
        struct repl_message *more = mem_realloc(d->messages, u->messages.n * sizeof(*more));
        if (more == NULL) {
            return ERR_NOMEM;
        }
        d->messages = more;
        d->messages_capacity = u->messages.n;
    }
    for (unsigned i = 0; i < u->messages.n; i++) {
        struct repl_message *m = &d->messages[i];
        message_of(&u->messages.batch[i], m);
        /* The library answers a pre-vote with the term that was asked for, even when it denies it for being below its
         * own: the candidate never learns of the higher term. Of two servers, one with the longer log and one with the
         * higher term, neither could ever be elected. */
        if (m->type == REPL_MESSAGE_VOTE_RESULT && m->pre_vote && !m->granted && m->term < d->raft.current_term) {
            m->term = d->raft.current_term;
        }
        if (m->type == REPL_MESSAGE_APPEND_RESULT) {
            m->sent_ms = raft_lease_echo(d, m->to.v, m->term);
        }
    }
    out->messages = d->messages;
    out->n_messages = u->messages.n;
    return OK;
}

/* When it became the leader: what must be committed before it serves. */
static void look_at_leadership(struct raft_driver *d)
{
    bool leads = raft_state(&d->raft) == RAFT_LEADER;
    if (leads && !d->led) {
        /* With nothing uncommitted the library makes no barrier: then the last entry is the commit index. */
        d->serves_from = raft_last_index(&d->raft);
        raft_lease_led(d);
    }
    d->led = leads;
}

/* What a leader appends is of its term. */
static void look_at_term(struct raft_driver *d, const struct raft_driver_update *out)
{
    if (raft_state(&d->raft) == RAFT_LEADER && out->append_first != 0 && d->own_term != d->raft.current_term) {
        d->own_term = d->raft.current_term;
        d->own_first = out->append_first;
    }
}

enum err raft_driver_step(struct raft_driver *d, struct raft_event *event, struct raft_driver_update *out)
{
    struct raft_update u;
    memset(&u, 0, sizeof(u));
    memset(out, 0, sizeof(*out));
    enum err e = raft_error(raft_step(&d->raft, event, &u));
    if (e != OK) {
        return e;
    }
    out->hard_state = (u.flags & ((RAFT_UPDATE_CURRENT_TERM) | (RAFT_UPDATE_VOTED_FOR))) != 0;
    if ((u.flags & (RAFT_UPDATE_ENTRIES)) != 0) {
        out->append_first = u.entries.index;
        out->append_n = u.entries.n;
        out->barrier = u.entries.batch == &d->raft.barrier;
        if (out->barrier) {
            mem_free(d->raft.barrier.buf.base); /* ours now; a barrier has no bytes that matter */
            d->raft.barrier.buf.base = NULL;
        }
    }
    if ((u.flags & (RAFT_UPDATE_SNAPSHOT)) != 0) {
        out->snapshot = true;
        raft_configuration_close(&u.snapshot.metadata.configuration);
    }
    look_at_leadership(d);
    look_at_term(d, out);
    return (u.flags & (RAFT_UPDATE_MESSAGES)) != 0 ? take_messages(d, &u, out) : OK;
}

/* --- events --- */

/* A leader's timeout is a look at who has answered since the last look, and whoever has not gets new entries with
 * heartbeats only until one was written. The looks follow the heartbeats, which a follower that is down has at other
 * times than one that is up, so that the next look may come before this one's answers. Hence two heartbeats back. */
static void look_further_back(struct raft_driver *d, uint64_t now_ms)
{
    uint64_t back_ms = 2 * (uint64_t)d->raft.heartbeat_timeout;
    back_ms = back_ms < d->raft.election_timeout / 2 ? back_ms : d->raft.election_timeout / 2;
    if (d->raft.state == RAFT_LEADER && d->raft.election_timer_start == now_ms && back_ms < now_ms) {
        d->raft.election_timer_start -= back_ms;
    }
}

/* A candidate that was told to stand goes on to disrupt leaders in every later term, whoever leads by then: the leader
 * that told it meant the next term (replication/lease.h). */
static void end_permission(struct raft_driver *d)
{
    if (d->raft.state == RAFT_CANDIDATE) {
        d->raft.candidate_state.disrupt_leader = false;
    }
}

enum err raft_driver_timeout(struct raft_driver *d, uint64_t now_ms, struct raft_driver_update *out)
{
    struct raft_event event = {.type = RAFT_TIMEOUT, .time = now_ms};
    bool led = d->raft.state == RAFT_LEADER;
    end_permission(d);
    enum err e = raft_driver_step(d, &event, out);
    if (e == OK && led) {
        look_further_back(d, now_ms);
    }
    return e;
}

enum err raft_driver_submit(struct raft_driver *d, uint64_t now_ms, size_t n, struct raft_driver_update *out)
{
    struct raft_entry entries[RAFT_SUBMIT_ENTRIES_MAX];
    struct raft_event event = {.type = RAFT_SUBMIT, .time = now_ms};
    ASSERT(n > 0 && n <= RAFT_SUBMIT_ENTRIES_MAX);
    for (size_t i = 0; i < n; i++) {
        struct raft_entry entry = {.term = d->raft.current_term, .type = RAFT_COMMAND, .batch = raft_no_bytes};
        entries[i] = entry;
    }
    event.submit.entries = entries;
    event.submit.n = (unsigned)n;
    return raft_driver_step(d, &event, out);
}

enum err raft_driver_barrier(struct raft_driver *d, uint64_t now_ms, struct raft_driver_update *out)
{
    struct raft_entry entry = {.term = d->raft.current_term, .type = RAFT_BARRIER, .batch = raft_no_bytes};
    struct raft_event event = {.type = RAFT_SUBMIT, .time = now_ms};
    event.submit.entries = &entry;
    event.submit.n = 1;
    enum err e = raft_driver_step(d, &event, out);
    out->barrier = e == OK;
    return e;
}

bool raft_driver_wants_barrier(struct raft_driver *d)
{
    return raft_driver_leads(d) && d->own_term != d->raft.current_term;
}

static bool own_term_is_committed(const struct raft_driver *d)
{
    return d->own_term == d->raft.current_term && d->own_first <= raft_commit_index(&d->raft);
}

/* The library does not look whether an entry of its term is committed. */
enum err raft_driver_change(struct raft_driver *d, uint64_t now_ms, struct slice configuration,
                            struct raft_driver_update *out)
{
    if (raft_driver_leads(d) && !own_term_is_committed(d)) {
        return ERR_LOCKED;
    }
    struct raft_entry entry = {.term = d->raft.current_term, .type = RAFT_CHANGE, .batch = raft_no_bytes};
    struct raft_event event = {.type = RAFT_SUBMIT, .time = now_ms};
    entry.buf.base = (void *)(uintptr_t)configuration.p;
    entry.buf.len = configuration.n;
    event.submit.entries = &entry;
    event.submit.n = 1;
    return raft_driver_step(d, &event, out);
}

enum err raft_driver_persisted(struct raft_driver *d, uint64_t now_ms, uint64_t index, struct raft_driver_update *out)
{
    struct raft_event event = {.type = RAFT_PERSISTED_ENTRIES, .time = now_ms};
    ASSERT(index > d->raft.last_stored && index <= raft_last_index(&d->raft));
    event.persisted_entries.index = index;
    return raft_driver_step(d, &event, out);
}

enum err raft_driver_configuration_applied(struct raft_driver *d, uint64_t now_ms, uint64_t index,
                                           struct slice configuration)
{
    struct raft_driver_update ignored;
    struct raft_event event = {.type = RAFT_CONFIGURATION, .time = now_ms};
    struct raft_buffer conf = {.base = (void *)(uintptr_t)configuration.p, .len = configuration.n};
    enum err e = raft_error(raft_configuration_decode(&conf, &event.configuration.conf)); /* the library's then */
    if (e != OK) {
        return e;
    }
    event.configuration.index = index;
    e = raft_driver_step(d, &event, &ignored);
    ASSERT(e != OK || (ignored.n_messages == 0 && ignored.append_first == 0));
    return e;
}

enum err raft_driver_transfer(struct raft_driver *d, uint64_t now_ms, struct node_id to, struct raft_driver_update *out)
{
    struct raft_event event = {.type = RAFT_TRANSFER, .time = now_ms};
    event.transfer.server_id = to.v;
    enum err e = raft_driver_step(d, &event, out);
    if (e == OK) {
        d->transfer_term = d->raft.current_term;
    }
    return e;
}
