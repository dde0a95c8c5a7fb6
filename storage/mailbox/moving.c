#include "storage/mailbox/moving.h"

#include "storage/mailbox/kept.h"

#include "proto/base/hash.h"
#include "storage/mailbox/secret.h"

/* --- the source's row --- */

static void shard_key(struct key *k, const struct store *s, enum shard_table table, struct account_id a)
{
    key_shard(k, s, table);
    key_u64(k, a.v);
}

enum err move_decode(struct slice value, struct move_row *out)
{
    struct move_row row;
    if (value.n != sizeof(row)) {
        return ERR_CORRUPT;
    }
    memcpy(&row, value.p, sizeof(row));
    if (row.version != ROW_VERSION || row.state < MOVE_COPYING || row.state > MOVE_ABORTING) {
        return ERR_CORRUPT;
    }
    *out = row;
    return OK;
}

enum err move_get(const struct store *s, struct account_id a, struct move_row *out)
{
    struct key k;
    struct slice v;
    shard_key(&k, s, SHARD_MOVES, a);
    enum err e = store_get(s, &k, &v);
    return e == OK ? move_decode(v, out) : e;
}

enum err move_put(const struct store *s, struct account_id a, const struct move_row *row)
{
    struct key k;
    shard_key(&k, s, SHARD_MOVES, a);
    return store_put_row(s, &k, row, sizeof(*row));
}

enum err move_del(const struct store *s, struct account_id a)
{
    struct key k;
    shard_key(&k, s, SHARD_MOVES, a);
    return store_del_must(s, &k);
}

enum err move_next(const struct store *s, uint64_t from, struct account_id *out, struct move_row *out_row)
{
    struct key prefix;
    struct key at;
    struct scan sc;
    struct slice rest;
    struct slice value;
    key_shard(&prefix, s, SHARD_MOVES);
    at = prefix;
    key_u64(&at, from);
    enum err e = scan_open(&sc, s, &prefix);
    if (e != OK) {
        return e;
    }
    e = scan_seek(&sc, &at, &rest, &value);
    if (e == OK && rest.n != 8) {
        e = ERR_CORRUPT;
    }
    if (e == OK) {
        e = move_decode(value, out_row);
    }
    if (e == OK) {
        out->v = get_be64(rest.p);
    }
    scan_close(&sc);
    return e;
}

enum err move_count(const struct store *s, uint32_t *out)
{
    struct account_id a = {0};
    struct move_row row;
    enum err e = OK;
    uint32_t n = 0;
    for (uint64_t from = 0; n < MOVES_MAX; from = a.v + 1) {
        e = move_next(s, from, &a, &row);
        if (e != OK) {
            break;
        }
        n++;
    }
    if (e == OK || e == ERR_NOTFOUND) {
        *out = n;
        e = OK;
    }
    return e;
}

/* --- the destination's --- */

enum err arrival_decode(struct slice value, struct arrival_row *out)
{
    struct arrival_row row;
    memset(&row, 0, sizeof(row));
    if (value.n < ARRIVAL_HEAD_BYTES || value.n > ARRIVAL_HEAD_BYTES + sizeof(row.cursor)) {
        return ERR_CORRUPT;
    }
    memcpy(&row, value.p, value.n);
    if (row.version != ROW_VERSION || row.cursor_bytes != value.n - ARRIVAL_HEAD_BYTES) {
        return ERR_CORRUPT;
    }
    *out = row;
    return OK;
}

enum err arrival_get(const struct store *s, struct account_id a, struct arrival_row *out)
{
    struct key k;
    struct slice v;
    shard_key(&k, s, SHARD_ARRIVALS, a);
    enum err e = store_get(s, &k, &v);
    return e == OK ? arrival_decode(v, out) : e;
}

enum err arrival_put(const struct store *s, struct account_id a, const struct arrival_row *row)
{
    struct key k;
    ASSERT(row->cursor_bytes <= sizeof(row->cursor));
    shard_key(&k, s, SHARD_ARRIVALS, a);
    return store_put_row(s, &k, row, ARRIVAL_HEAD_BYTES + row->cursor_bytes);
}

enum err arrival_del(const struct store *s, struct account_id a)
{
    struct key k;
    shard_key(&k, s, SHARD_ARRIVALS, a);
    return store_del_any(s, &k);
}

enum err moving_account_bare(const struct store *s, struct account_id a, bool *out)
{
    struct moving_walk w;
    struct moving_row row;
    struct key emails;
    bool none = false;
    key_account(&emails, s, a, ACCOUNT_EMAILS);
    enum err e = store_range_empty(s, &emails, &none);
    if (e != OK || !none) {
        *out = false;
        return e;
    }
    static const uint8_t records[] = {ACCOUNT_DEDUPE, 0xff};
    e = moving_walk_open(&w, s, a, slice_make(NULL, 0));
    if (e != OK) {
        return e;
    }
    e = moving_walk_next(&w, &row);
    if (e == OK && row.key.p[0] == ACCOUNT_DEDUPE) {
        moving_walk_close(&w);
        e = moving_walk_open(&w, s, a, slice_make(records, sizeof(records)));
        if (e == OK) {
            e = moving_walk_next(&w, &row);
        }
    }
    moving_walk_close(&w);
    *out = e == ERR_NOTFOUND;
    return e == ERR_NOTFOUND ? OK : e;
}

/* --- rows on their way --- */

/* What a key and a value of each table look like: sizes, since a row of another could not be read. */
static const struct {
    char table;
    uint16_t key_min; /* without the table */
    uint16_t key_max;
    uint16_t value_min;
    uint16_t value_max;
} shapes[] = {
    {ACCOUNT_SECRET, 0, 0, 10, KV_CHUNK_BYTES},
    {ACCOUNT_DEDUPE, 22, 22, 0, KV_CHUNK_BYTES},
    {ACCOUNT_MAILBOXES, 4, 4, sizeof(struct mailbox_row), sizeof(struct mailbox_row)},
    {ACCOUNT_NODES, 4, 4, 5, 4 + 255},
    {ACCOUNT_SUBSCRIBED, 9, 9, 1, KV_CHUNK_BYTES},
    {ACCOUNT_TREE, 5, 4 + 255, 8, 8},
    {ACCOUNT_KEYWORDS, 6, 6, 1, KV_CHUNK_BYTES},
    {ACCOUNT_MESSAGES, 8, 8, sizeof(struct message_row), sizeof(struct message_row)},
    {ACCOUNT_OVERFLOW, 8, 8, 24, 24},
    {ACCOUNT_EMAIL_REFS, 8, 8, 4, 4},
    {ACCOUNT_THREADS, 16, 16, 20, 20},
    {ACCOUNT_CHANGES, 16, 16, 0, 0},
    {ACCOUNT_EXPUNGED, 13, 13, 0, KV_CHUNK_BYTES},
    {ACCOUNT_KEPT, 18, 18, 1, KV_CHUNK_BYTES},
    {MOVING_COPIES, 16, 16, 24, KV_CHUNK_BYTES},
};

/* What is read before the account is whole: its name, the records of requests and of copies, and what is kept. */
static bool readable(struct slice key, struct slice value)
{
    if (key.p[0] == ACCOUNT_SECRET) {
        size_t name = get_le16(value.p + 8);
        return name <= SECRET_NAME_BYTES_MAX && value.n >= 10 + name && value.n - 10 - name <= SECRET_BYTES_MAX;
    }
    if (key.p[0] == ACCOUNT_DEDUPE) {
        return value.n >= 4 || get_be16(key.p + key.n - 2) != 0; /* the first piece begins with a status */
    }
    if (key.p[0] == ACCOUNT_KEPT) {
        return get_be16(key.p + key.n - 2) != 0 || value.n >= sizeof(struct kept_row); /* the first piece has the row */
    }
    if (key.p[0] == MOVING_COPIES) {
        uint32_t runs = get_le32(value.p + 16);
        return runs <= KV_CHUNK_BYTES / 8 && value.n == 24 + (size_t)runs * 8;
    }
    return true;
}

static bool fits(struct slice key, struct slice value)
{
    for (size_t i = 0; key.n > 0 && i < sizeof(shapes) / sizeof(shapes[0]); i++) {
        if (shapes[i].table == (char)key.p[0]) {
            return key.n - 1 >= shapes[i].key_min && key.n - 1 <= shapes[i].key_max && value.n >= shapes[i].value_min &&
                   value.n <= shapes[i].value_max && readable(key, value);
        }
    }
    return false;
}

enum err moving_row_take(struct slice *io_page, struct moving_row *out)
{
    struct slice page = *io_page;
    if (page.n < MOVING_HEAD_BYTES) {
        return ERR_INVAL;
    }
    size_t key = get_le16(page.p);
    size_t value = get_le32(page.p + 2);
    if (page.n - MOVING_HEAD_BYTES < key || page.n - MOVING_HEAD_BYTES - key < value) {
        return ERR_INVAL;
    }
    struct moving_row row = {.key = slice_sub(page, MOVING_HEAD_BYTES, MOVING_HEAD_BYTES + key),
                             .value = slice_sub(page, MOVING_HEAD_BYTES + key, MOVING_HEAD_BYTES + key + value)};
    if (!fits(row.key, row.value)) {
        return ERR_INVAL;
    }
    *io_page = slice_sub(page, MOVING_HEAD_BYTES + key + value, page.n);
    *out = row;
    return OK;
}

uint32_t moving_row_crc(uint32_t crc, const struct moving_row *row)
{
    uint8_t head[MOVING_HEAD_BYTES];
    put_le16(head, (uint16_t)row->key.n);
    put_le32(head + 2, (uint32_t)row->value.n);
    crc = crc32c(crc, head, sizeof(head));
    crc = crc32c(crc, row->key.p, row->key.n);
    return row->value.n > 0 ? crc32c(crc, row->value.p, row->value.n) : crc;
}

void moving_row_key(struct key *k, const struct store *s, struct account_id a, struct slice key)
{
    bool copies = key.p[0] == MOVING_COPIES;
    key_shard(k, s, copies ? SHARD_COPIES : SHARD_ACCOUNTS);
    key_u64(k, a.v);
    key_bytes(k, key.p + copies, key.n - copies);
}

/* --- the walk --- */

static enum err scan_begin(struct moving_walk *w, bool copies)
{
    struct key prefix;
    shard_key(&prefix, w->store, copies ? SHARD_COPIES : SHARD_ACCOUNTS, w->account);
    w->copies = copies;
    w->next = prefix;
    return scan_open(&w->scan, w->store, &prefix);
}

static void seek_table(struct moving_walk *w, uint8_t table)
{
    w->next = w->scan.prefix;
    key_u8(&w->next, table);
}

enum err moving_walk_open(struct moving_walk *w, const struct store *s, struct account_id a, struct slice after)
{
    memset(w, 0, sizeof(*w));
    w->store = s;
    w->account = a;
    bool copies = after.n > 0 && after.p[0] == MOVING_COPIES;
    enum err e = scan_begin(w, copies);
    if (e == OK && after.n > 0) {
        moving_row_key(&w->next, s, a, after);
        key_u8(&w->next, 0); /* the smallest key behind it */
    } else if (e == OK) {
        seek_table(w, ACCOUNT_ROW + 1);
    }
    return e;
}

void moving_walk_close(struct moving_walk *w)
{
    if (w->scan.c != NULL) {
        scan_close(&w->scan);
    }
}

static enum err step(struct moving_walk *w, struct slice *out_rest, struct slice *out_value)
{
    if (w->next.n == 0) {
        return scan_next(&w->scan, out_rest, out_value);
    }
    struct key at = w->next;
    w->next.n = 0;
    return scan_seek(&w->scan, &at, out_rest, out_value);
}

/* Tables that travel otherwise, or not at all, are stepped over. */
static bool steps_over(struct moving_walk *w, struct slice rest)
{
    if (w->copies || rest.n == 0) {
        return false;
    }
    bool over = rest.p[0] == ACCOUNT_ROW || rest.p[0] == ACCOUNT_EMAILS || rest.p[0] == ACCOUNT_KEPT_TOTAL;
    if (over) {
        seek_table(w, (uint8_t)(rest.p[0] + 1));
    }
    return over;
}

enum err moving_walk_next(struct moving_walk *w, struct moving_row *out)
{
    struct slice rest = {NULL, 0};
    enum err e;
    do {
        e = step(w, &rest, &out->value);
        if (e == ERR_NOTFOUND && !w->copies) {
            scan_close(&w->scan);
            w->scan.c = NULL;
            e = scan_begin(w, true);
            rest.n = 0;
            if (e == OK) {
                e = step(w, &rest, &out->value);
            }
        }
    } while (e == OK && steps_over(w, rest));
    if (e != OK) {
        return e;
    }
    out->key = rest;
    if (w->copies) {
        if (rest.n != sizeof(w->copy_key) - 1) {
            return ERR_CORRUPT;
        }
        w->copy_key[0] = MOVING_COPIES;
        memcpy(w->copy_key + 1, rest.p, rest.n);
        out->key = slice_make(w->copy_key, sizeof(w->copy_key));
    }
    return rest.n == 0 ? ERR_CORRUPT : OK;
}
