#include "proto/base/assert.h"
#include "proto/base/hash.h"
#include "proto/base/hmap.h"
#include "proto/base/mem.h"
#include "proto/base/plant.h"
#include "replication/copy.h"
#include "replication/key.h"
#include "replication/volume_run.h"

#define BATCH_BYTES ((size_t)192 * 1024)
#define BATCH_ROWS 4096
#define BATCHES_OPEN 8 /* sent and not known to be durable */
#define DIRTY_KEYS_MAX 65536
#define LAST_KEYS_MAX 128
#define COPIES_MAX 2 /* of one group */
#define SILENCE_MS 30000
#define ROW_HEAD 7
#define KEY_SHIFT 4 /* keys travel without the replica's number */
#define FLAG_GONE 1

/* A key that was written behind the cursor. */
struct dirty {
    struct hmap_node node;
    struct list list; /* in copy.dirty_list, or in a batch's */
    uint16_t n;
    uint8_t key[];
};

/* A batch that may have to be sent again. */
struct batch {
    bool walk; /* rows from `from` on; else the keys */
    struct key_bytes {
        uint16_t n;
        uint8_t b[KV_KEY_BYTES_MAX];
    } from;
    struct list keys;
};

struct copy_out {
    struct list list; /* in group.copies */
    struct node_id to;
    uint64_t id;
    uint16_t attempt;
    uint64_t done;
    uint64_t next; /* sequence of the next batch */
    bool walked;
    struct key_bytes cursor; /* everything before it was sent */
    struct batch batches[BATCHES_OPEN];
    struct hmap dirty;
    struct list dirty_list;
    size_t n_dirty;
    bool overflow;
    uint64_t index; /* that the state will be at; 0 = not known before the last batch */
    uint64_t heard_ms;
    struct buf rows; /* being built */
};

/* --- keys written meanwhile --- */

static int compare(const struct key_bytes *a, struct slice b)
{
    size_t n = a->n < b.n ? a->n : b.n;
    int c = memcmp(a->b, b.p, n);
    return c != 0 ? c : a->n < b.n ? -1 : a->n > b.n;
}

static struct dirty *dirty_find(struct copy_out *c, struct slice key, uint64_t hash)
{
    for (struct hmap_node *n = hmap_first(&c->dirty, hash); n != NULL; n = hmap_next(n)) {
        struct dirty *d = HMAP_ENTRY(n, struct dirty, node);
        if (slice_eq(slice_make(d->key, d->n), key)) {
            return d;
        }
    }
    return NULL;
}

static void dirty_add(struct copy_out *c, struct slice key)
{
    uint64_t hash = crc32c(0, key.p, key.n);
    if (c->overflow || dirty_find(c, key, hash) != NULL) {
        return;
    }
    struct dirty *d = c->n_dirty < DIRTY_KEYS_MAX ? mem_alloc(sizeof(*d) + key.n) : NULL;
    if (d == NULL) {
        c->overflow = true;
        return;
    }
    d->n = (uint16_t)key.n;
    memcpy(d->key, key.p, key.n);
    if (hmap_insert(&c->dirty, &d->node, hash) != OK) {
        mem_free(d);
        c->overflow = true;
        return;
    }
    list_push_back(&c->dirty_list, &d->list);
    c->n_dirty++;
}

/* Keys of a batch that is known to have arrived go; those of one that is not are dirty again. */
static void batch_end(struct copy_out *c, struct batch *b, bool again)
{
    for (struct list *it = list_pop_front(&b->keys); it != NULL; it = list_pop_front(&b->keys)) {
        struct dirty *d = LIST_ENTRY(it, struct dirty, list);
        if (again) {
            dirty_add(c, slice_make(d->key, d->n));
        }
        mem_free(d);
    }
}

static bool is_copied(uint8_t letter)
{
    return letter == 'B' || letter == 'P' || letter == 'Q' || letter == 'S';
}

static void wrote(void *ctx, struct slice key)
{
    struct group *g = ctx;
    if (key.n <= KEY_SHIFT || get_be32(key.p) != g->replica || !is_copied(key.p[KEY_SHIFT])) {
        return;
    }
    struct slice rest = slice_sub(key, KEY_SHIFT, key.n);
    LIST_FOREACH (it, &g->copies) {
        struct copy_out *c = LIST_ENTRY(it, struct copy_out, list);
        if (c->walked || compare(&c->cursor, rest) > 0) {
            dirty_add(c, rest);
        }
    }
}

struct kv_txn *copy_out_watch(struct group *g, struct kv_spy *spy, struct kv_txn *inner)
{
    return list_empty(&g->copies) ? inner : kv_spy_init(spy, inner, wrote, g);
}

/* --- batches --- */

static void full_key(const struct group *g, struct slice rest, uint8_t out[KV_KEY_BYTES_MAX])
{
    put_be32(out, g->replica);
    memcpy(out + KEY_SHIFT, rest.p, rest.n);
}

static enum err add_row(struct copy_out *c, struct slice key, struct slice value, bool gone)
{
    uint8_t *p;
    enum err e = buf_reserve(&c->rows, ROW_HEAD + key.n + value.n, &p);
    if (e != OK) {
        return e;
    }
    put_le16(p, (uint16_t)key.n);
    p[2] = gone ? FLAG_GONE : 0;
    put_le32(p + 3, (uint32_t)value.n);
    memcpy(p + ROW_HEAD, key.p, key.n);
    if (value.n > 0) {
        memcpy(p + ROW_HEAD + key.n, value.p, value.n);
    }
    buf_commit(&c->rows, ROW_HEAD + key.n + value.n);
    return OK;
}

static void cursor_set(struct key_bytes *k, struct slice key)
{
    k->n = (uint16_t)key.n;
    memcpy(k->b, key.p, key.n);
}

/* Rows from the cursor on. Log, terms, configurations and the meta row are the receiver's own. */
static enum err walk(const struct group *g, struct copy_out *c, struct kv_txn *t)
{
    uint8_t from[KV_KEY_BYTES_MAX + KEY_SHIFT];
    struct kv_cursor *cursor;
    struct slice key;
    struct slice row;
    size_t rows = 0;
    full_key(g, slice_make(c->cursor.b, c->cursor.n), from);
    enum err e = kv_cursor_open(t, &cursor);
    if (e != OK) {
        return e;
    }
    e = kv_cursor_seek(cursor, slice_make(from, KEY_SHIFT + c->cursor.n), &key, &row);
    while (e == OK && key.n > KEY_SHIFT && get_be32(key.p) == g->replica) {
        struct slice rest = slice_sub(key, KEY_SHIFT, key.n);
        if (!is_copied(rest.p[0])) { /* on to the next letter */
            uint8_t next[5];
            memcpy(next, key.p, 5);
            next[4]++;
            e = kv_cursor_seek(cursor, slice_make(next, 5), &key, &row);
            continue;
        }
        cursor_set(&c->cursor, rest);
        if (c->rows.len > BATCH_BYTES || rows == BATCH_ROWS) {
            kv_cursor_close(cursor);
            return OK;
        }
        bool dedupe =
            planted(PLANT_DEDUPE_LOST) && rest.n > 10 && rest.p[0] == 'S' && rest.p[1] == 'a' && rest.p[10] == 'D';
        e = dedupe ? OK : add_row(c, rest, row, false);
        rows++;
        if (e == OK) {
            e = kv_cursor_next(cursor, &key, &row);
        }
    }
    kv_cursor_close(cursor);
    c->walked = e == OK || e == ERR_NOTFOUND;
    return c->walked ? OK : e;
}

/* Keys that changed, as they are now. They move to the batch. */
static enum err patch(const struct group *g, struct copy_out *c, struct batch *b, struct kv_txn *t)
{
    size_t rows = 0;
    enum err e = OK;
    while (e == OK && !list_empty(&c->dirty_list) && c->rows.len < BATCH_BYTES && rows++ < BATCH_ROWS) {
        struct dirty *d = LIST_ENTRY(c->dirty_list.next, struct dirty, list);
        struct slice rest = slice_make(d->key, d->n);
        uint8_t key[KV_KEY_BYTES_MAX];
        struct slice row = {NULL, 0};
        full_key(g, rest, key);
        e = kv_get(t, slice_make(key, KEY_SHIFT + rest.n), &row);
        bool gone = e == ERR_NOTFOUND;
        if (e == OK || gone) {
            e = add_row(c, rest, row, gone);
        }
        list_remove(&d->list);
        hmap_remove(&c->dirty, &d->node);
        c->n_dirty--;
        list_push_back(&b->keys, &d->list);
    }
    return e;
}

/* The state's index and the configuration in force there. */
static enum err last_fields(const struct group *g, struct kv_txn *t, struct repl_message *m)
{
    struct repl_key past = key_index(g->replica, 'C', g->meta.applied + 1);
    struct raft_log_change change;
    struct kv_cursor *c;
    struct slice key;
    struct slice row;
    m->last = true;
    m->index = g->meta.applied;
    enum err e = log_term_of(t, g->replica, &g->meta, m->index, &m->index_term);
    if (e == OK) {
        e = kv_cursor_open(t, &c);
    }
    if (e != OK) {
        return e;
    }
    e = kv_cursor_seek(c, key_slice(&past), &key, &row);
    if (e == OK || e == ERR_NOTFOUND) {
        e = kv_cursor_prev(c, &key, &row);
    }
    if (e == OK) {
        e = key_under(key, g->replica, 'C') ? log_configuration_decode(key, row, &change) : ERR_CORRUPT;
    }
    kv_cursor_close(c);
    if (e == OK) {
        m->configuration_index = change.index;
        m->configuration = change.configuration;
    }
    return e;
}

/* Builds the next batch; false: it has to wait until everything before it has arrived. */
static bool build(const struct group *g, struct copy_out *c, struct kv_txn *t, struct repl_message *m, enum err *out)
{
    struct batch *b = &c->batches[c->next % BATCHES_OPEN];
    bool ends = c->walked && c->n_dirty <= LAST_KEYS_MAX;
    if (ends && c->done + 1 != c->next) {
        return false;
    }
    buf_reset(&c->rows);
    b->walk = !c->walked;
    b->from = c->cursor;
    *out = b->walk ? walk(g, c, t) : patch(g, c, b, t);
    if (*out == OK && ends && list_empty(&c->dirty_list)) {
        *out = last_fields(g, t, m);
        c->index = m->index;
    }
    m->sequence = c->next;
    m->rows = buf_slice(&c->rows);
    return true;
}

static void copy_free(struct copy_out *c)
{
    for (size_t i = 0; i < BATCHES_OPEN; i++) {
        batch_end(c, &c->batches[i], false);
    }
    for (struct list *it = list_pop_front(&c->dirty_list); it != NULL; it = list_pop_front(&c->dirty_list)) {
        mem_free(LIST_ENTRY(it, struct dirty, list));
    }
    hmap_fini(&c->dirty);
    buf_fini(&c->rows);
    list_remove(&c->list);
    mem_free(c);
}

static struct copy_out *copy_new(struct group *g, const struct repl_message *m)
{
    size_t n = 0;
    LIST_FOREACH_SAFE (it, &g->copies) {
        struct copy_out *c = LIST_ENTRY(it, struct copy_out, list);
        if (c->to.v == m->from.v) {
            copy_free(c); /* it has begun another one */
        } else {
            n++;
        }
    }
    struct copy_out *c = n < COPIES_MAX ? mem_zalloc(sizeof(*c)) : NULL;
    if (c == NULL) {
        return NULL; /* it pulls again */
    }
    c->to = m->from;
    c->id = m->copy;
    c->attempt = m->attempt;
    c->next = 1;
    c->cursor.n = 1;
    c->cursor.b[0] = 'B';
    hmap_init(&c->dirty);
    list_init(&c->dirty_list);
    buf_init(&c->rows, REPL_MESSAGE_BYTES_MAX);
    for (size_t i = 0; i < BATCHES_OPEN; i++) {
        list_init(&c->batches[i].keys);
    }
    list_push_back(&g->copies, &c->list);
    return c;
}

static struct copy_out *copy_find(struct group *g, const struct repl_message *m)
{
    LIST_FOREACH (it, &g->copies) {
        struct copy_out *c = LIST_ENTRY(it, struct copy_out, list);
        if (c->to.v == m->from.v && c->id == m->copy) {
            return c;
        }
    }
    return m->sequence == 0 ? copy_new(g, m) : NULL;
}

static void undo(struct copy_out *c, struct batch *b)
{
    if (b->walk) {
        c->cursor = b->from;
        c->walked = false;
    }
    batch_end(c, b, true);
}

/* Back to the first batch that has not arrived. */
static void rewind_to(struct copy_out *c, uint64_t done)
{
    while (c->next > done + 1) {
        c->next--;
        undo(c, &c->batches[c->next % BATCHES_OPEN]);
    }
}

static enum err send_batch(struct volume *v, const struct group *g, struct copy_out *c, struct repl_message *m)
{
    buf_reset(&v->message);
    m->type = REPL_MESSAGE_COPY_ROWS;
    m->shard = g->shard;
    m->from = g->node;
    m->to = c->to;
    m->copy = c->id;
    m->attempt = c->attempt;
    enum err e = repl_message_put(m, &v->message);
    if (e == OK) {
        volume_send(v, c->to, true, buf_slice(&v->message));
    }
    return e;
}

/* What the window takes. Nothing comes after the last batch; when it is lost it is pulled again. */
static enum err send_batches(struct volume *v, const struct group *g, struct copy_out *c, uint64_t upto)
{
    enum err e = OK;
    bool last = false;
    while (e == OK && !last && c->next <= upto && c->next < c->done + BATCHES_OPEN) {
        struct repl_message m = {.last = false};
        struct kv_txn *t;
        e = volume_reader(v, &t);
        if (e != OK || !build(g, c, t, &m, &e)) {
            break;
        }
        if (e == OK) {
            e = send_batch(v, g, c, &m);
        }
        if (e != OK) {
            undo(c, &c->batches[c->next % BATCHES_OPEN]);
            break;
        }
        c->next++;
        last = m.last;
    }
    return e;
}

void copy_out_pulled(struct volume *v, struct group *g, const struct repl_message *m, uint64_t now_ms)
{
    struct copy_out *c = copy_find(g, m);
    if (c == NULL || m->sequence < c->done || m->sequence >= c->next || (m->attempt != c->attempt && !m->again)) {
        return;
    }
    for (uint64_t s = c->done + 1; s <= m->sequence; s++) {
        batch_end(c, &c->batches[s % BATCHES_OPEN], false);
    }
    c->done = m->sequence;
    c->heard_ms = now_ms;
    if (m->attempt != c->attempt) {
        c->attempt = m->attempt;
        rewind_to(c, c->done);
    }
    enum err e = send_batches(v, g, c, m->upto);
    if (c->overflow || (e != OK && e != ERR_NOMEM)) {
        copy_free(c);
    }
}

void copy_out_tick(struct group *g, uint64_t now_ms)
{
    LIST_FOREACH_SAFE (it, &g->copies) {
        struct copy_out *c = LIST_ENTRY(it, struct copy_out, list);
        bool arrived = c->index != 0 && raft_driver_match(g->raft, c->to) >= c->index;
        if (arrived || now_ms > c->heard_ms + SILENCE_MS || c->overflow) {
            copy_free(c);
        }
    }
}

uint64_t copy_out_wants(const struct group *g, uint64_t first)
{
    uint64_t wanted = UINT64_MAX;
    LIST_FOREACH (it, &g->copies) {
        const struct copy_out *c = LIST_ENTRY(it, const struct copy_out, list);
        uint64_t next = c->index + 1;
        wanted = c->index != 0 && next >= first && next < wanted ? next : wanted;
    }
    return wanted;
}

void copy_out_drop(struct group *g)
{
    LIST_FOREACH_SAFE (it, &g->copies) {
        copy_free(LIST_ENTRY(it, struct copy_out, list));
    }
}
