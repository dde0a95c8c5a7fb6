#include "storage/mailbox/kept.h"

#define KEY_BYTES 18 /* behind the table byte, with the piece */

/* Fixed part, longest name, a full table of the longest keywords. */
#define VALUE_BYTES_MAX (128u * 1024)

static void kept_key_make(struct key *k, const struct store *s, struct account_id a, const struct kept_key *at)
{
    key_account(k, s, a, ACCOUNT_KEPT);
    key_u64(k, at->ms);
    key_u32(k, at->mailbox);
    key_u32(k, at->uid);
}

/* --- rows --- */

enum err kept_put(const struct store *s, struct account_id a, const struct kept_key *at, const struct kept *kept)
{
    struct key k;
    struct buf value;
    struct kept_row row = kept->row;
    row.version = ROW_VERSION;
    row.name_bytes = (uint32_t)kept->name.n;
    row.keyword_bytes = (uint32_t)kept->keywords.n;
    buf_init(&value, SIZE_MAX / 2);
    enum err e = buf_append(&value, &row, sizeof(row));
    if (e == OK) {
        e = buf_append_slice(&value, kept->name);
    }
    if (e == OK) {
        e = buf_append_slice(&value, kept->keywords);
    }
    if (e == OK) {
        kept_key_make(&k, s, a, at);
        e = store_put_long(s, &k, buf_slice(&value));
    }
    buf_fini(&value);
    return e;
}

bool kept_keyword_next(struct slice *io_rest, struct slice *out_name)
{
    if (io_rest->n == 0) {
        return false;
    }
    size_t end = 1 + (size_t)io_rest->p[0];
    *out_name = slice_sub(*io_rest, 1, end);
    *io_rest = slice_sub(*io_rest, end, io_rest->n);
    return true;
}

static enum err keywords_check(struct slice packed)
{
    size_t n = 0;
    while (packed.n > 0) {
        struct slice name;
        if (packed.n < 1 + (size_t)packed.p[0] || ++n > KEYWORDS_MAX) {
            return ERR_CORRUPT;
        }
        (void)kept_keyword_next(&packed, &name);
        if (keyword_check(name) != OK) {
            return ERR_CORRUPT;
        }
    }
    return OK;
}

static enum err row_decode(struct slice value, struct kept_row *out)
{
    if (value.n < sizeof(*out)) {
        return ERR_CORRUPT;
    }
    memcpy(out, value.p, sizeof(*out));
    return out->version == ROW_VERSION && (out->flags & ~FLAG_SYSTEM_MASK) == 0 ? OK : ERR_CORRUPT;
}

enum err kept_decode(struct slice value, struct kept *out)
{
    struct kept k;
    enum err e = row_decode(value, &k.row);
    if (e != OK) {
        return e;
    }
    size_t names = value.n - sizeof(k.row);
    if (k.row.name_bytes == 0 || k.row.name_bytes > names || k.row.keyword_bytes != names - k.row.name_bytes) {
        return ERR_CORRUPT;
    }
    k.name = slice_sub(value, sizeof(k.row), sizeof(k.row) + k.row.name_bytes);
    k.keywords = slice_sub(value, sizeof(k.row) + k.row.name_bytes, value.n);
    e = keywords_check(k.keywords);
    if (e == OK) {
        *out = k;
    }
    return e;
}

enum err kept_get(const struct store *s, struct account_id a, const struct kept_key *at, struct buf *buf,
                  struct kept *out)
{
    struct key k;
    kept_key_make(&k, s, a, at);
    size_t before = buf->len;
    enum err e = store_get_long(s, &k, buf);
    if (e == OK && buf->len - before > VALUE_BYTES_MAX) {
        e = ERR_CORRUPT;
    }
    return e == OK ? kept_decode(slice_sub(buf_slice(buf), before, buf->len), out) : e;
}

enum err kept_del(const struct store *s, struct account_id a, const struct kept_key *at)
{
    struct key k;
    struct key first;
    struct slice v;
    kept_key_make(&k, s, a, at);
    first = k;
    key_u16(&first, 0);
    enum err e = store_get(s, &first, &v);
    if (e != OK) {
        return e == ERR_NOTFOUND ? ERR_CORRUPT : e;
    }
    return v.n < KV_CHUNK_BYTES ? store_del_must(s, &first) : store_del_long(s, &k);
}

/* --- by time --- */

static void time_key(struct key *k, const struct store *s, struct account_id a, uint64_t ms)
{
    key_shard(k, s, SHARD_KEPT);
    key_u64(k, ms);
    key_u64(k, a.v);
}

enum err kept_time_put(const struct store *s, struct account_id a, uint64_t ms)
{
    struct key k;
    time_key(&k, s, a, ms);
    return store_put(s, &k, slice_make(NULL, 0));
}

enum err kept_time_settle(const struct store *s, struct account_id a, uint64_t ms)
{
    struct key k;
    bool empty;
    key_account(&k, s, a, ACCOUNT_KEPT);
    key_u64(&k, ms);
    enum err e = store_range_empty(s, &k, &empty);
    if (e != OK || !empty) {
        return e;
    }
    time_key(&k, s, a, ms);
    return store_del_must(s, &k);
}

enum err kept_time_first(const struct store *s, uint64_t *out_ms, struct account_id *out_a)
{
    struct key prefix;
    struct scan sc;
    struct slice rest;
    struct slice value;
    key_shard(&prefix, s, SHARD_KEPT);
    enum err e = scan_open(&sc, s, &prefix);
    if (e != OK) {
        return e;
    }
    e = scan_next(&sc, &rest, &value);
    if (e == OK && rest.n != 16) {
        e = ERR_CORRUPT;
    }
    if (e == OK) {
        *out_ms = get_be64(rest.p);
        out_a->v = get_be64(rest.p + 8);
    }
    scan_close(&sc);
    return e;
}

/* --- totals --- */

static enum err total_get(const struct store *s, const struct key *k, struct kept_totals *out)
{
    struct kept_totals t;
    enum err e = store_get_row(s, k, &t, sizeof(t));
    if (e == ERR_NOTFOUND) {
        memset(&t, 0, sizeof(t));
        e = OK;
    }
    if (e == OK) {
        *out = t;
    }
    return e;
}

static enum err total_put(const struct store *s, const struct key *k, const struct kept_totals *t)
{
    return t->messages == 0 ? store_del_must(s, k) : store_put_row(s, k, t, sizeof(*t));
}

static enum err total_add(const struct store *s, const struct key *k, const struct kept_totals *n)
{
    struct kept_totals t;
    enum err e = total_get(s, k, &t);
    if (e != OK) {
        return e;
    }
    t.messages += n->messages;
    t.bytes += n->bytes;
    return total_put(s, k, &t);
}

static enum err total_sub(const struct store *s, const struct key *k, const struct kept_totals *n)
{
    struct kept_totals t;
    enum err e = total_get(s, k, &t);
    if (e == OK && (t.messages < n->messages || t.bytes < n->bytes)) {
        e = ERR_CORRUPT;
    }
    if (e != OK) {
        return e;
    }
    t.messages -= n->messages;
    t.bytes -= n->bytes;
    return total_put(s, k, &t);
}

static void account_total_key(struct key *k, const struct store *s, struct account_id a)
{
    key_account(k, s, a, ACCOUNT_KEPT_TOTAL);
}

enum err kept_totals_get(const struct store *s, struct account_id a, struct kept_totals *out)
{
    struct key k;
    account_total_key(&k, s, a);
    return total_get(s, &k, out);
}

enum err kept_totals_of_shard(const struct store *s, struct kept_totals *out)
{
    struct key k;
    key_shard(&k, s, SHARD_KEPT_TOTAL);
    return total_get(s, &k, out);
}

enum err kept_totals_add(const struct store *s, struct account_id a, const struct kept_totals *n)
{
    struct key k;
    if (n->messages == 0) {
        return OK;
    }
    account_total_key(&k, s, a);
    enum err e = total_add(s, &k, n);
    key_shard(&k, s, SHARD_KEPT_TOTAL);
    return e == OK ? total_add(s, &k, n) : e;
}

enum err kept_totals_sub(const struct store *s, struct account_id a, const struct kept_totals *n)
{
    struct key k;
    if (n->messages == 0) {
        return OK;
    }
    account_total_key(&k, s, a);
    enum err e = total_sub(s, &k, n);
    key_shard(&k, s, SHARD_KEPT_TOTAL);
    return e == OK ? total_sub(s, &k, n) : e;
}

/* --- walking --- */

enum err kept_walk_open(struct kept_walk *w, const struct store *s, struct account_id a, const struct kept_key *from)
{
    struct key prefix;
    key_account(&prefix, s, a, ACCOUNT_KEPT);
    kept_key_make(&w->at, s, a, from);
    return scan_open(&w->scan, s, &prefix);
}

void kept_walk_close(struct kept_walk *w)
{
    scan_close(&w->scan);
}

enum err kept_walk_next(struct kept_walk *w, struct kept_key *out_at, struct kept_row *out)
{
    for (;;) {
        struct slice rest;
        struct slice value;
        enum err e =
            w->scan.positioned ? scan_next(&w->scan, &rest, &value) : scan_seek(&w->scan, &w->at, &rest, &value);
        if (e != OK) {
            return e;
        }
        if (rest.n != KEY_BYTES) {
            return ERR_CORRUPT;
        }
        if (get_be16(rest.p + 16) != 0) {
            continue; /* a further piece of the row before */
        }
        out_at->ms = get_be64(rest.p);
        out_at->mailbox = get_be32(rest.p + 8);
        out_at->uid = get_be32(rest.p + 12);
        return row_decode(value, out);
    }
}
