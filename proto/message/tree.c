#include "proto/message/tree.h"

#include "proto/base/assert.h"
#include "proto/base/mem.h"
#include "proto/message/record.h"

/* Parentheses, spaces and two numbers, in BODY and in BODYSTRUCTURE. */
#define PUNCTUATION_BYTES 52
#define EMPTY_HEAD "\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\""
#define NO_EXT " NIL NIL NIL NIL"
#define DEGRADED_HEAD "\"application\" \"octet-stream\" NIL NIL NIL "

void msg_tree_init(struct msg_tree *t, uint32_t parts_max)
{
    memset(t, 0, sizeof(*t));
    t->parts_max = parts_max;
    buf_init(&t->text, SIZE_MAX / 4);
    buf_init(&t->charsets, UINT16_MAX);
}

void msg_tree_fini(struct msg_tree *t)
{
    mem_free(t->nodes);
    buf_fini(&t->text);
    buf_fini(&t->charsets);
}

void msg_tree_reset(struct msg_tree *t)
{
    t->n = 0;
    t->has_attachment = false;
    t->cut = false;
    buf_reset(&t->text);
    buf_reset(&t->charsets);
}

bool msg_tree_has_room(const struct msg_tree *t)
{
    return t->n < t->parts_max && t->left_bytes >= MSG_PART_BYTES_MIN;
}

static enum err grow(struct msg_tree *t)
{
    if (t->n < t->cap) {
        return OK;
    }
    uint32_t cap = t->cap == 0 ? 8 : t->cap * 2;
    struct msg_node *nodes = mem_realloc(t->nodes, cap * sizeof(*nodes));
    if (nodes == NULL) {
        return ERR_NOMEM;
    }
    t->nodes = nodes;
    t->cap = cap;
    return OK;
}

enum err msg_tree_add(struct msg_tree *t, uint32_t parent, uint32_t header_off, uint32_t *out_index)
{
    enum err e = grow(t);
    if (e != OK) {
        return e;
    }
    struct msg_node *node = &t->nodes[t->n];
    memset(node, 0, sizeof(*node));
    node->parent = parent;
    node->header_off = header_off;
    node->body_off = header_off;
    if (t->n > 0) {
        t->nodes[parent].has_child = true;
    }
    *out_index = t->n++;
    return OK;
}

/* What the part will take in the record: a row, and its fragments in both BODY and BODYSTRUCTURE. */
static size_t cost_of(const struct msg_node *node)
{
    return RECORD_PART_BYTES + PUNCTUATION_BYTES + 2 * node->head.n + node->ext.n;
}

static void spend(struct msg_tree *t, size_t bytes)
{
    t->left_bytes -= bytes < t->left_bytes ? bytes : t->left_bytes;
}

/* Each name is kept once: a hostile message can have a thousand, a real one has two. */
static enum err charset_keep(struct msg_tree *t, const char *name, uint16_t *out_off)
{
    uint8_t n = (uint8_t)strlen(name);
    struct slice all = buf_slice(&t->charsets);
    for (size_t at = 0; at < all.n; at += 1u + all.p[at]) {
        if (all.p[at] == n && memcmp(all.p + at + 1, name, n) == 0) {
            *out_off = (uint16_t)at;
            return OK;
        }
    }
    uint8_t row[1 + MSG_CHARSET_BYTES];
    row[0] = n;
    memcpy(row + 1, name, n);
    enum err e = buf_append(&t->charsets, row, 1u + n);
    if (e == OK) {
        *out_off = (uint16_t)all.n;
        spend(t, 1u + n);
    }
    return e;
}

static struct msg_span span_since(const struct msg_tree *t, size_t from)
{
    struct msg_span s = {(uint32_t)from, (uint32_t)(t->text.len - from)};
    return s;
}

enum err msg_tree_envelope(struct msg_tree *t, const struct msg_fields *f, size_t bytes_max, struct msg_span *out)
{
    size_t from = t->text.len;
    struct msg_out o = msg_out_make(&t->text);
    msg_envelope_write(&o, f, &t->address, bytes_max);
    if (o.err == OK) {
        *out = span_since(t, from);
    }
    return o.err;
}

enum err msg_tree_nested_envelope(struct msg_tree *t, uint32_t index, const struct msg_fields *f)
{
    size_t bytes_max = t->left_bytes / 8;
    bytes_max = bytes_max < MSG_ENVELOPE_BYTES_MIN ? MSG_ENVELOPE_BYTES_MIN : bytes_max;
    struct msg_span *span = &t->nodes[index].envelope;
    enum err e = msg_tree_envelope(t, f, bytes_max, span);
    if (e == OK) {
        spend(t, 2 * (size_t)span->n);
    }
    return e;
}

static enum err write_fragments(struct msg_tree *t, struct msg_node *node, const struct msg_content *c,
                                const struct msg_fields *f)
{
    struct msg_out o = msg_out_make(&t->text);
    size_t from = t->text.len;
    msg_content_write_head(&o, c, f, t->scratch);
    node->head = span_since(t, from);
    from = t->text.len;
    msg_content_write_ext(&o, c, f, t->scratch);
    node->ext = span_since(t, from);
    return o.err;
}

static const char *encoding_name(enum msg_encoding e)
{
    static const char *const names[] = {
        [MSG_ENC_7BIT] = "\"7bit\"",           [MSG_ENC_8BIT] = "\"8bit\"",     [MSG_ENC_BINARY] = "\"binary\"",
        [MSG_ENC_QP] = "\"quoted-printable\"", [MSG_ENC_BASE64] = "\"base64\"", [MSG_ENC_OTHER] = "\"7bit\""};
    return names[e];
}

static enum err write_degraded(struct msg_tree *t, struct msg_node *node, struct msg_content *c)
{
    msg_content_degrade(c);
    struct msg_out o = msg_out_make(&t->text);
    size_t from = t->text.len;
    msg_out_str(&o, DEGRADED_HEAD);
    msg_out_str(&o, encoding_name(c->encoding));
    node->head = span_since(t, from);
    from = t->text.len;
    msg_out_str(&o, NO_EXT);
    node->ext = span_since(t, from);
    node->envelope.n = 0;
    t->cut = true;
    return o.err;
}

/* A container must have room for itself and for what it has to have: a child, and a message's envelope (in both forms).
 */
static bool fits(const struct msg_tree *t, const struct msg_node *node, const struct msg_content *c)
{
    size_t need = cost_of(node) + 1 + MSG_CHARSET_BYTES;
    if (c->kind == MSG_PART_LEAF) {
        return need <= t->left_bytes;
    }
    need += MSG_PART_BYTES_MIN + (c->kind == MSG_PART_MESSAGE ? 2u * MSG_ENVELOPE_BYTES_MIN : 0u);
    return need <= t->left_bytes && t->n < t->parts_max;
}

static enum err describe_fragments(struct msg_tree *t, struct msg_node *node, const struct msg_fields *f, bool may_nest,
                                   struct msg_content *c)
{
    size_t from = t->text.len;
    if (c->kind != MSG_PART_LEAF && !may_nest) {
        msg_content_degrade(c);
        t->cut = true;
    }
    enum err e = write_fragments(t, node, c, f);
    if (e == OK && !fits(t, node, c)) {
        buf_truncate(&t->text, from);
        e = write_degraded(t, node, c);
    }
    return e;
}

enum err msg_tree_describe(struct msg_tree *t, uint32_t index, const struct msg_fields *f, bool may_nest,
                           struct msg_content *out_content)
{
    struct msg_node *node = &t->nodes[index];
    enum msg_family parent = index == 0 ? MSG_FAMILY_NONE : (enum msg_family)t->nodes[node->parent].family;
    msg_content_read(out_content, f, parent, t->scratch);
    enum err e = describe_fragments(t, node, f, may_nest, out_content);
    if (e == OK) {
        e = charset_keep(t, out_content->charset, &node->charset_off);
    }
    if (e != OK) {
        return e;
    }
    node->kind = (uint8_t)out_content->kind;
    node->encoding = (uint8_t)out_content->encoding;
    node->family = (uint8_t)out_content->family;
    node->is_text = out_content->is_text;
    node->is_html = out_content->is_html;
    t->has_attachment |= out_content->is_attachment;
    spend(t, cost_of(node));
    return OK;
}

static enum err add_empty_child(struct msg_tree *t, uint32_t parent, uint32_t at)
{
    uint32_t index;
    enum err e = msg_tree_add(t, parent, at, &index);
    if (e != OK) {
        return e;
    }
    struct msg_node *node = &t->nodes[index];
    node->is_text = true;
    struct msg_out o = msg_out_make(&t->text);
    size_t from = t->text.len;
    msg_out_str(&o, EMPTY_HEAD);
    node->head = span_since(t, from);
    from = t->text.len;
    msg_out_str(&o, NO_EXT);
    node->ext = span_since(t, from);
    spend(t, cost_of(node));
    return o.err == OK ? charset_keep(t, "us-ascii", &node->charset_off) : o.err;
}

enum err msg_tree_close(struct msg_tree *t, uint32_t index, uint32_t end, uint32_t lines)
{
    struct msg_node *node = &t->nodes[index];
    if (end > node->body_off) {
        node->body_bytes = end - node->body_off;
        node->body_lines = lines - node->lines_before;
    }
    if (node->kind == MSG_PART_MULTIPART && !node->has_child) {
        return add_empty_child(t, index, node->body_off + node->body_bytes);
    }
    return OK;
}

static struct slice span_of(const struct msg_tree *t, struct msg_span s)
{
    return slice_make(buf_slice(&t->text).p + s.off, s.n);
}

/* body = "(" (body-type-1part / body-type-mpart) ")" up to where the children come. */
static void write_open(const struct msg_tree *t, const struct msg_node *node, struct msg_out *o)
{
    msg_out_u8(o, '(');
    if (node->kind == MSG_PART_MULTIPART) {
        return;
    }
    msg_out_slice(o, span_of(t, node->head));
    msg_out_u8(o, ' ');
    msg_out_dec(o, node->body_bytes);
    if (node->kind == MSG_PART_MESSAGE) {
        msg_out_u8(o, ' ');
        msg_out_slice(o, span_of(t, node->envelope));
        msg_out_u8(o, ' ');
    } else if (node->is_text) {
        msg_out_u8(o, ' ');
        msg_out_dec(o, node->body_lines);
    }
}

static void write_close(const struct msg_tree *t, const struct msg_node *node, bool extended, struct msg_out *o)
{
    if (node->kind == MSG_PART_MULTIPART) {
        msg_out_u8(o, ' ');
        msg_out_slice(o, span_of(t, node->head));
    } else if (node->kind == MSG_PART_MESSAGE) {
        msg_out_u8(o, ' ');
        msg_out_dec(o, node->body_lines);
    }
    if (extended) {
        msg_out_slice(o, span_of(t, node->ext));
    }
    msg_out_u8(o, ')');
}

void msg_tree_write(const struct msg_tree *t, bool extended, struct msg_out *o)
{
    uint32_t open = 0; /* the innermost part whose ")" is not written */
    for (uint32_t i = 0; i < t->n; i++) {
        for (; i > 0 && open != t->nodes[i].parent; open = t->nodes[open].parent) {
            write_close(t, &t->nodes[open], extended, o);
        }
        write_open(t, &t->nodes[i], o);
        open = i;
    }
    for (; open != 0; open = t->nodes[open].parent) {
        write_close(t, &t->nodes[open], extended, o);
    }
    write_close(t, &t->nodes[0], extended, o);
}
