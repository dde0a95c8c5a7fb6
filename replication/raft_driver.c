#include "replication/raft_driver.h"

#include "proto/base/assert.h"
#include "proto/base/mem.h"
#include "replication/lease.h"
#include "replication/raft_driver_internal.h"

/* A follower that needs a second snapshot, because the log's head passed it or the copy broke off, says so by rejecting
 * heartbeats; the library ignores that when it has compacted since, until this time (30 s by itself). Offering the
 * snapshot again to one that still installs does no harm. */
#define INSTALL_ELECTIONS 2

enum err raft_driver_new(const struct raft_driver_config *cfg, struct raft_driver **out)
{
    char address[RAFT_ADDRESS_BYTES_MAX];
    ASSERT(cfg->node.v != 0);
    raft_heap_use();
    struct raft_driver *d = mem_zalloc(sizeof(*d));
    if (d == NULL) {
        return ERR_NOMEM;
    }
    raft_address_put(address, cfg->node.v);
    if (raft_init(&d->raft, NULL, NULL, cfg->node.v, address) != 0) {
        mem_free(d);
        return ERR_NOMEM;
    }
    d->node = cfg->node.v;
    raft_seed(&d->raft, cfg->seed);
    raft_set_pre_vote(&d->raft, true);
    raft_set_election_timeout(&d->raft, cfg->election_ms);
    raft_set_heartbeat_timeout(&d->raft, cfg->heartbeat_ms);
    raft_set_install_snapshot_timeout(&d->raft, INSTALL_ELECTIONS * cfg->election_ms);
    d->lease_ms = lease_length_ms(cfg->election_ms, cfg->lease_drift_percent);
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
    raft_heap_lend(block.base, block.bytes);
    e = raft_driver_step(d, &event, out);
    raft_heap_lend(NULL, 0);
    mem_free(block.base);
    return e;
}

static void look_at_ranges(struct raft_driver *d, const struct raft_start *s)
{
    if (s->n_ranges > 0 && s->ranges[s->n_ranges - 1].term == s->term && s->log_last >= s->log_first) {
        d->own_term = s->term;
        d->own_first = s->ranges[s->n_ranges - 1].first;
    }
}

enum err raft_driver_start(struct raft_driver *d, const struct raft_start *s, struct raft_driver_update *out)
{
    struct raft_snapshot_metadata metadata = {.index = s->snapshot_index, .term = s->snapshot_term};
    check_start(s);
    if (s->snapshot_index != 0) {
        struct raft_buffer conf = {.base = (void *)(uintptr_t)s->configuration.p, .len = s->configuration.n};
        int rc = raft_configuration_decode(&conf, &metadata.configuration); /* becomes the library's in raft_step() */
        if (rc != 0) {
            return raft_error(rc);
        }
        metadata.configuration_index = s->configuration_index;
    }
    look_at_ranges(d, s);
    d->floor_index = s->floor_index;
    d->floor_term = s->floor_term;
    raft_lease_started(d, s);
    enum err e = start_step(d, s, &metadata, out);
    return e == OK ? settle_configuration(d, s) : e;
}

/* --- how it stands --- */

uint64_t raft_driver_deadline_ms(const struct raft_driver *d)
{
    return raft_timeout(&d->raft);
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

static uint64_t answered_ms(const struct raft_driver *d, uint64_t server)
{
    for (size_t i = 0; i < RAFT_SERVERS_MAX; i++) {
        if (d->answers[i].from == server) {
            return d->answers[i].at_ms;
        }
    }
    return 0;
}

uint64_t raft_driver_wanted(const struct raft_driver *d, uint64_t since_ms, uint64_t first)
{
    uint64_t wanted = UINT64_MAX;
    for (unsigned i = 0; d->raft.state == RAFT_LEADER && i < d->raft.configuration.n; i++) {
        struct node_id server = {d->raft.configuration.servers[i].id};
        uint64_t next = raft_driver_match(d, server) + 1;
        if (server.v != d->node && answered_ms(d, server.v) > since_ms && next >= first && next < wanted) {
            wanted = next;
        }
    }
    return wanted;
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

uint64_t raft_driver_configuration_index(const struct raft_driver *d)
{
    uint64_t uncommitted = d->raft.configuration_uncommitted_index;
    return uncommitted != 0 ? uncommitted : d->raft.configuration_committed_index;
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

uint64_t raft_driver_silent_ms(struct raft_driver *d, uint64_t now_ms)
{
    return d->raft.state == RAFT_LEADER ? 0 : now_ms - d->heard_ms;
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
        size_t take = n - done < RAFT_SUBMIT_ENTRIES_MAX ? n - done : RAFT_SUBMIT_ENTRIES_MAX;
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
    return raft_driver_step(d, &event, &update);
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
