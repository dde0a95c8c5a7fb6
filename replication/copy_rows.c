/* What the source of a copy sends: rows in key order, then the keys that were written behind the cursor, then the end.
 */
#include "replication/copy_out_run.h"

#include "proto/base/assert.h"
#include "proto/base/hash.h"
#include "proto/base/mem.h"
#include "proto/base/plant.h"
#include "replication/copy.h"
#include "replication/key.h"

#define BATCH_BYTES ((size_t)192 * 1024)
#define BATCH_ROWS 4096
#define DIRTY_KEYS_MAX 65536
#define PATCH_KEYS (DIRTY_KEYS_MAX / 4) /* so many are sent before the walk goes on */
#define LAST_KEYS_MAX 128
#define ROW_HEAD 7
#define KEY_SHIFT 4 /* keys travel without the replica's number */
#define FLAG_GONE 1

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

bool copy_rows_build(const struct group *g, struct copy_out *c, struct kv_txn *t, struct repl_message *m, enum err *out)
{
    struct batch *b = &c->batches[c->next % COPY_BATCHES_OPEN];
    bool ends = c->walked && c->n_dirty <= LAST_KEYS_MAX;
    if (ends && c->done + 1 != c->next) {
        return false;
    }
    buf_reset(&c->rows);
    b->walk = !c->walked && c->n_dirty < PATCH_KEYS;
    b->from = c->cursor;
    *out = b->walk ? walk(g, c, t) : patch(g, c, b, t);
    if (*out == OK && ends && list_empty(&c->dirty_list)) {
        *out = last_fields(g, t, m);
        c->index = m->index;
    }
    m->sequence = c->next++;
    m->rows = buf_slice(&c->rows);
    return true;
}

void copy_rows_undo(struct copy_out *c)
{
    struct batch *b = &c->batches[--c->next % COPY_BATCHES_OPEN];
    if (b->walk) {
        c->cursor = b->from;
        c->walked = false;
    }
    batch_end(c, b, true);
}

void copy_rows_arrived(struct copy_out *c, uint64_t sequence)
{
    batch_end(c, &c->batches[sequence % COPY_BATCHES_OPEN], false);
}

/* --- life --- */

void copy_rows_init(struct copy_out *c)
{
    c->next = 1;
    c->cursor.n = 1;
    c->cursor.b[0] = 'B';
    hmap_init(&c->dirty);
    list_init(&c->dirty_list);
    buf_init(&c->rows, REPL_MESSAGE_BYTES_MAX);
    for (size_t i = 0; i < COPY_BATCHES_OPEN; i++) {
        list_init(&c->batches[i].keys);
    }
}

void copy_rows_fini(struct copy_out *c)
{
    for (size_t i = 0; i < COPY_BATCHES_OPEN; i++) {
        batch_end(c, &c->batches[i], false);
    }
    for (struct list *it = list_pop_front(&c->dirty_list); it != NULL; it = list_pop_front(&c->dirty_list)) {
        mem_free(LIST_ENTRY(it, struct dirty, list));
    }
    hmap_fini(&c->dirty);
    buf_fini(&c->rows);
}
