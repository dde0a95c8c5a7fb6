#include "replication/raft_driver.h"

#include <pthread.h>
#include <raft.h>

#include "proto/base/assert.h"
#include "proto/base/bytes.h"
#include "proto/base/mem.h"

#define ADDRESS_BYTES_MAX (U64_DEC_BYTES_MAX + 1)
#define CONFIGURATION_FORMAT 1
#define SUBMIT_ENTRIES_MAX 256 /* entries handed over in one event; more are several events */

struct raft_driver {
    struct raft raft;
    uint64_t node;
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
    case RAFT_MALFORMED:
    case RAFT_CORRUPT:
        return ERR_CORRUPT;
    default:
        return ERR_UNAVAILABLE;
    }
}

static enum err step(struct raft_driver *d, struct raft_event *event, struct raft_update *update)
{
    memset(update, 0, sizeof(*update));
    enum err e = map_error(raft_step(&d->raft, event, update));
    /* A sole voter has nobody to talk to; a volume refuses groups of several voters at open. */
    ASSERT(e != OK || (update->flags & (RAFT_UPDATE_MESSAGES)) == 0 || update->messages.n == 0);
    return e;
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
    ASSERT(s->log_last >= s->snapshot_index);
    ASSERT(s->log_last < s->log_first || (s->n_ranges > 0 && s->ranges[0].first <= s->log_first));
    ASSERT(s->snapshot_index != 0 || (s->n_changes > 0 && s->changes[0].index == 1));
    for (size_t i = 0; i < s->n_changes; i++) {
        ASSERT(s->changes[i].index >= s->log_first && s->changes[i].index <= s->log_last);
    }
}

enum err raft_driver_start(struct raft_driver *d, const struct raft_start *s)
{
    size_t n = (size_t)(s->log_last + 1 - s->log_first);
    struct raft_event event = {.type = RAFT_START, .time = s->now_ms};
    struct raft_snapshot_metadata metadata = {.index = s->snapshot_index, .term = s->snapshot_term};
    struct raft_update update;
    struct start_block block;
    check_start(s);
    if (s->snapshot_index != 0) {
        struct raft_buffer conf = {.base = (void *)(uintptr_t)s->configuration.p, .len = s->configuration.n};
        int rc = raft_configuration_decode(&conf, &metadata.configuration); /* becomes the library's in raft_step() */
        if (rc != 0) {
            return map_error(rc);
        }
        metadata.configuration_index = s->configuration_index;
        event.start.metadata = &metadata;
    }
    enum err e = start_block_alloc(s, n, &block);
    if (e != OK) {
        raft_configuration_close(&metadata.configuration);
        return e;
    }
    start_block_fill(s, n, &block);
    event.start.term = s->term;
    event.start.voted_for = s->vote;
    event.start.start_index = s->log_first;
    event.start.entries = n == 0 ? NULL : block.entries;
    event.start.n_entries = (unsigned)n;
    lent.from = block.base;
    lent.to = block.base + block.bytes;
    e = step(d, &event, &update);
    lent.from = NULL;
    lent.to = NULL;
    mem_free(block.base);
    return e;
}

/* --- running --- */

static enum err submit(struct raft_driver *d, uint64_t now_ms, uint64_t first, size_t n)
{
    static uint8_t no_bytes[8]; /* payloads stay in the log rows: the library keeps terms only */
    struct raft_entry entries[SUBMIT_ENTRIES_MAX];
    struct raft_update update;
    struct raft_event event = {.type = RAFT_SUBMIT, .time = now_ms};
    for (size_t i = 0; i < n; i++) {
        struct raft_entry entry = {.term = d->raft.current_term, .type = RAFT_COMMAND, .batch = no_bytes};
        entries[i] = entry;
    }
    event.submit.entries = entries;
    event.submit.n = (unsigned)n;
    enum err e = step(d, &event, &update);
    if (e != OK) {
        return e;
    }
    ASSERT((update.flags & (RAFT_UPDATE_ENTRIES)) != 0 && update.entries.index == first && update.entries.n == n);
    return OK;
}

enum err raft_driver_append(struct raft_driver *d, uint64_t now_ms, uint64_t first, size_t n)
{
    struct raft_update update;
    struct raft_event event = {.type = RAFT_PERSISTED_ENTRIES, .time = now_ms};
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
    event.persisted_entries.index = first + n - 1;
    enum err e = step(d, &event, &update);
    if (e != OK) {
        return e;
    }
    ASSERT(raft_commit_index(&d->raft) == first + n - 1);
    return OK;
}

enum err raft_driver_compact(struct raft_driver *d, uint64_t now_ms, uint64_t snapshot_index, uint64_t snapshot_term,
                             uint64_t configuration_index)
{
    struct raft_update update;
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
    unsigned voters = 0;
    for (unsigned i = 0; i < r->configuration.n; i++) {
        voters += r->configuration.servers[i].role == RAFT_VOTER;
    }
    return raft_driver_leads(d) && voters == 1 && r->configuration_uncommitted_index == 0;
}

/* --- configurations --- */

enum err raft_configuration_sole(struct node_id node, struct buf *out)
{
    struct raft_configuration conf;
    struct raft_buffer encoded = {.base = NULL, .len = 0};
    char address[ADDRESS_BYTES_MAX];
    use_heap();
    address_put(address, node.v);
    raft_configuration_init(&conf);
    enum err e = map_error(raft_configuration_add(&conf, node.v, address, RAFT_VOTER));
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
enum err raft_configuration_check(struct slice configuration, struct node_id node, bool *out_sole)
{
    struct reader r = reader_make(configuration);
    uint64_t voters = 0;
    bool votes = false;
    uint8_t format = reader_u8(&r);
    uint64_t servers = reader_le64(&r);
    if (r.failed || format != CONFIGURATION_FORMAT || servers == 0) {
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
        voters += role == RAFT_VOTER;
        votes = votes || (role == RAFT_VOTER && id == node.v);
    }
    if (r.failed || reader_left(&r) >= 8) {
        return ERR_CORRUPT;
    }
    *out_sole = votes && voters == 1;
    return OK;
}
