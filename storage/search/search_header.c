#include "replication/volume.h"
#include "storage/search/search_key.h"

/* A longer value is decoded in pieces that end at white space, so that hostile headers cost no memory. */
#define PIECE_BYTES ((size_t)16 * 1024)
/* A value up to this size that is plain text is compared on the stack. */
#define PLAIN_BYTES 512

enum err search_read(const struct search *s, const struct search_message *m, uint32_t off, uint32_t n, struct buf *out)
{
    if (off > m->email->body_bytes || n > m->email->body_bytes - off) {
        return ERR_CORRUPT; /* the record names bytes that the message has not */
    }
    enum err e = repl_body_read(s->store->t, s->store->prefix, m->email->body_index, (uint16_t)m->email->body_ordinal,
                                off, n, out);
    return e == ERR_NOTFOUND ? ERR_CORRUPT : e;
}

enum err search_load_header(struct search *s, struct search_message *m)
{
    uint32_t all = m->record->header_bytes;
    if (m->header_loaded) {
        return OK;
    }
    buf_reset(&s->header);
    enum err e = search_read(s, m, 0, all < SEARCH_HEADER_BYTES_MAX ? all : SEARCH_HEADER_BYTES_MAX, &s->header);
    m->header_loaded = e == OK;
    return e;
}

static size_t piece_bytes(struct slice value)
{
    size_t n = PIECE_BYTES;
    if (value.n <= n) {
        return value.n;
    }
    while (n > PIECE_BYTES / 2 && value.p[n] != ' ' && value.p[n] != '\t') {
        n--;
    }
    return n > PIECE_BYTES / 2 ? n : PIECE_BYTES;
}

enum err search_value_text(struct search *s, struct slice value, enum err (*put)(void *ctx, struct slice utf8),
                           void *ctx)
{
    enum err e = OK;
    while (e == OK && value.n > 0) {
        size_t n = piece_bytes(value);
        buf_reset(&s->decoded);
        e = msg_header_decode(slice_sub(value, 0, n), &s->decoded);
        if (e == OK) {
            e = put(ctx, buf_slice(&s->decoded));
        }
        value = slice_sub(value, n, value.n);
    }
    return e;
}

struct value_match {
    struct search *s;
    struct slice needle;
    bool found;
};

/* Keeps what could be the beginning of the needle for the next piece. */
static enum err match_piece(void *ctx, struct slice utf8)
{
    struct value_match *v = ctx;
    struct buf *mapped = &v->s->mapped;
    enum err e = v->found ? OK : msg_casemap(utf8, mapped);
    v->found = v->found || (e == OK && search_contains(buf_slice(mapped), v->needle));
    if (mapped->len >= v->needle.n) {
        buf_consume(mapped, mapped->len - (v->needle.n - 1));
    }
    return e;
}

/* Nothing to decode: the casemap of US-ASCII is upper case. False when that is not so. */
static bool plain_contains(struct slice value, struct slice needle, bool *out)
{
    uint8_t upper[PLAIN_BYTES];
    if (value.n > sizeof(upper)) {
        return false;
    }
    for (size_t i = 0; i < value.n; i++) {
        uint8_t c = value.p[i];
        if (c >= 0x80 || c == '\n' || (c == '=' && i + 1 < value.n && value.p[i + 1] == '?')) {
            return false;
        }
        upper[i] = ascii_upper(c);
    }
    *out = search_contains(slice_make(upper, value.n), needle);
    return true;
}

static enum err value_contains(struct search *s, struct slice value, struct slice needle, bool *out)
{
    struct value_match v = {.s = s, .needle = needle, .found = needle.n == 0};
    if (v.found || plain_contains(value, needle, &v.found)) {
        *out = v.found;
        return OK;
    }
    buf_reset(&s->mapped);
    enum err e = search_value_text(s, value, match_piece, &v);
    if (e == OK) {
        *out = v.found;
    }
    return e;
}

static bool line_has_name(const uint8_t *p, size_t n, struct slice name)
{
    if (n <= name.n || ascii_lower(p[0]) != ascii_lower(name.p[0])) {
        return false;
    }
    uint8_t after = p[name.n];
    return (after == ':' || after == ' ' || after == '\t') && slice_ieq(slice_make(p, name.n), name);
}

/* Moves to the next line that begins with the name; false at the end of the block. msg_header_next would take every
 * field apart. */
static bool find_line(struct slice *io_rest, struct slice name)
{
    const uint8_t *p = io_rest->p;
    const uint8_t *end = p + io_rest->n;
    while (p < end && p[0] != '\n' && !(p[0] == '\r' && end - p > 1 && p[1] == '\n')) {
        if (line_has_name(p, (size_t)(end - p), name)) {
            *io_rest = slice_make(p, (size_t)(end - p));
            return true;
        }
        const uint8_t *lf = memchr(p, '\n', (size_t)(end - p));
        if (lf == NULL) {
            return false;
        }
        p = lf + 1;
    }
    return false;
}

enum err search_field(struct search *s, struct slice block, struct slice name, struct slice needle, bool *out)
{
    struct slice rest = block;
    struct slice field;
    struct slice value;
    struct slice line;
    bool found = false;
    enum err e = OK;
    while (e == OK && !found && find_line(&rest, name) && msg_header_next(&rest, &field, &value, &line)) {
        if (slice_ieq(field, name)) {
            e = value_contains(s, value, needle, &found);
        }
    }
    if (e == OK) {
        *out = found;
    }
    return e;
}
