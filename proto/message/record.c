#include "proto/message/record.h"

#include "proto/base/bytes.h"

#define FLAG_ATTACHMENT 1u
#define FLAG_STRUCTURE_CUT 2u

#define ROW_KIND_MASK 3u
#define ROW_ENCODING_SHIFT 2
#define ROW_IS_TEXT 1u
#define ROW_IS_HTML 2u

#define LENGTHS_OFF 56
#define LENGTHS_N 4 /* envelope, body, bodystructure, headers */

static void encode_fixed(uint8_t p[RECORD_FIXED_BYTES], const struct msg_summary *s, const struct msg_tree *t)
{
    memset(p, 0, RECORD_FIXED_BYTES);
    p[0] = RECORD_VERSION;
    p[1] = (uint8_t)((t->has_attachment ? FLAG_ATTACHMENT : 0) | (t->cut ? FLAG_STRUCTURE_CUT : 0));
    put_le16(p + 2, (uint16_t)s->sent_zone_min);
    put_le32(p + 4, s->size_bytes);
    put_le32(p + 8, s->header_bytes);
    put_le32(p + 12, s->lines);
    put_le64(p + 16, (uint64_t)s->sent_s);
    put_le64(p + 24, s->message_id);
    put_le64(p + 32, s->base_subject);
    put_le64(p + 40, s->headers_cut);
    put_le32(p + 48, t->n);
    put_le16(p + 52, (uint16_t)s->n_references);
    put_le16(p + 54, (uint16_t)t->charsets.len);
}

static void encode_row(uint8_t p[RECORD_PART_BYTES], const struct msg_node *node)
{
    put_le16(p, (uint16_t)node->parent);
    p[2] = (uint8_t)(node->kind | node->encoding << ROW_ENCODING_SHIFT);
    p[3] = (uint8_t)((node->is_text ? ROW_IS_TEXT : 0) | (node->is_html ? ROW_IS_HTML : 0));
    put_le32(p + 4, node->header_off);
    put_le32(p + 8, node->body_off - node->header_off);
    put_le32(p + 12, node->body_bytes);
    put_le32(p + 16, node->body_lines);
    put_le16(p + 20, node->charset_off);
    put_le16(p + 22, 0);
}

static void write_tables(struct msg_out *o, const struct msg_summary *s, const struct msg_tree *t)
{
    for (size_t i = 0; i < s->n_references; i++) {
        uint8_t row[8];
        put_le64(row, s->references[i]);
        msg_out_bytes(o, row, sizeof(row));
    }
    for (uint32_t i = 0; i < t->n; i++) {
        uint8_t row[RECORD_PART_BYTES];
        encode_row(row, &t->nodes[i]);
        msg_out_bytes(o, row, sizeof(row));
    }
    msg_out_slice(o, buf_slice(&t->charsets));
}

static uint32_t written_since(const struct msg_out *o, size_t *io_from)
{
    uint32_t n = (uint32_t)(o->b->len - *io_from);
    *io_from = o->b->len;
    return n;
}

enum err msg_record_encode(const struct msg_summary *s, const struct msg_tree *t, struct buf *out)
{
    size_t start = out->len;
    struct msg_out o = msg_out_make(out);
    uint8_t fixed[RECORD_FIXED_BYTES];
    uint32_t lengths[LENGTHS_N];
    encode_fixed(fixed, s, t);
    msg_out_bytes(&o, fixed, sizeof(fixed));
    write_tables(&o, s, t);
    size_t from = out->len;
    msg_out_bytes(&o, buf_slice(&t->text).p + s->envelope.off, s->envelope.n);
    lengths[0] = written_since(&o, &from);
    msg_tree_write(t, false, &o);
    lengths[1] = written_since(&o, &from);
    msg_tree_write(t, true, &o);
    lengths[2] = written_since(&o, &from);
    msg_out_slice(&o, s->headers);
    lengths[3] = written_since(&o, &from);
    if (o.err != OK) {
        buf_truncate(out, start);
        return o.err;
    }
    for (size_t i = 0; i < LENGTHS_N; i++) {
        put_le32(out->base + out->off + start + LENGTHS_OFF + 4 * i, lengths[i]);
    }
    return OK;
}

static void decode_fixed(const uint8_t *p, struct msg_record *r)
{
    r->has_attachment = (p[1] & FLAG_ATTACHMENT) != 0;
    r->structure_cut = (p[1] & FLAG_STRUCTURE_CUT) != 0;
    r->sent_zone_min = (int16_t)get_le16(p + 2);
    r->size_bytes = get_le32(p + 4);
    r->header_bytes = get_le32(p + 8);
    r->lines = get_le32(p + 12);
    r->sent_s = (int64_t)get_le64(p + 16);
    r->message_id = get_le64(p + 24);
    r->base_subject = get_le64(p + 32);
    r->headers_cut = get_le64(p + 40);
    r->n_parts = get_le32(p + 48);
}

enum err msg_record_decode(struct slice record, struct msg_record *out)
{
    struct reader in = reader_make(record);
    const uint8_t *p = reader_bytes(&in, RECORD_FIXED_BYTES).p;
    if (in.failed || p[0] != RECORD_VERSION) {
        return ERR_CORRUPT;
    }
    struct msg_record r;
    memset(&r, 0, sizeof(r));
    decode_fixed(p, &r);
    if (r.n_parts == 0 || r.n_parts > UINT16_MAX || r.header_bytes > r.size_bytes) {
        return ERR_CORRUPT;
    }
    struct slice *const sections[LENGTHS_N] = {&r.envelope, &r.body, &r.bodystructure, &r.headers};
    r.references = reader_bytes(&in, 8u * get_le16(p + 52));
    r.parts = reader_bytes(&in, (size_t)r.n_parts * RECORD_PART_BYTES + get_le16(p + 54));
    for (size_t i = 0; i < LENGTHS_N; i++) {
        *sections[i] = reader_bytes(&in, get_le32(p + LENGTHS_OFF + 4 * i));
    }
    if (in.failed || reader_left(&in) != 0) {
        return ERR_CORRUPT;
    }
    *out = r;
    return OK;
}

/* The charset's name: a length byte and the bytes, behind the rows. */
static bool decode_charset(const struct msg_record *r, uint16_t off, char out[MSG_CHARSET_BYTES])
{
    struct slice names = slice_sub(r->parts, (size_t)r->n_parts * RECORD_PART_BYTES, r->parts.n);
    if (off >= names.n) {
        return false;
    }
    struct slice name = slice_sub(names, off + 1u, off + 1u + names.p[off]);
    if (name.n != names.p[off] || name.n >= MSG_CHARSET_BYTES) {
        return false;
    }
    memset(out, 0, MSG_CHARSET_BYTES);
    memcpy(out, name.p, name.n);
    return true;
}

static bool is_sound(const struct msg_record *r, const struct msg_part *part)
{
    uint64_t end = (uint64_t)part->header_off + part->header_bytes + part->body_bytes;
    return end <= r->size_bytes && part->kind <= MSG_PART_MESSAGE && part->encoding <= MSG_ENC_OTHER &&
           (part->index == 0 ? part->parent == 0 : part->parent < part->index);
}

enum err msg_part_at(const struct msg_record *r, uint32_t index, struct msg_part *out)
{
    if (index >= r->n_parts || r->parts.n < (size_t)r->n_parts * RECORD_PART_BYTES) {
        return ERR_CORRUPT;
    }
    const uint8_t *p = r->parts.p + (size_t)index * RECORD_PART_BYTES;
    struct msg_part part;
    part.index = index;
    part.parent = get_le16(p);
    part.kind = (enum msg_part_kind)(p[2] & ROW_KIND_MASK);
    part.encoding = (enum msg_encoding)(p[2] >> ROW_ENCODING_SHIFT);
    part.is_text = (p[3] & ROW_IS_TEXT) != 0;
    part.is_html = (p[3] & ROW_IS_HTML) != 0;
    part.header_off = get_le32(p + 4);
    part.header_bytes = get_le32(p + 8);
    part.body_bytes = get_le32(p + 12);
    part.body_lines = get_le32(p + 16);
    part.body_off = part.header_off + part.header_bytes;
    if (!is_sound(r, &part) || !decode_charset(r, get_le16(p + 20), part.charset)) {
        return ERR_CORRUPT;
    }
    *out = part;
    return OK;
}

/* The k-th (from 1) part below `parent`, in document order. */
static enum err child_at(const struct msg_record *r, uint32_t parent, uint32_t k, struct msg_part *out)
{
    for (uint32_t i = parent + 1; i < r->n_parts; i++) {
        const uint8_t *p = r->parts.p + (size_t)i * RECORD_PART_BYTES;
        if (get_le16(p) == parent && --k == 0) {
            return msg_part_at(r, i, out);
        }
    }
    return ERR_NOTFOUND;
}

/* RFC 3501, 6.4.5: "Every message has at least one part number. Non-[MIME] messages, and non-multipart [MIME] messages
 * with no encapsulated message, only have a part 1." So the text of a message, the outer one or an encapsulated one,
 * has the parts of its multipart or is itself part 1. */
static enum err step(const struct msg_record *r, const struct msg_part *from, bool at_message, uint32_t k,
                     struct msg_part *out)
{
    if (k == 0) {
        return ERR_NOTFOUND;
    }
    if (from->kind == MSG_PART_MULTIPART) {
        return child_at(r, from->index, k, out);
    }
    if (at_message) {
        *out = *from;
        return k == 1 ? OK : ERR_NOTFOUND;
    }
    if (from->kind != MSG_PART_MESSAGE) {
        return ERR_NOTFOUND;
    }
    struct msg_part text;
    enum err e = child_at(r, from->index, 1, &text);
    return e == OK ? step(r, &text, true, k, out) : e;
}

enum err msg_part_find(const struct msg_record *r, const uint32_t *numbers, size_t n, struct msg_part *out)
{
    struct msg_part part;
    enum err e = msg_part_at(r, 0, &part);
    for (size_t i = 0; i < n && e == OK; i++) {
        struct msg_part next;
        e = step(r, &part, i == 0, numbers[i], &next);
        if (e == OK) {
            part = next;
        }
    }
    if (e == OK) {
        *out = part;
    }
    return e;
}
