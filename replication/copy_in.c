#include "proto/base/assert.h"
#include "proto/base/log.h"
#include "proto/base/mem.h"
#include "replication/copy.h"
#include "replication/key.h"
#include "replication/volume_run.h"

#define WINDOW 6         /* batches asked for beyond what is durable */
#define PATIENCE_MS 1500 /* without progress: pull again */
#define GIVE_UP_MS 20000
#define ROW_HEAD 7
#define FLAG_GONE 1
#define WAITING_MAX (WINDOW + 1)

struct copy_in {
    struct node_id from;
    uint64_t id;
    uint16_t attempt;
    uint32_t replica; /* where the rows go; 0: not chosen yet */
    uint64_t done;    /* batches that are durable */
    uint64_t taken;   /* received in order */
    struct waiting {
        struct slice rows;
        struct repl_received *received;
    } waiting[WAITING_MAX];
    size_t n_waiting;
    size_t in_transaction; /* of them */
    bool named;            /* the open transaction chose the replica's number */
    bool last;             /* the last batch is among the waiting ones */
    struct repl_meta meta; /* of the new replica, then */
    uint8_t *configuration;
    size_t configuration_n;
    uint64_t progress_ms;
    uint64_t pulled_ms;
};

static void pull(struct volume *v, struct group *g, bool again, uint64_t now_ms)
{
    struct copy_in *c = g->copy_in;
    if (again) {
        c->attempt++;
        c->taken = c->done + c->n_waiting;
    }
    const struct repl_message m = {
        .type = REPL_MESSAGE_COPY_PULL,
        .shard = g->shard,
        .from = g->node,
        .to = c->from,
        .copy = c->id,
        .attempt = c->attempt,
        .sequence = again ? c->taken : c->done,
        .upto = c->done + WINDOW,
        .again = again,
    };
    buf_reset(&v->message);
    if (repl_message_put(&m, &v->message) == OK) {
        volume_send(v, c->from, true, buf_slice(&v->message));
    }
    c->pulled_ms = now_ms;
}

static void release(struct copy_in *c, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        group_received_unref(c->waiting[i].received);
    }
    c->n_waiting -= n;
    memmove(c->waiting, c->waiting + n, c->n_waiting * sizeof(c->waiting[0]));
}

void copy_in_drop(struct group *g)
{
    struct copy_in *c = g->copy_in;
    if (c == NULL) {
        return;
    }
    release(c, c->n_waiting);
    mem_free(c->configuration);
    mem_free(c);
    g->copy_in = NULL;
}

void copy_in_begin(struct volume *v, struct group *g, struct node_id from, uint64_t now_ms)
{
    copy_in_drop(g);
    v->garbage = true;
    g->copy_in = mem_zalloc(sizeof(*g->copy_in));
    if (g->copy_in == NULL) {
        volume_reload(v, g); /* raft believes that it installs: it would wait for ever */
        return;
    }
    g->copy_in->from = from;
    g->copy_in->id = rng_u64(v->cfg.rng);
    g->copy_in->progress_ms = now_ms;
    log_info("replica.copy", "catching up by a copy", LOG_U64("shard", g->shard.v), LOG_U64("from", from.v));
    pull(v, g, false, now_ms);
}

/* --- batches --- */

/* The state must be ahead of what is here, and complete. */
static bool take_last(struct group *g, struct copy_in *c, const struct repl_message *m)
{
    if (m->index <= g->meta.applied || m->index_term == 0 || m->configuration_index == 0 ||
        m->configuration_index > m->index) {
        return false;
    }
    mem_free(c->configuration);
    c->configuration = mem_alloc(m->configuration.n);
    if (c->configuration == NULL) {
        return false;
    }
    memcpy(c->configuration, m->configuration.p, m->configuration.n);
    c->configuration_n = m->configuration.n;
    c->last = true;
    c->meta = (struct repl_meta){.node = g->node.v,
                                 .applied = m->index,
                                 .log_first = m->index + 1,
                                 .log_last = m->index,
                                 .last_term = m->index_term,
                                 .snapshot_index = m->index,
                                 .snapshot_term = m->index_term,
                                 .snapshot_configuration = m->configuration_index};
    return true;
}

void copy_in_received(struct volume *v, struct group *g, const struct repl_message *m, struct repl_received *received,
                      uint64_t now_ms)
{
    struct copy_in *c = g->copy_in;
    if (c == NULL || m->from.v != c->from.v || m->copy != c->id || m->attempt != c->attempt) {
        return;
    }
    if (m->sequence == c->taken && m->rows.n == 0) { /* others are copied first */
        c->progress_ms = now_ms;
        return;
    }
    if (m->sequence != c->taken + 1 || c->n_waiting == WAITING_MAX || c->last) {
        return;
    }
    if (m->last && !take_last(g, c, m)) {
        copy_in_drop(g);
        volume_reload(v, g);
        return;
    }
    c->waiting[c->n_waiting].rows = m->rows;
    c->waiting[c->n_waiting++].received = received;
    received->refs++;
    c->taken = m->sequence;
    c->progress_ms = now_ms;
    volume_activate(v, g);
}

void copy_in_tick(struct volume *v, struct group *g, uint64_t now_ms)
{
    struct copy_in *c = g->copy_in;
    if (c == NULL) {
        return;
    }
    if (now_ms > c->progress_ms + GIVE_UP_MS) {
        log_warn("replica.copy", "the copy does not go on: giving up", LOG_U64("shard", g->shard.v),
                 LOG_U64("from", c->from.v));
        volume_reload(v, g);
    } else if (now_ms > c->progress_ms + PATIENCE_MS && now_ms > c->pulled_ms + PATIENCE_MS && c->n_waiting == 0) {
        pull(v, g, true, now_ms);
    }
}

/* --- the transaction --- */

bool copy_in_waits(const struct group *g)
{
    return g->copy_in != NULL && g->copy_in->n_waiting > 0;
}

size_t copy_in_bytes(const struct group *g)
{
    size_t bytes = 0;
    for (size_t i = 0; g->copy_in != NULL && i < g->copy_in->n_waiting; i++) {
        bytes += 2 * g->copy_in->waiting[i].rows.n;
    }
    return bytes;
}

static bool is_row(struct slice rest)
{
    return rest.n > 0 && rest.n <= KV_KEY_BYTES_MAX - 4 &&
           (rest.p[0] == 'B' || rest.p[0] == 'P' || rest.p[0] == 'Q' || rest.p[0] == 'S');
}

static enum err write_row(struct kv_txn *t, uint32_t replica, struct slice rest, struct slice value, bool gone)
{
    uint8_t key[KV_KEY_BYTES_MAX];
    put_be32(key, replica);
    memcpy(key + 4, rest.p, rest.n);
    if (!gone) {
        return kv_put(t, slice_make(key, 4 + rest.n), value);
    }
    enum err e = kv_del(t, slice_make(key, 4 + rest.n));
    return e == ERR_NOTFOUND ? OK : e;
}

enum err copy_rows_write(struct kv_txn *t, uint32_t replica, struct slice rows, uint64_t *out_n)
{
    struct reader r = reader_make(rows);
    enum err e = OK;
    uint64_t n = 0;
    for (; e == OK && reader_left(&r) > 0; n++) {
        uint16_t key_n = reader_le16(&r);
        uint8_t flags = reader_u8(&r);
        uint32_t value_n = reader_le32(&r);
        struct slice key = reader_bytes(&r, key_n);
        struct slice value = reader_bytes(&r, value_n);
        e = r.failed || !is_row(key) ? ERR_CORRUPT : OK;
        if (e == OK && t != NULL) {
            e = write_row(t, replica, key, value, (flags & FLAG_GONE) != 0);
        }
    }
    *out_n = n;
    return e;
}

enum err copy_drop_later_bodies(struct kv_txn *t, uint32_t replica, uint64_t index)
{
    struct repl_key from = key_index(replica, 'B', index + 1);
    struct kv_cursor *c;
    struct slice key;
    struct slice row;
    enum err e = kv_cursor_open(t, &c);
    if (e != OK) {
        return e;
    }
    e = kv_cursor_seek(c, key_slice(&from), &key, &row);
    while (e == OK && key_under(key, replica, 'B')) {
        e = kv_cursor_del(c);
        if (e == OK) {
            e = kv_cursor_next(c, &key, &row);
        }
    }
    kv_cursor_close(c);
    return e == ERR_NOTFOUND ? OK : e;
}

/* The new replica becomes the shard's, the old one garbage. */
static enum err write_switch(struct group *g, struct kv_txn *t)
{
    struct copy_in *c = g->copy_in;
    struct repl_key shard = key_shard(g->shard.v);
    struct repl_key garbage = key_garbage(c->replica);
    uint8_t number[4];
    put_be32(number, c->replica);
    c->meta.term = g->next.term > c->meta.snapshot_term ? g->next.term : c->meta.snapshot_term;
    c->meta.vote = c->meta.term == g->next.term ? g->next.vote : 0;
    c->meta.floor_index = g->next.floor_index;
    c->meta.floor_term = g->next.floor_term;
    enum err e = copy_drop_later_bodies(t, c->replica, c->meta.applied);
    if (e == OK) {
        e = log_configuration_put(t, c->replica, c->meta.snapshot_configuration,
                                  slice_make(c->configuration, c->configuration_n));
    }
    if (e == OK) {
        e = log_meta_put(t, c->replica, &c->meta);
    }
    if (e == OK) {
        e = kv_put(t, key_slice(&shard), slice_make(number, sizeof(number)));
    }
    if (e == OK) {
        e = kv_del(t, key_slice(&garbage));
    }
    return e == OK ? copy_garbage_put(t, g->replica) : e;
}

enum err copy_in_write(struct volume *v, struct group *g, struct kv_txn *t)
{
    struct copy_in *c = g->copy_in;
    enum err e = OK;
    if (c->replica == 0) {
        c->replica = v->next_replica++;
        c->named = true;
        e = volume_row_put(v, t);
        if (e == OK) {
            e = copy_garbage_put(t, c->replica);
        }
    }
    for (size_t i = 0; e == OK && i < c->n_waiting; i++) {
        uint64_t n;
        e = copy_rows_write(t, c->replica, c->waiting[i].rows, &n);
    }
    c->in_transaction = c->n_waiting;
    return e == OK && c->last ? write_switch(g, t) : e;
}

void copy_in_aborted(struct group *g)
{
    struct copy_in *c = g->copy_in;
    if (c != NULL) {
        c->in_transaction = 0;
        c->replica = c->named ? 0 : c->replica; /* its number is not used: the next one is */
        c->named = false;
    }
}

bool copy_in_written(struct volume *v, struct group *g, uint64_t now_ms)
{
    struct copy_in *c = g->copy_in;
    if (c == NULL || c->in_transaction == 0) {
        return false;
    }
    c->done += c->in_transaction;
    release(c, c->in_transaction);
    c->in_transaction = 0;
    c->named = false;
    if (!c->last) {
        pull(v, g, false, now_ms);
        return false;
    }
    log_info("replica.copy", "caught up by a copy", LOG_U64("shard", g->shard.v), LOG_U64("from", c->from.v),
             LOG_U64("index", c->meta.applied));
    __atomic_store_n(&g->replica, c->replica, __ATOMIC_RELEASE); /* readers look (volume_state_prefix) */
    g->meta = c->meta;
    return true;
}

/* --- garbage --- */

enum err copy_garbage_put(struct kv_txn *t, uint32_t replica)
{
    struct repl_key k = key_garbage(replica);
    return kv_put(t, key_slice(&k), slice_make("", 0));
}

/* Rows of a replica, whatever they are; ERR_NOTFOUND when none is left. */
static enum err delete_rows(struct kv_cursor *c, uint32_t replica, size_t *rows_left, bool *out_changed)
{
    uint8_t from[4];
    struct slice key;
    struct slice row;
    put_be32(from, replica);
    enum err e = kv_cursor_seek(c, slice_make(from, sizeof(from)), &key, &row);
    while (e == OK && *rows_left > 0) {
        if (key.n < 4 || get_be32(key.p) != replica) {
            return ERR_NOTFOUND;
        }
        (*rows_left)--;
        *out_changed = true;
        e = kv_cursor_del(c);
        if (e == OK) {
            e = kv_cursor_next(c, &key, &row);
        }
    }
    return e;
}

static bool in_use(const struct volume *v, uint32_t replica)
{
    for (size_t i = 0; i < v->n_groups; i++) {
        const struct copy_in *c = v->groups[i]->copy_in;
        if (c != NULL && c->replica == replica) {
            return true;
        }
    }
    return false;
}

/* The first replica at or after *next whose rows may go. ERR_NOTFOUND. */
static enum err next_garbage(const struct volume *v, struct kv_cursor *c, uint32_t *next)
{
    struct repl_key from = key_garbage(*next);
    struct slice key;
    struct slice row;
    enum err e = kv_cursor_seek(c, key_slice(&from), &key, &row);
    while (e == OK && key_under(key, 0, 'G') && key.n == KEY_HEAD_BYTES + 4) {
        *next = get_be32(key.p + KEY_HEAD_BYTES);
        if (!in_use(v, *next)) {
            return OK;
        }
        e = kv_cursor_next(c, &key, &row);
    }
    return e == OK ? ERR_NOTFOUND : e;
}

enum err copy_garbage_step(const struct volume *v, struct kv_txn *t, size_t *rows_left, bool *out_changed,
                           bool *out_done)
{
    struct kv_cursor *c;
    uint32_t replica = 0;
    enum err e = kv_cursor_open(t, &c);
    *out_done = false;
    if (e != OK) {
        return e;
    }
    while (e == OK && *rows_left > 0) {
        e = next_garbage(v, c, &replica);
        *out_done = e == ERR_NOTFOUND;
        if (e != OK) {
            break;
        }
        e = delete_rows(c, replica, rows_left, out_changed);
        if (e == ERR_NOTFOUND) {
            struct repl_key garbage = key_garbage(replica);
            *out_changed = true;
            e = kv_del(t, key_slice(&garbage));
        }
    }
    kv_cursor_close(c);
    return e == ERR_NOTFOUND ? OK : e;
}
