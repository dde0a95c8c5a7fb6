#include "replication/raft_driver.h"

#include <pthread.h>
#include <raft.h>

#include "proto/base/assert.h"
#include "proto/base/bytes.h"
#include "proto/base/mem.h"
#include "replication/message.h"

#define ADDRESS_BYTES_MAX (U64_DEC_BYTES_MAX + 1)
#define CONFIGURATION_FORMAT 1
#define SUBMIT_ENTRIES_MAX 256 /* entries handed over in one event; more are several events */

struct raft_driver {
    struct raft raft;
    uint64_t node;
    uint64_t serves_from; /* commit index from which a leader serves */
    bool led;             /* at the last look */
    uint64_t heard_ms;    /* from a leader */
    struct repl_message *messages; /* of the last step */
    size_t messages_capacity;
};

/* --- the library's heap ---
 * Which of the entries' blocks raft_step() frees depends on the event, on the path through it and on the version
 * (1ee30187 to f9e37bc3 upstream). We lend it memory for the call and ignore what it frees of that; everything else
 * goes through mem.h. */
static _Thread_local struct {
    const uint8_t *from;
    const uint8_t *to;
} lent;

static bool is_lent(const void *p)
{
    return (const uint8_t *)p >= lent.from && (const uint8_t *)p < lent.to;
}

static void *heap_malloc(void *data, size_t size)
{
    (void)data;
    return mem_alloc(size);
}

static void heap_free(void *data, void *p)
{
    (void)data;
    if (!is_lent(p)) {
        mem_free(p);
    }
}

static void *heap_calloc(void *data, size_t n, size_t size)
{
    (void)data;
    return mem_calloc(n, size);
}

static void *heap_realloc(void *data, void *p, size_t size)
{
    (void)data;
    ASSERT(!is_lent(p));
    return mem_realloc(p, size);
}

/* Only the library's own disk code, which we do not use, wants aligned memory. */
static void *heap_aligned_alloc(void *data, size_t alignment, size_t size)
{
    (void)data;
    (void)alignment;
    (void)size;
    return NULL;
}

static void heap_aligned_free(void *data, size_t alignment, void *p)
{
    (void)data;
    (void)alignment;
    (void)p;
}

static void set_heap(void)
{
    static struct raft_heap heap = {
        .malloc = heap_malloc,
        .free = heap_free,
        .calloc = heap_calloc,
        .realloc = heap_realloc,
        .aligned_alloc = heap_aligned_alloc,
        .aligned_free = heap_aligned_free,
    };
    raft_heap_set(&heap);
}

static void use_heap(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    ASSERT(pthread_once(&once, set_heap) == 0);
}

static enum err map_error(int rc)
{
    switch (rc) {
    case 0:
        return OK;
    case RAFT_NOMEM:
        return ERR_NOMEM;
    case RAFT_NOTLEADER:
        return ERR_NOT_LEADER;
    case RAFT_CANTCHANGE:
        return ERR_LOCKED;
    case RAFT_NOTFOUND:
    case RAFT_BADID:
        return ERR_NOTFOUND;
    case RAFT_MALFORMED:
    case RAFT_CORRUPT:
    case RAFT_SHUTDOWN: /* a committed entry contradicts a peer's */
        return ERR_CORRUPT;
    default:
        return ERR_UNAVAILABLE;
    }
}

/* --- updates --- */

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
    }
    d->led = leads;
}

static enum err step(struct raft_driver *d, struct raft_event *event, struct raft_driver_update *out)
{
    struct raft_update u;
    memset(&u, 0, sizeof(u));
    memset(out, 0, sizeof(*out));
    enum err e = map_error(raft_step(&d->raft, event, &u));
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
    return (u.flags & (RAFT_UPDATE_MESSAGES)) != 0 ? take_messages(d, &u, out) : OK;
}

static size_t address_put(char out[ADDRESS_BYTES_MAX], uint64_t node)
{
    size_t n = u64_dec_put((uint8_t *)out, node);
    out[n] = '\0';
    return n;
}

enum err raft_driver_new(const struct raft_driver_config *cfg, struct raft_driver **out)
{
    char address[ADDRESS_BYTES_MAX];
    ASSERT(cfg->node.v != 0);
    use_heap();
    struct raft_driver *d = mem_zalloc(sizeof(*d));
    if (d == NULL) {
        return ERR_NOMEM;
    }
    address_put(address, cfg->node.v);
    if (raft_init(&d->raft, NULL, NULL, cfg->node.v, address) != 0) {
        mem_free(d);
        return ERR_NOMEM;
    }
    d->node = cfg->node.v;
    raft_seed(&d->raft, cfg->seed);
    raft_set_pre_vote(&d->raft, true);
    raft_set_election_timeout(&d->raft, cfg->election_ms);
    raft_set_heartbeat_timeout(&d->raft, cfg->heartbeat_ms);
    *out = d;
    return OK;
}

void raft_driver_free(struct raft_driver *d)
{
    if (d != NULL) {
        raft_close(&d->raft, NULL);
        mem_free(d->messages);
        mem_free(d);
    }
}

/* --- start --- */

/* One block: the entries, then the bytes of their configurations. */
struct start_block {
    struct raft_entry *entries;
    uint8_t *base;
    size_t bytes;
};

static enum err start_block_alloc(const struct raft_start *s, size_t n, struct start_block *out)
{
    size_t bytes = n * sizeof(struct raft_entry) + 1; /* + 1: the shared, empty batch */
    for (size_t i = 0; i < s->n_changes; i++) {
        bytes += s->changes[i].configuration.n;
    }
    out->base = mem_zalloc(bytes);
    if (out->base == NULL) {
        return ERR_NOMEM;
    }
    out->entries = (struct raft_entry *)(void *)out->base;
    out->bytes = bytes;
    return OK;
}

static void start_block_fill(const struct raft_start *s, size_t n, const struct start_block *b)
{
    uint8_t *at = b->base + n * sizeof(struct raft_entry);
    uint8_t *batch = at++;
    size_t range = 0;
    for (size_t i = 0; i < n; i++) {
        uint64_t index = s->log_first + i;
        while (range + 1 < s->n_ranges && s->ranges[range + 1].first <= index) {
            range++;
        }
        b->entries[i].term = s->ranges[range].term;
        b->entries[i].type = RAFT_COMMAND;
        b->entries[i].batch = batch;
    }
    for (size_t i = 0; i < s->n_changes; i++) {
        struct slice conf = s->changes[i].configuration;
        struct raft_entry *entry = &b->entries[s->changes[i].index - s->log_first];
        memcpy(at, conf.p, conf.n);
        entry->type = RAFT_CHANGE;
        entry->buf.base = at;
        entry->buf.len = conf.n;
        at += conf.n;
    }
}

static void check_start(const struct raft_start *s)
{
    ASSERT(s->log_first >= 1 && s->log_first <= s->snapshot_index + 1 && s->log_last + 1 >= s->log_first);
    ASSERT(s->log_last >= s->snapshot_index && s->applied <= s->log_last);
    ASSERT(s->log_last < s->log_first || (s->n_ranges > 0 && s->ranges[0].first <= s->log_first));
    ASSERT(s->snapshot_index != 0 || s->log_last == 0 || (s->n_changes > 0 && s->changes[0].index == 1));
    for (size_t i = 0; i < s->n_changes; i++) {
        ASSERT(s->changes[i].index >= s->log_first && s->changes[i].index <= s->log_last);
    }
}

/* The library takes the log's last configuration as uncommitted until it is told. */
static enum err settle_configuration(struct raft_driver *d, const struct raft_start *s)
{
    if (s->n_changes == 0) {
        return OK;
    }
    const struct raft_log_change *last = &s->changes[s->n_changes - 1];
    if (last->index > s->applied || d->raft.configuration_uncommitted_index != last->index) {
        return OK;
    }
    return raft_driver_configuration_applied(d, s->now_ms, last->index, last->configuration);
}

static enum err start_step(struct raft_driver *d, const struct raft_start *s, struct raft_snapshot_metadata *metadata,
                           struct raft_driver_update *out)
{
    size_t n = (size_t)(s->log_last + 1 - s->log_first);
    struct raft_event event = {.type = RAFT_START, .time = s->now_ms};
    struct start_block block;
    enum err e = start_block_alloc(s, n, &block);
    if (e != OK) {
        raft_configuration_close(&metadata->configuration);
        return e;
    }
    start_block_fill(s, n, &block);
    event.start.metadata = s->snapshot_index != 0 ? metadata : NULL;
    event.start.term = s->term;
    event.start.voted_for = s->vote;
    event.start.start_index = s->log_first;
    event.start.entries = n == 0 ? NULL : block.entries;
    event.start.n_entries = (unsigned)n;
    lent.from = block.base;
    lent.to = block.base + block.bytes;
    e = step(d, &event, out);
    lent.from = NULL;
    lent.to = NULL;
    mem_free(block.base);
    return e;
}

enum err raft_driver_start(struct raft_driver *d, const struct raft_start *s, struct raft_driver_update *out)
{
    struct raft_snapshot_metadata metadata = {.index = s->snapshot_index, .term = s->snapshot_term};
    check_start(s);
    if (s->snapshot_index != 0) {
        struct raft_buffer conf = {.base = (void *)(uintptr_t)s->configuration.p, .len = s->configuration.n};
        int rc = raft_configuration_decode(&conf, &metadata.configuration); /* becomes the library's in raft_step() */
        if (rc != 0) {
            return map_error(rc);
        }
        metadata.configuration_index = s->configuration_index;
    }
    enum err e = start_step(d, s, &metadata, out);
    return e == OK ? settle_configuration(d, s) : e;
}

/* --- several servers --- */

/* The library frees the first entry's batch when it does not keep the entries: it gets a byte that is not its own. */
static uint8_t no_bytes[8];

static void lend_no_bytes(void)
{
    lent.from = no_bytes;
    lent.to = no_bytes + sizeof(no_bytes);
}

static void lend_nothing(void)
{
    lent.from = NULL;
    lent.to = NULL;
}

static void raft_entry_of(const struct repl_entry *e, struct raft_entry *out)
{
    memset(out, 0, sizeof(*out));
    out->term = e->head.term;
    out->type = e->head.type == REPL_ENTRY_CHUNK ? RAFT_COMMAND : (enum raft_entry_type)e->head.type;
    out->batch = no_bytes;
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
        return map_error(raft_configuration_decode(&conf, &out->install_snapshot.conf)); /* the library's then */
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

/* A server may be a voter in the candidate's log and not yet in its own: with one voter before and two now, nobody could
 * ever be elected. The library denies a vote to whoever does not count it, so for this step it is a voter; a candidate
 * counts the votes of its own configuration only. Nor does the library ever let a server that is no voter forget its
 * leader. */
static struct raft_server *lend_vote(struct raft_driver *d, const struct repl_message *m, uint64_t now_ms)
{
    for (unsigned i = 0; m->type == REPL_MESSAGE_VOTE && i < d->raft.configuration.n; i++) {
        struct raft_server *self = &d->raft.configuration.servers[i];
        if (self->id != d->node || self->role != RAFT_STANDBY) {
            continue;
        }
        if (now_ms - d->heard_ms >= d->raft.election_timeout && d->raft.state == RAFT_FOLLOWER) {
            d->raft.follower_state.current_leader.id = 0;
        }
        self->role = RAFT_VOTER;
        return self;
    }
    return NULL;
}

enum err raft_driver_receive(struct raft_driver *d, uint64_t now_ms, const struct repl_message *m,
                             const struct repl_entry *entries, struct raft_driver_update *out)
{
    struct raft_entry copies[REPL_MESSAGE_ENTRIES_MAX];
    struct raft_message message;
    struct raft_event event = {.type = RAFT_RECEIVE, .time = now_ms, .receive.message = &message};
    char address[ADDRESS_BYTES_MAX];
    ASSERT(m->n_entries <= REPL_MESSAGE_ENTRIES_MAX && (m->type == REPL_MESSAGE_APPEND || m->n_entries == 0));
    memset(&message, 0, sizeof(message));
    memset(out, 0, sizeof(*out));
    enum err e = fill_message(m, &message);
    if (e != OK) {
        return e;
    }
    address_put(address, m->from.v);
    message.server_id = m->from.v;
    message.server_address = address;
    for (size_t i = 0; i < m->n_entries; i++) {
        raft_entry_of(&entries[i], &copies[i]);
    }
    if (m->type == REPL_MESSAGE_APPEND) {
        message.append_entries.entries = copies;
    }
    struct raft_server *self = lend_vote(d, m, now_ms);
    lend_no_bytes();
    e = step(d, &event, out);
    lend_nothing();
    if (m->type == REPL_MESSAGE_APPEND && m->term == d->raft.current_term) {
        d->heard_ms = now_ms;
    }
    if (self != NULL) {
        self->role = RAFT_STANDBY;
    }
    return e;
}

uint64_t raft_driver_deadline_ms(const struct raft_driver *d)
{
    return raft_timeout(&d->raft);
}

enum err raft_driver_timeout(struct raft_driver *d, uint64_t now_ms, struct raft_driver_update *out)
{
    struct raft_event event = {.type = RAFT_TIMEOUT, .time = now_ms};
    return step(d, &event, out);
}

enum err raft_driver_submit(struct raft_driver *d, uint64_t now_ms, size_t n, struct raft_driver_update *out)
{
    struct raft_entry entries[SUBMIT_ENTRIES_MAX];
    struct raft_event event = {.type = RAFT_SUBMIT, .time = now_ms};
    ASSERT(n > 0 && n <= SUBMIT_ENTRIES_MAX);
    for (size_t i = 0; i < n; i++) {
        struct raft_entry entry = {.term = d->raft.current_term, .type = RAFT_COMMAND, .batch = no_bytes};
        entries[i] = entry;
    }
    event.submit.entries = entries;
    event.submit.n = (unsigned)n;
    return step(d, &event, out);
}

enum err raft_driver_change(struct raft_driver *d, uint64_t now_ms, struct slice configuration,
                            struct raft_driver_update *out)
{
    struct raft_entry entry = {.term = d->raft.current_term, .type = RAFT_CHANGE, .batch = no_bytes};
    struct raft_event event = {.type = RAFT_SUBMIT, .time = now_ms};
    entry.buf.base = (void *)(uintptr_t)configuration.p;
    entry.buf.len = configuration.n;
    event.submit.entries = &entry;
    event.submit.n = 1;
    return step(d, &event, out);
}

enum err raft_driver_persisted(struct raft_driver *d, uint64_t now_ms, uint64_t index, struct raft_driver_update *out)
{
    struct raft_event event = {.type = RAFT_PERSISTED_ENTRIES, .time = now_ms};
    ASSERT(index > d->raft.last_stored && index <= raft_last_index(&d->raft));
    event.persisted_entries.index = index;
    return step(d, &event, out);
}

enum err raft_driver_configuration_applied(struct raft_driver *d, uint64_t now_ms, uint64_t index,
                                           struct slice configuration)
{
    struct raft_driver_update ignored;
    struct raft_event event = {.type = RAFT_CONFIGURATION, .time = now_ms};
    struct raft_buffer conf = {.base = (void *)(uintptr_t)configuration.p, .len = configuration.n};
    enum err e = map_error(raft_configuration_decode(&conf, &event.configuration.conf)); /* the library's then */
    if (e != OK) {
        return e;
    }
    event.configuration.index = index;
    e = step(d, &event, &ignored);
    ASSERT(e != OK || (ignored.n_messages == 0 && ignored.append_first == 0));
    return e;
}

enum err raft_driver_transfer(struct raft_driver *d, uint64_t now_ms, struct node_id to, struct raft_driver_update *out)
{
    struct raft_event event = {.type = RAFT_TRANSFER, .time = now_ms};
    event.transfer.server_id = to.v;
    return step(d, &event, out);
}

void raft_driver_inflight_max(struct raft_driver *d, unsigned entries)
{
    raft_set_max_inflight_entries(&d->raft, entries);
}

uint64_t raft_driver_match(const struct raft_driver *d, struct node_id server)
{
    raft_index index = 0;
    return raft_match_index(&d->raft, server.v, &index) == 0 ? index : 0;
}

size_t raft_driver_servers(const struct raft_driver *d, struct raft_server_info out[RAFT_SERVERS_MAX])
{
    const struct raft_configuration *c = &d->raft.configuration;
    size_t n = c->n < RAFT_SERVERS_MAX ? c->n : RAFT_SERVERS_MAX;
    for (size_t i = 0; i < n; i++) {
        out[i].node.v = c->servers[i].id;
        out[i].role = (enum raft_server_role)c->servers[i].role;
    }
    return n;
}

uint64_t raft_driver_change_index(const struct raft_driver *d)
{
    return d->raft.configuration_uncommitted_index;
}

uint64_t raft_driver_vote(const struct raft_driver *d)
{
    return raft_voted_for(&d->raft);
}

struct node_id raft_driver_leader(struct raft_driver *d)
{
    struct node_id leader = {0};
    const char *address = NULL;
    raft_id id = 0;
    raft_leader(&d->raft, &id, &address);
    leader.v = id;
    return leader;
}

bool raft_driver_serves(struct raft_driver *d)
{
    return raft_driver_leads(d) && raft_commit_index(&d->raft) >= d->serves_from;
}

/* --- a single server --- */

static enum err submit(struct raft_driver *d, uint64_t now_ms, uint64_t first, size_t n)
{
    struct raft_driver_update update;
    enum err e = raft_driver_submit(d, now_ms, n, &update);
    ASSERT(e != OK || (update.append_first == first && update.append_n == n && update.n_messages == 0));
    return e;
}

enum err raft_driver_append(struct raft_driver *d, uint64_t now_ms, uint64_t first, size_t n)
{
    struct raft_driver_update update;
    ASSERT(n > 0 && first == raft_last_index(&d->raft) + 1);
    ASSERT(raft_driver_is_sole(d));
    for (size_t done = 0; done < n;) {
        size_t take = n - done < SUBMIT_ENTRIES_MAX ? n - done : SUBMIT_ENTRIES_MAX;
        enum err e = submit(d, now_ms, first + done, take);
        if (e != OK) {
            return e;
        }
        done += take;
    }
    enum err e = raft_driver_persisted(d, now_ms, first + n - 1, &update);
    ASSERT(e != OK || (update.n_messages == 0 && raft_commit_index(&d->raft) == first + n - 1));
    return e;
}

enum err raft_driver_compact(struct raft_driver *d, uint64_t now_ms, uint64_t snapshot_index, uint64_t snapshot_term,
                             uint64_t configuration_index)
{
    struct raft_driver_update update;
    struct raft_event event = {.type = RAFT_SNAPSHOT, .time = now_ms};
    ASSERT(snapshot_index > d->raft.trail.snapshot.index && snapshot_index < raft_last_index(&d->raft));
    /* The library has this configuration already; an empty one is ignored and costs no allocation. */
    ASSERT(configuration_index <= d->raft.configuration_committed_index);
    event.snapshot.metadata.index = snapshot_index;
    event.snapshot.metadata.term = snapshot_term;
    event.snapshot.metadata.configuration_index = configuration_index;
    event.snapshot.trailing = 0;
    return step(d, &event, &update);
}

bool raft_driver_leads(struct raft_driver *d)
{
    return raft_state(&d->raft) == RAFT_LEADER;
}

uint64_t raft_driver_term(const struct raft_driver *d)
{
    return raft_current_term(&d->raft);
}

uint64_t raft_driver_last_index(struct raft_driver *d)
{
    return raft_last_index(&d->raft);
}

uint64_t raft_driver_commit_index(const struct raft_driver *d)
{
    return raft_commit_index(&d->raft);
}

bool raft_driver_is_sole(struct raft_driver *d)
{
    const struct raft *r = &d->raft;
    return raft_driver_leads(d) && r->configuration.n == 1 && r->configuration_uncommitted_index == 0;
}

/* --- configurations --- */

enum err raft_configuration_put(const struct raft_server_info *servers, size_t n, struct buf *out)
{
    struct raft_configuration conf;
    struct raft_buffer encoded = {.base = NULL, .len = 0};
    enum err e = OK;
    use_heap();
    raft_configuration_init(&conf);
    for (size_t i = 0; e == OK && i < n; i++) {
        char address[ADDRESS_BYTES_MAX];
        address_put(address, servers[i].node.v);
        e = map_error(raft_configuration_add(&conf, servers[i].node.v, address, (int)servers[i].role));
    }
    if (e == OK) {
        e = map_error(raft_configuration_encode(&conf, &encoded));
    }
    if (e == OK) {
        e = buf_append(out, encoded.base, encoded.len);
        raft_free(encoded.base);
    }
    raft_configuration_close(&conf);
    return e;
}

/* format(1) = 1, servers(8), then for each id(8), address NUL-terminated, role(1); padded with zeros to 8 bytes. */
enum err raft_configuration_get(struct slice configuration, struct raft_server_info out[RAFT_SERVERS_MAX],
                                size_t *out_n)
{
    struct reader r = reader_make(configuration);
    uint8_t format = reader_u8(&r);
    uint64_t servers = reader_le64(&r);
    if (r.failed || format != CONFIGURATION_FORMAT || servers == 0 || servers > RAFT_SERVERS_MAX) {
        return ERR_CORRUPT;
    }
    for (uint64_t i = 0; i < servers && !r.failed; i++) {
        uint64_t id = reader_le64(&r);
        while (!r.failed && reader_u8(&r) != 0) {
        }
        uint8_t role = reader_u8(&r);
        if (r.failed || id == 0 || role > RAFT_SPARE) {
            return ERR_CORRUPT;
        }
        out[i].node.v = id;
        out[i].role = (enum raft_server_role)role;
    }
    if (r.failed || reader_left(&r) >= 8) {
        return ERR_CORRUPT;
    }
    *out_n = (size_t)servers;
    return OK;
}

bool raft_configuration_is_sole(const struct raft_server_info *servers, size_t n, struct node_id node)
{
    size_t voters = 0;
    bool votes = false;
    for (size_t i = 0; i < n; i++) {
        voters += servers[i].role == RAFT_ROLE_VOTER;
        votes = votes || (servers[i].role == RAFT_ROLE_VOTER && servers[i].node.v == node.v);
    }
    return votes && voters == 1;
}
