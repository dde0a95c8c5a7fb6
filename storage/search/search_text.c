#include "replication/volume.h"
#include "storage/search/search.h"

#define RANGE_BYTES (64 * 1024)
/* A header block that is larger is not looked at further. */
#define HEADER_BYTES_MAX (1024 * 1024)

static bool contains(struct slice hay, struct slice needle)
{
    return needle.n == 0 || (hay.n >= needle.n && memmem(hay.p, hay.n, needle.p, needle.n) != NULL);
}

/* --- header fields --- */

struct field_text {
    struct buf decoded;
    struct buf mapped;
};

static void field_text_init(struct field_text *t)
{
    buf_init(&t->decoded, SIZE_MAX / 2);
    buf_init(&t->mapped, SIZE_MAX / 2);
}

static void field_text_fini(struct field_text *t)
{
    buf_fini(&t->decoded);
    buf_fini(&t->mapped);
}

static enum err value_contains(struct field_text *t, struct slice value, struct slice needle, bool *out)
{
    buf_reset(&t->decoded);
    buf_reset(&t->mapped);
    enum err e = msg_header_decode(value, &t->decoded);
    if (e == OK) {
        e = msg_casemap(buf_slice(&t->decoded), &t->mapped);
    }
    if (e == OK) {
        *out = contains(buf_slice(&t->mapped), needle);
    }
    return e;
}

enum err search_header(struct slice block, struct slice name, struct slice needle, bool *out)
{
    struct slice rest = block;
    struct slice field;
    struct slice value;
    struct slice line;
    struct field_text text;
    bool found = false;
    enum err e = OK;
    field_text_init(&text);
    while (e == OK && !found && msg_header_next(&rest, &field, &value, &line)) {
        if (!slice_ieq(field, name)) {
            continue;
        }
        if (needle.n == 0) {
            found = true;
        } else {
            e = value_contains(&text, value, needle, &found);
        }
    }
    field_text_fini(&text);
    if (e == OK) {
        *out = found;
    }
    return e;
}

/* Anywhere in the block: in a field's line as it stands with its value decoded. */
static enum err block_contains(struct slice block, struct slice needle, bool *out)
{
    struct slice rest = block;
    struct slice field;
    struct slice value;
    struct slice line;
    struct field_text text;
    bool found = false;
    enum err e = OK;
    field_text_init(&text);
    while (e == OK && !found && msg_header_next(&rest, &field, &value, &line)) {
        buf_reset(&text.decoded);
        buf_reset(&text.mapped);
        if (field.n > 0) {
            e = buf_append_slice(&text.decoded, field);
            e = e == OK ? buf_append_str(&text.decoded, ": ") : e;
        }
        e = e == OK ? msg_header_decode(value, &text.decoded) : e;
        e = e == OK ? msg_casemap(buf_slice(&text.decoded), &text.mapped) : e;
        found = e == OK && contains(buf_slice(&text.mapped), needle);
    }
    field_text_fini(&text);
    if (e == OK) {
        *out = found;
    }
    return e;
}

/* --- bytes of the body --- */

static enum err read_range(const struct search *s, const struct search_message *m, uint32_t off, uint32_t n,
                           struct buf *out)
{
    if (off > m->email->body_bytes || n > m->email->body_bytes - off) {
        return ERR_CORRUPT; /* the record names bytes that the message has not */
    }
    enum err e = repl_body_read(s->store->t, s->store->prefix, m->email->body_index, (uint16_t)m->email->body_ordinal,
                                off, n, out);
    return e == ERR_NOTFOUND ? ERR_CORRUPT : e;
}

enum err search_load_header(const struct search *s, struct search_message *m)
{
    uint32_t n = m->record->header_bytes < HEADER_BYTES_MAX ? m->record->header_bytes : HEADER_BYTES_MAX;
    if (m->header->len > 0 || n == 0) {
        return OK;
    }
    return read_range(s, m, 0, n, m->header);
}

/* Looks for the needle in text that comes in pieces: what could be its beginning is kept. */
struct stream {
    struct slice needle;
    struct msg_decoder *decoder;
    struct buf raw;
    struct buf decoded;
    struct buf mapped;
    bool found;
};

static enum err stream_look(struct stream *st)
{
    enum err e = msg_casemap(buf_slice(&st->decoded), &st->mapped);
    buf_reset(&st->decoded);
    if (e != OK) {
        return e;
    }
    st->found = contains(buf_slice(&st->mapped), st->needle);
    size_t keep = st->needle.n - 1;
    if (st->mapped.len > keep) {
        buf_consume(&st->mapped, st->mapped.len - keep);
    }
    return OK;
}

static enum err stream_part(const struct search *s, const struct search_message *m, const struct msg_part *p,
                            struct stream *st)
{
    enum err e = OK;
    uint32_t left = p->body_bytes;
    uint32_t off = p->body_off;
    while (e == OK && left > 0 && !st->found) {
        uint32_t n = left < RANGE_BYTES ? left : RANGE_BYTES;
        buf_reset(&st->raw);
        e = read_range(s, m, off, n, &st->raw);
        if (e == OK) {
            e = msg_decoder_feed(st->decoder, buf_slice(&st->raw), &st->decoded);
        }
        if (e == OK) {
            e = stream_look(st);
        }
        off += n;
        left -= n;
    }
    if (e == OK && !st->found) {
        e = msg_decoder_finish(st->decoder, &st->decoded);
        if (e == OK) {
            e = stream_look(st);
        }
    }
    return e;
}

static enum err text_part_contains(const struct search *s, const struct search_message *m, const struct msg_part *p,
                                   struct slice needle, bool *out)
{
    struct stream st = {.needle = needle};
    enum err e = msg_decoder_new(p->encoding, p->charset, &st.decoder);
    if (e != OK) {
        return e;
    }
    buf_init(&st.raw, RANGE_BYTES);
    buf_init(&st.decoded, SIZE_MAX / 2);
    buf_init(&st.mapped, SIZE_MAX / 2);
    e = stream_part(s, m, p, &st);
    buf_fini(&st.raw);
    buf_fini(&st.decoded);
    buf_fini(&st.mapped);
    msg_decoder_free(st.decoder);
    if (e == OK) {
        *out = st.found;
    }
    return e;
}

/* The header of a message inside the message is text of its body. */
static enum err nested_header_contains(const struct search *s, const struct search_message *m, const struct msg_part *p,
                                       struct slice needle, bool *out)
{
    struct buf block;
    uint32_t n = p->header_bytes < HEADER_BYTES_MAX ? p->header_bytes : HEADER_BYTES_MAX;
    buf_init(&block, HEADER_BYTES_MAX);
    enum err e = read_range(s, m, p->header_off, n, &block);
    if (e == OK) {
        e = block_contains(buf_slice(&block), needle, out);
    }
    buf_fini(&block);
    return e;
}

static enum err part_contains(const struct search *s, const struct search_message *m, uint32_t index,
                              struct slice needle, bool *out)
{
    struct msg_part part;
    struct msg_part parent;
    enum err e = msg_part_at(m->record, index, &part);
    if (e == OK && index > 0) {
        e = msg_part_at(m->record, part.parent, &parent);
        if (e == OK && parent.kind == MSG_PART_MESSAGE) {
            e = nested_header_contains(s, m, &part, needle, out);
        }
    }
    if (e == OK && !*out && part.kind == MSG_PART_LEAF && part.is_text) {
        e = text_part_contains(s, m, &part, needle, out);
    }
    return e;
}

enum err search_body(const struct search *s, struct search_message *m, struct slice needle, bool with_header, bool *out)
{
    bool found = needle.n == 0;
    enum err e = OK;
    if (!found && with_header) {
        e = search_load_header(s, m);
        if (e == OK) {
            e = block_contains(buf_slice(m->header), needle, &found);
        }
    }
    for (uint32_t i = 0; e == OK && !found && i < m->record->n_parts; i++) {
        e = part_contains(s, m, i, needle, &found);
    }
    if (e == OK) {
        *out = found;
    }
    return e;
}
