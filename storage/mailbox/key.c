#include "storage/mailbox/key.h"

enum err store_get_row(const struct store *s, const struct key *k, void *out, size_t n)
{
    struct slice v;
    enum err e = store_get(s, k, &v);
    if (e != OK) {
        return e;
    }
    if (v.n != n) {
        return ERR_CORRUPT;
    }
    memcpy(out, v.p, n);
    return OK;
}

enum err store_put_row(const struct store *s, const struct key *k, const void *row, size_t n)
{
    return store_put(s, k, slice_make(row, n));
}

enum err store_del_must(const struct store *s, const struct key *k)
{
    enum err e = kv_del(s->t, key_slice(k));
    return e == ERR_NOTFOUND ? ERR_CORRUPT : e;
}

enum err store_del_any(const struct store *s, const struct key *k)
{
    enum err e = kv_del(s->t, key_slice(k));
    return e == ERR_NOTFOUND ? OK : e;
}

enum err scan_open(struct scan *sc, const struct store *s, const struct key *prefix)
{
    sc->prefix = *prefix;
    sc->positioned = false;
    return kv_cursor_open(s->t, &sc->c);
}

void scan_close(struct scan *sc)
{
    kv_cursor_close(sc->c);
    sc->c = NULL;
}

/* Cuts the prefix off; past the range is the end. */
static enum err inside(const struct scan *sc, struct slice key, struct slice *out_rest)
{
    if (key.n < sc->prefix.n || memcmp(key.p, sc->prefix.b, sc->prefix.n) != 0) {
        return ERR_NOTFOUND;
    }
    *out_rest = slice_make(key.p + sc->prefix.n, key.n - sc->prefix.n);
    return OK;
}

enum err scan_seek(struct scan *sc, const struct key *at, struct slice *out_rest, struct slice *out_value)
{
    struct slice k;
    enum err e = kv_cursor_seek(sc->c, key_slice(at), &k, out_value);
    if (e != OK) {
        return e;
    }
    sc->positioned = true;
    return inside(sc, k, out_rest);
}

enum err scan_next(struct scan *sc, struct slice *out_rest, struct slice *out_value)
{
    struct slice k;
    if (!sc->positioned) {
        return scan_seek(sc, &sc->prefix, out_rest, out_value);
    }
    enum err e = kv_cursor_next(sc->c, &k, out_value);
    return e != OK ? e : inside(sc, k, out_rest);
}

/* The smallest key above every key with the prefix; all 0xff has none, but no prefix here is. */
static void after_prefix(const struct key *prefix, struct key *out)
{
    *out = *prefix;
    while (out->n > 0 && out->b[out->n - 1] == 0xff) {
        out->n--;
    }
    ASSERT(out->n > 0);
    out->b[out->n - 1]++;
}

static enum err scan_last(struct scan *sc, struct slice *out_key, struct slice *out_value)
{
    struct key end;
    after_prefix(&sc->prefix, &end);
    enum err e = kv_cursor_seek(sc->c, key_slice(&end), out_key, out_value);
    if (e != OK && e != ERR_NOTFOUND) {
        return e;
    }
    sc->positioned = true;
    return kv_cursor_prev(sc->c, out_key, out_value);
}

enum err scan_prev(struct scan *sc, struct slice *out_rest, struct slice *out_value)
{
    struct slice k;
    enum err e = sc->positioned ? kv_cursor_prev(sc->c, &k, out_value) : scan_last(sc, &k, out_value);
    return e != OK ? e : inside(sc, k, out_rest);
}

enum err scan_del(struct scan *sc)
{
    return kv_cursor_del(sc->c);
}

enum err store_del_range(const struct store *s, const struct key *prefix, uint32_t *io_budget, bool *out_done)
{
    struct scan sc;
    struct slice rest;
    struct slice value;
    enum err e = scan_open(&sc, s, prefix);
    if (e != OK) {
        return e;
    }
    for (e = scan_next(&sc, &rest, &value); e == OK && *io_budget > 0; e = scan_next(&sc, &rest, &value)) {
        e = scan_del(&sc);
        if (e != OK) {
            break;
        }
        (*io_budget)--;
    }
    scan_close(&sc);
    if (e != OK && e != ERR_NOTFOUND) {
        return e;
    }
    *out_done = e == ERR_NOTFOUND;
    return OK;
}

enum err store_range_empty(const struct store *s, const struct key *prefix, bool *out_empty)
{
    struct scan sc;
    struct slice rest;
    struct slice value;
    enum err e = scan_open(&sc, s, prefix);
    if (e != OK) {
        return e;
    }
    e = scan_next(&sc, &rest, &value);
    scan_close(&sc);
    if (e != OK && e != ERR_NOTFOUND) {
        return e;
    }
    *out_empty = e == ERR_NOTFOUND;
    return OK;
}

enum err store_put_long(const struct store *s, const struct key *k, struct slice v)
{
    size_t off = 0;
    uint16_t chunk = 0;
    do {
        struct key piece = *k;
        key_u16(&piece, chunk);
        struct slice part = slice_sub(v, off, off + KV_CHUNK_BYTES);
        enum err e = store_put(s, &piece, part);
        if (e != OK) {
            return e;
        }
        off += part.n;
        chunk++;
    } while (off < v.n);
    return OK;
}

enum err store_get_long(const struct store *s, const struct key *k, struct buf *out)
{
    for (uint16_t chunk = 0;; chunk++) {
        struct key piece = *k;
        struct slice part;
        key_u16(&piece, chunk);
        enum err e = store_get(s, &piece, &part);
        if (e == ERR_NOTFOUND && chunk > 0) {
            return OK;
        }
        if (e == OK) {
            e = buf_append_slice(out, part);
        }
        if (e != OK || part.n < KV_CHUNK_BYTES) {
            return e;
        }
    }
}

enum err store_del_long(const struct store *s, const struct key *k)
{
    bool done = false;
    uint32_t budget = UINT16_MAX;
    return store_del_range(s, k, &budget, &done);
}
