/* What peers sent, to the library. */
#include "proto/base/assert.h"
#include "proto/base/plant.h"
#include "replication/raft_driver_internal.h"

static void raft_entry_of(const struct repl_entry *e, struct raft_entry *out)
{
    memset(out, 0, sizeof(*out));
    out->term = e->head.term;
    out->type = e->head.type == REPL_ENTRY_CHUNK ? RAFT_COMMAND : (enum raft_entry_type)e->head.type;
    out->batch = raft_no_bytes;
    if (e->head.type == REPL_ENTRY_CHANGE) {
        out->buf.base = (void *)(uintptr_t)e->head.data.p;
        out->buf.len = e->head.data.n;
    }
}

static enum err fill_message(const struct repl_message *m, struct raft_message *out)
{
    switch (m->type) {
    case REPL_MESSAGE_APPEND:
        out->type = RAFT_APPEND_ENTRIES;
        out->append_entries.term = m->term;
        out->append_entries.prev_log_index = m->index;
        out->append_entries.prev_log_term = m->index_term;
        out->append_entries.leader_commit = m->commit;
        out->append_entries.n_entries = (unsigned)m->n_entries;
        return OK;
    case REPL_MESSAGE_APPEND_RESULT:
        out->type = RAFT_APPEND_ENTRIES_RESULT;
        out->append_entries_result.version = 2;
        out->append_entries_result.term = m->term;
        out->append_entries_result.rejected = m->rejected;
        out->append_entries_result.last_log_index = m->index;
        return OK;
    case REPL_MESSAGE_VOTE:
        out->type = RAFT_REQUEST_VOTE;
        out->request_vote.version = 2;
        out->request_vote.term = m->term;
        out->request_vote.candidate_id = m->from.v;
        out->request_vote.last_log_index = m->index;
        out->request_vote.last_log_term = m->index_term;
        out->request_vote.pre_vote = m->pre_vote;
        out->request_vote.disrupt_leader = m->disrupt;
        return OK;
    case REPL_MESSAGE_VOTE_RESULT:
        out->type = RAFT_REQUEST_VOTE_RESULT;
        out->request_vote_result.version = 2;
        out->request_vote_result.term = m->term;
        out->request_vote_result.vote_granted = m->granted;
        out->request_vote_result.pre_vote = m->pre_vote;
        return OK;
    case REPL_MESSAGE_SNAPSHOT: {
        struct raft_buffer conf = {.base = (void *)(uintptr_t)m->configuration.p, .len = m->configuration.n};
        out->type = RAFT_INSTALL_SNAPSHOT;
        out->install_snapshot.term = m->term;
        out->install_snapshot.last_index = m->index;
        out->install_snapshot.last_term = m->index_term;
        out->install_snapshot.conf_index = m->configuration_index;
        return raft_error(raft_configuration_decode(&conf, &out->install_snapshot.conf)); /* the library's then */
    }
    case REPL_MESSAGE_TIMEOUT_NOW:
        out->type = RAFT_TIMEOUT_NOW;
        out->timeout_now.term = m->term;
        out->timeout_now.last_log_index = m->index;
        out->timeout_now.last_log_term = m->index_term;
        return OK;
    case REPL_MESSAGE_COPY_PULL:
    case REPL_MESSAGE_COPY_ROWS:
        break; /* not raft's */
    }
    return ERR_CORRUPT;
}

/* What a server has instead of its own standing while it looks at a vote. */
struct lent_vote {
    struct raft_server *standby;   /* made a voter, or */
    struct raft_configuration own; /* set aside for one of only itself */
    struct raft_configuration alone;
    struct raft_server self;
};

/* A server may be a voter in the candidate's log and not yet in its own: with one voter before and two now, nobody
 * could ever be elected. The library denies a vote to whoever does not count it, so for this step it is a voter, also
 * when it has heard of no configuration at all; a candidate counts the votes of its own configuration only. Nor does
 * the library ever let a server that is no voter forget its leader. */
static void lend_vote(struct raft_driver *d, const struct repl_message *m, uint64_t now_ms, struct lent_vote *lent)
{
    memset(lent, 0, sizeof(*lent));
    for (unsigned i = 0; i < d->raft.configuration.n; i++) {
        struct raft_server *s = &d->raft.configuration.servers[i];
        lent->standby = s->id == d->node ? s : lent->standby;
    }
    if (m->type != REPL_MESSAGE_VOTE || (lent->standby != NULL && lent->standby->role != RAFT_STANDBY)) {
        lent->standby = NULL;
        return;
    }
    if (now_ms - d->heard_ms >= d->raft.election_timeout && d->raft.state == RAFT_FOLLOWER) {
        d->raft.follower_state.current_leader.id = 0;
    }
    if (lent->standby != NULL) {
        lent->standby->role = RAFT_VOTER;
        return;
    }
    lent->self = (struct raft_server){.id = d->node, .role = RAFT_VOTER};
    lent->alone = (struct raft_configuration){.servers = &lent->self, .n = 1};
    lent->own = d->raft.configuration;
    d->raft.configuration = lent->alone;
}

static void take_back_vote(struct raft_driver *d, const struct lent_vote *lent)
{
    if (lent->standby != NULL) {
        lent->standby->role = RAFT_STANDBY;
    } else if (lent->alone.n > 0) {
        d->raft.configuration = lent->own;
    }
}

/* A second leader of the term that this one leads: the library's assertion is compiled out, and it would write a
 * follower's fields over the leader's. */
static bool is_second_leader(const struct raft_driver *d, const struct repl_message *m)
{
    return (m->type == REPL_MESSAGE_APPEND || m->type == REPL_MESSAGE_SNAPSHOT) && d->raft.state == RAFT_LEADER &&
           m->term == d->raft.current_term;
}

/* This server had a log that the candidate's does not reach, and threw it away. It counts as if it were still there: a
 * voter that lags two configurations behind may ask, with a log that lacks what was committed with this server's help.
 */
static bool is_below_floor(const struct raft_driver *d, const struct repl_message *m)
{
    return m->type == REPL_MESSAGE_VOTE &&
           (m->index_term < d->floor_term || (m->index_term == d->floor_term && m->index < d->floor_index));
}

/* While it installs a snapshot the library ignores another one and forgets to free its configuration. */
static void free_ignored(const struct raft_driver *d, bool was_installing, struct raft_message *message)
{
    if (was_installing && message->type == RAFT_INSTALL_SNAPSHOT &&
        message->install_snapshot.term >= d->raft.current_term) {
        raft_configuration_close(&message->install_snapshot.conf);
    }
}

/* The library answers a stale leader without setting the index: what happened to lie on its stack would travel, and
 * might not even decode. */
static void clear_unset(struct raft_driver *d, const struct repl_message *m, const struct raft_driver_update *u)
{
    if ((m->type != REPL_MESSAGE_APPEND && m->type != REPL_MESSAGE_SNAPSHOT) || m->term >= d->raft.current_term) {
        return;
    }
    for (size_t i = 0; i < u->n_messages; i++) {
        d->messages[i].index = 0;
    }
}

/* In the place of the oldest one. */
static void note_answer(struct raft_driver *d, const struct repl_message *m, uint64_t now_ms)
{
    struct raft_answer *place = &d->answers[0];
    uint64_t sent_ms = m->sent_ms <= now_ms ? m->sent_ms : 0; /* nothing was sent later */
    if (m->type != REPL_MESSAGE_APPEND_RESULT || m->term != d->raft.current_term) {
        return;
    }
    for (size_t i = 0; i < RAFT_SERVERS_MAX && place->from != m->from.v; i++) {
        struct raft_answer *a = &d->answers[i];
        place = a->from == m->from.v || a->at_ms < place->at_ms ? a : place;
    }
    if (place->from == m->from.v && place->sent_ms > sent_ms) {
        sent_ms = place->sent_ms;
    }
    *place = (struct raft_answer){m->from.v, now_ms, sent_ms};
}

enum err raft_driver_receive(struct raft_driver *d, uint64_t now_ms, const struct repl_message *m,
                             const struct repl_entry *entries, struct raft_driver_update *out)
{
    struct raft_entry copies[REPL_MESSAGE_ENTRIES_MAX];
    struct raft_message message;
    struct raft_event event = {.type = RAFT_RECEIVE, .time = now_ms, .receive.message = &message};
    char address[RAFT_ADDRESS_BYTES_MAX];
    ASSERT(m->n_entries <= REPL_MESSAGE_ENTRIES_MAX && (m->type == REPL_MESSAGE_APPEND || m->n_entries == 0));
    memset(&message, 0, sizeof(message));
    memset(out, 0, sizeof(*out));
    if (is_second_leader(d, m) || raft_lease_defers(d, m, now_ms) ||
        (is_below_floor(d, m) && !planted(PLANT_NO_FLOOR))) {
        return OK;
    }
    enum err e = fill_message(m, &message);
    if (e != OK) {
        return e;
    }
    note_answer(d, m, now_ms);
    raft_lease_heard(d, m);
    bool installing = d->raft.snapshot.installing;
    raft_address_put(address, m->from.v);
    message.server_id = m->from.v;
    message.server_address = address;
    for (size_t i = 0; i < m->n_entries; i++) {
        raft_entry_of(&entries[i], &copies[i]);
    }
    if (m->type == REPL_MESSAGE_APPEND) {
        message.append_entries.entries = copies;
    }
    struct lent_vote lent;
    lend_vote(d, m, now_ms, &lent);
    raft_heap_lend(raft_no_bytes, sizeof(raft_no_bytes));
    e = raft_driver_step(d, &event, out);
    raft_heap_lend(NULL, 0);
    if (e == OK) {
        free_ignored(d, installing, &message);
        clear_unset(d, m, out);
    }
    if (m->type == REPL_MESSAGE_APPEND && m->term == d->raft.current_term) {
        d->heard_ms = now_ms;
    }
    take_back_vote(d, &lent);
    return e;
}
