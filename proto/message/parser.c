#include "proto/message/field.h"
#include "proto/message/lex.h"
#include "proto/message/message.h"
#include "proto/message/record.h"
#include "proto/message/thread.h"
#include "proto/message/tree.h"

#include "proto/base/mem.h"

/* "--" boundary "--" and the padding that is looked at behind it. */
#define DELIMITER_BYTES_MAX 512

#define DEPTH_MAX 1024
#define HEADER_BYTES_MIN 1024
#define RECORD_BYTES_MIN 8192
#define RECORD_BYTES_MAX (16u << 20)

const struct msg_limits msg_limits_default = {
    .depth_max = 64,
    .parts_max = 1000,
    .header_bytes_max = 256 * 1024,
    .cached_bytes_max = 8 * 1024,
    .record_bytes_max = 32 * 1024,
};

/* Where in a line the next byte falls. */
enum line {
    LINE_START,
    LINE_CR,        /* in a header: behind a CR that began the line */
    LINE_IN,        /* inside, and it is no delimiter */
    LINE_CANDIDATE, /* inside of what may become a delimiter */
};

struct open_part {
    uint32_t index;
    uint32_t boundary_off; /* in boundaries */
    uint32_t boundary_bytes;
    bool active; /* a multipart whose close-delimiter has not come */
};

struct msg_parser {
    struct msg_limits limits;
    uint64_t pos; /* of the chunk being fed */
    uint32_t lines;
    uint8_t last[2]; /* the two bytes in front of the chunk */
    enum line line;
    bool in_header; /* of the innermost open part */
    bool failed;    /* or finished: good for reset and free only */
    bool header_cut;
    uint32_t n_open;
    uint32_t n_active;
    struct open_part *open; /* depth_max + 2 */
    struct buf boundaries;  /* of the open parts, a stack */
    struct buf header;      /* the block being read */
    struct buf cached;
    struct msg_summary summary;
    struct msg_tree tree;
    struct msg_fields fields;   /* scratch, big for a stack */
    struct msg_content content; /* scratch */
    uint32_t delimiter_off;     /* the candidate's first byte in the message */
    uint32_t delimiter_eol;     /* bytes of the line end in front of it */
    size_t delimiter_bytes;     /* of it in `delimiter`: 0 until it has to be kept between chunks */
    uint8_t delimiter[DELIMITER_BYTES_MAX];
};

static uint32_t clamp(uint32_t v, uint32_t lo, uint32_t hi)
{
    return v < lo ? lo : v > hi ? hi : v;
}

static struct msg_limits clamp_limits(const struct msg_limits *from)
{
    struct msg_limits l = *from;
    l.depth_max = clamp(l.depth_max, 1, DEPTH_MAX);
    l.parts_max = clamp(l.parts_max, 1, UINT16_MAX);
    l.header_bytes_max = clamp(l.header_bytes_max, HEADER_BYTES_MIN, UINT32_MAX);
    l.record_bytes_max = clamp(l.record_bytes_max, RECORD_BYTES_MIN, RECORD_BYTES_MAX);
    l.cached_bytes_max = clamp(l.cached_bytes_max, 0, l.record_bytes_max / 4);
    return l;
}

static void parser_start(struct msg_parser *p)
{
    memset(&p->summary, 0, sizeof(p->summary));
    p->summary.sent_s = INT64_MIN;
    p->pos = 0;
    p->lines = 0;
    p->line = LINE_START;
    p->in_header = true;
    p->failed = false;
    p->header_cut = false;
    p->n_open = 0;
    p->n_active = 0;
    p->tree.left_bytes = p->limits.record_bytes_max;
}

void msg_parser_reset(struct msg_parser *p)
{
    buf_reset(&p->boundaries);
    buf_reset(&p->header);
    buf_reset(&p->cached);
    msg_tree_reset(&p->tree);
    parser_start(p);
}

enum err msg_parser_new(const struct msg_limits *limits, struct msg_parser **out)
{
    struct msg_parser *p = mem_zalloc(sizeof(*p));
    if (p == NULL) {
        return ERR_NOMEM;
    }
    p->limits = clamp_limits(limits);
    p->open = mem_calloc(p->limits.depth_max + 2, sizeof(*p->open));
    if (p->open == NULL) {
        mem_free(p);
        return ERR_NOMEM;
    }
    buf_init(&p->boundaries, SIZE_MAX / 4);
    buf_init(&p->header, p->limits.header_bytes_max);
    buf_init(&p->cached, p->limits.cached_bytes_max);
    msg_tree_init(&p->tree, p->limits.parts_max);
    parser_start(p);
    *out = p;
    return OK;
}

void msg_parser_free(struct msg_parser *p)
{
    if (p == NULL) {
        return;
    }
    msg_tree_fini(&p->tree);
    buf_fini(&p->cached);
    buf_fini(&p->header);
    buf_fini(&p->boundaries);
    mem_free(p->open);
    mem_free(p);
}

/* --- parts --- */

static enum err part_open(struct msg_parser *p, uint32_t parent, uint32_t at)
{
    struct open_part *o = &p->open[p->n_open];
    enum err e = msg_tree_add(&p->tree, parent, at, &o->index);
    if (e != OK) {
        return e;
    }
    o->boundary_off = (uint32_t)p->boundaries.len;
    o->boundary_bytes = 0;
    o->active = false;
    p->n_open++;
    p->in_header = true;
    p->header_cut = false;
    buf_reset(&p->header);
    return OK;
}

static enum err part_close(struct msg_parser *p, uint32_t end, uint32_t lines)
{
    struct open_part *o = &p->open[p->n_open - 1];
    p->n_active -= o->active ? 1 : 0;
    buf_truncate(&p->boundaries, o->boundary_off);
    p->n_open--;
    return msg_tree_close(&p->tree, o->index, end, lines);
}

static enum err boundary_open(struct msg_parser *p, struct open_part *o, const struct msg_content *c)
{
    enum err e = buf_append(&p->boundaries, c->boundary, c->boundary_bytes);
    if (e == OK) {
        o->boundary_bytes = (uint32_t)c->boundary_bytes;
        o->active = true;
        p->n_active++;
    }
    return e;
}

/* Keeps the lines of the cached set; a field for which there is no room leaves its bit. */
static enum err cache_headers(struct msg_parser *p, struct slice block)
{
    struct slice name;
    struct slice value;
    struct slice line;
    while (msg_header_next(&block, &name, &value, &line)) {
        enum msg_field f = msg_field_find(name);
        if (f == MSG_FIELD_OTHER) {
            continue;
        }
        enum err e = buf_append_slice(&p->cached, line);
        if (e == ERR_LIMIT) {
            p->summary.headers_cut |= UINT64_C(1) << f;
        } else if (e != OK) {
            return e;
        }
    }
    return OK;
}

/* Of a header that was cut nothing is known of the fields behind the cut. */
static void mark_cut(struct msg_parser *p)
{
    if (p->header_cut) {
        p->summary.headers_cut = UINT64_MAX;
    }
}

static void read_date(struct msg_parser *p)
{
    struct slice date = p->fields.value[MSG_FIELD_DATE];
    if (date.p == NULL || msg_date_parse_zone(date, &p->summary.sent_s, &p->summary.sent_zone_min) != OK) {
        p->summary.sent_s = INT64_MIN;
        p->summary.sent_zone_min = 0;
    }
}

static enum err summarize(struct msg_parser *p)
{
    struct msg_summary *s = &p->summary;
    s->message_id = msg_id_hash(p->fields.value[MSG_FIELD_MESSAGE_ID]);
    s->n_references = msg_references(&p->fields, s->references);
    read_date(p);
    mark_cut(p);
    enum err e = msg_subject_hash(p->fields.value[MSG_FIELD_SUBJECT], &s->base_subject);
    if (e == OK) {
        e = cache_headers(p, p->fields.block);
    }
    if (e == OK) {
        e = msg_tree_envelope(&p->tree, &p->fields, p->limits.record_bytes_max / 4, &s->envelope);
    }
    p->tree.left_bytes -= RECORD_FIXED_BYTES + 8 * s->n_references + p->cached.len + s->envelope.n;
    return e;
}

static struct slice header_block(const struct msg_parser *p)
{
    struct slice block = buf_slice(&p->header);
    if (p->header_cut) {
        const uint8_t *lf = memrchr(block.p, '\n', block.n);
        block.n = lf == NULL ? block.n : (size_t)(lf - block.p) + 1;
    }
    return block;
}

/* The header of a message, the outer one or an encapsulated one, has an envelope. */
static enum err describe_message(struct msg_parser *p, const struct open_part *o)
{
    if (o->index == 0) {
        return summarize(p);
    }
    uint32_t parent = p->tree.nodes[o->index].parent;
    bool is_message = p->tree.nodes[parent].kind == MSG_PART_MESSAGE;
    return is_message ? msg_tree_nested_envelope(&p->tree, parent, &p->fields) : OK;
}

/* The innermost part's header ended; its body begins at `at`. */
static enum err header_end(struct msg_parser *p, uint32_t at)
{
    struct open_part *o = &p->open[p->n_open - 1];
    struct msg_node *node = &p->tree.nodes[o->index];
    p->in_header = false;
    node->body_off = at;
    node->lines_before = p->lines;
    msg_fields_read(&p->fields, header_block(p));
    enum err e = describe_message(p, o);
    if (e == OK) {
        bool may_nest = p->n_open <= p->limits.depth_max;
        e = msg_tree_describe(&p->tree, o->index, &p->fields, may_nest, &p->content);
    }
    if (e != OK) {
        return e;
    }
    if (p->content.kind == MSG_PART_MULTIPART) {
        return boundary_open(p, o, &p->content);
    }
    return p->content.kind == MSG_PART_MESSAGE ? part_open(p, o->index, at) : OK;
}

/* Everything from `level` of the stack on ends before the line at `at`. The line end in front of it belongs to the
 * delimiter (RFC 2046, 5.1.1), unless it is a header's last. */
static enum err close_from(struct msg_parser *p, uint32_t level, uint32_t at, uint32_t eol)
{
    enum err e = OK;
    if (p->in_header || p->tree.nodes[p->open[p->n_open - 1].index].body_off == at) {
        eol = 0;
    }
    while (e == OK && p->in_header) {
        e = header_end(p, at);
    }
    while (e == OK && p->n_open > level) {
        e = part_close(p, at - eol, p->lines - (eol > 0 ? 1 : 0));
    }
    return e;
}

/* --- delimiter lines --- */

static bool is_padding(struct slice s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] != ' ' && s.p[i] != '\t' && s.p[i] != '\r') {
            return false;
        }
    }
    return true;
}

/* delimiter := "--" boundary ; close-delimiter := delimiter "--" ; both with transport-padding. The line must be just
 * that, so a boundary that begins like another one is not taken for it. */
static bool line_matches(struct slice line, struct slice boundary, bool *out_closing)
{
    if (line.n < 2 + boundary.n || memcmp(line.p + 2, boundary.p, boundary.n) != 0) {
        return false;
    }
    struct slice rest = slice_sub(line, 2 + boundary.n, line.n);
    if (is_padding(rest)) {
        *out_closing = false;
        return true;
    }
    *out_closing = true;
    return rest.n >= 2 && rest.p[0] == '-' && rest.p[1] == '-' && is_padding(slice_sub(rest, 2, rest.n));
}

/* The innermost open multipart of which this line is a delimiter; n_open when there is none. One that would open a part
 * for which there is no room is content. */
static uint32_t find_delimiter(const struct msg_parser *p, struct slice line, bool *out_closing)
{
    if (line.n < 2 || line.n > DELIMITER_BYTES_MAX || line.p[0] != '-' || line.p[1] != '-') {
        return p->n_open;
    }
    for (uint32_t level = p->n_open; level-- > 0;) {
        const struct open_part *o = &p->open[level];
        if (!o->active) {
            continue;
        }
        struct slice boundary = slice_make(buf_slice(&p->boundaries).p + o->boundary_off, o->boundary_bytes);
        if (line_matches(line, boundary, out_closing)) {
            return *out_closing || msg_tree_has_room(&p->tree) ? level : p->n_open;
        }
    }
    return p->n_open;
}

/* line_end: offset of what follows the delimiter line. */
static enum err delimiter_found(struct msg_parser *p, uint32_t level, bool closing, uint32_t line_end)
{
    struct open_part *o = &p->open[level];
    enum err e = close_from(p, level + 1, p->delimiter_off, p->delimiter_eol);
    if (e != OK) {
        return e;
    }
    if (closing) {
        o->active = false;
        p->n_active--;
        return OK;
    }
    /* Describing the last parts may have spent the room that the line was judged by. */
    return msg_tree_has_room(&p->tree) ? part_open(p, o->index, line_end) : OK;
}

/* Bytes of the line end in front of b[i]. */
static uint32_t eol_before(const struct msg_parser *p, const uint8_t *b, size_t i)
{
    uint64_t at = p->pos + i;
    uint8_t c = i >= 2 ? b[i - 2] : p->last[i];
    return at == 0 ? 0 : at >= 2 && c == '\r' ? 2 : 1;
}

static void candidate_start(struct msg_parser *p, const uint8_t *b, size_t i)
{
    p->line = LINE_CANDIDATE;
    p->delimiter_off = (uint32_t)(p->pos + i);
    p->delimiter_eol = eol_before(p, b, i);
    p->delimiter_bytes = 0;
}

static enum err header_keep(struct msg_parser *p, const uint8_t *b, size_t n)
{
    size_t room = p->limits.header_bytes_max - p->header.len;
    if (n > room) {
        p->header_cut = true;
        n = room;
    }
    return buf_append(&p->header, b, n);
}

/* It is an ordinary line: what was kept of it between chunks is content. */
static enum err candidate_drop(struct msg_parser *p)
{
    p->line = LINE_IN;
    return p->in_header ? header_keep(p, p->delimiter, p->delimiter_bytes) : OK;
}

static enum err candidate_feed(struct msg_parser *p, const uint8_t *b, size_t n, size_t *io_i)
{
    const uint8_t *from = b + *io_i;
    size_t left = n - *io_i;
    const uint8_t *lf = memchr(from, '\n', left);
    size_t take = lf == NULL ? left : (size_t)(lf - from);
    struct slice line = slice_make(from, take);
    if (p->delimiter_bytes > 0 || lf == NULL) {
        if (take > DELIMITER_BYTES_MAX - p->delimiter_bytes) {
            return candidate_drop(p);
        }
        memcpy(p->delimiter + p->delimiter_bytes, from, take);
        line = slice_make(p->delimiter, p->delimiter_bytes + take);
    }
    if (lf == NULL) {
        p->delimiter_bytes += take;
        *io_i = n;
        return OK;
    }
    bool closing;
    uint32_t level = find_delimiter(p, line, &closing);
    if (level == p->n_open) {
        return candidate_drop(p);
    }
    *io_i += take + 1;
    enum err e = delimiter_found(p, level, closing, (uint32_t)(p->pos + *io_i));
    p->lines++;
    p->line = LINE_START;
    return e;
}

/* --- lines --- */

static bool is_empty_line(enum line at, const uint8_t *from, const uint8_t *lf)
{
    return (at == LINE_CR && lf == from) || (at == LINE_START && (lf == from || (lf == from + 1 && *from == '\r')));
}

static enum line line_state_after(enum line at, const uint8_t *from, size_t n)
{
    if (n == 0) {
        return at;
    }
    return at == LINE_START && n == 1 && *from == '\r' ? LINE_CR : LINE_IN;
}

/* Reads header lines from b[*io_i] on, up to the end of the header, a candidate or the end of the chunk. */
static enum err header_feed(struct msg_parser *p, const uint8_t *b, size_t n, size_t *io_i)
{
    size_t from = *io_i;
    size_t i = from;
    while (i < n) {
        if (p->line == LINE_START && p->n_active > 0 && b[i] == '-') {
            candidate_start(p, b, i);
            break;
        }
        const uint8_t *lf = memchr(b + i, '\n', n - i);
        if (lf == NULL) {
            p->line = line_state_after(p->line, b + i, n - i);
            i = n;
            break;
        }
        bool empty = is_empty_line(p->line, b + i, lf);
        i = (size_t)(lf - b) + 1;
        p->lines++;
        p->line = LINE_START;
        if (empty) {
            enum err e = header_keep(p, b + from, i - from);
            *io_i = i;
            return e == OK ? header_end(p, (uint32_t)(p->pos + i)) : e;
        }
    }
    *io_i = i;
    return header_keep(p, b + from, i - from);
}

/* The hot loop: finds line ends, counts them, and looks at the first byte behind each. */
static void body_feed(struct msg_parser *p, const uint8_t *b, size_t n, size_t *io_i)
{
    const uint8_t *at = b + *io_i;
    const uint8_t *const end = b + n;
    const bool watch = p->n_active > 0;
    uint32_t lines = 0;
    if (p->line == LINE_START && watch && *at == '-') {
        candidate_start(p, b, *io_i);
        return;
    }
    p->line = LINE_START;
    while (at < end) {
        const uint8_t *lf = memchr(at, '\n', (size_t)(end - at));
        if (lf == NULL) {
            p->line = LINE_IN;
            at = end;
            break;
        }
        lines++;
        at = lf + 1;
        if (at < end && *at == '-' && watch) {
            candidate_start(p, b, (size_t)(at - b));
            break;
        }
    }
    p->lines += lines;
    *io_i = (size_t)(at - b);
}

static enum err feed_some(struct msg_parser *p, const uint8_t *b, size_t n, size_t *io_i)
{
    if (p->line == LINE_CANDIDATE) {
        return candidate_feed(p, b, n, io_i);
    }
    if (p->in_header) {
        return header_feed(p, b, n, io_i);
    }
    body_feed(p, b, n, io_i);
    return OK;
}

static enum err root_open(struct msg_parser *p)
{
    return p->n_open == 0 ? part_open(p, 0, 0) : OK;
}

enum err msg_parser_feed(struct msg_parser *p, struct slice bytes)
{
    /* Offsets are 32-bit: what is behind 4 GiB is not counted, and no limit of any protocol lets it come. */
    uint64_t room = UINT32_MAX - p->pos;
    size_t n = bytes.n < room ? bytes.n : (size_t)room;
    if (n == 0) {
        return p->failed ? ERR_NOMEM : OK;
    }
    size_t i = 0;
    enum err e = p->failed ? ERR_NOMEM : root_open(p);
    while (e == OK && i < n) {
        e = feed_some(p, bytes.p, n, &i);
    }
    p->failed = e != OK;
    p->last[0] = n > 1 ? bytes.p[n - 2] : p->last[1];
    p->last[1] = bytes.p[n - 1];
    p->pos += n;
    return e == OK ? OK : ERR_NOMEM;
}

/* The last line may lack its end and still be a delimiter. */
static enum err finish_candidate(struct msg_parser *p)
{
    bool closing;
    uint32_t level = find_delimiter(p, slice_make(p->delimiter, p->delimiter_bytes), &closing);
    if (level == p->n_open) {
        return candidate_drop(p);
    }
    p->line = LINE_START;
    return delimiter_found(p, level, closing, (uint32_t)p->pos);
}

static enum err finish(struct msg_parser *p)
{
    enum err e = root_open(p);
    if (e == OK && p->line == LINE_CANDIDATE) {
        e = finish_candidate(p);
    }
    if (e == OK) {
        e = close_from(p, 0, (uint32_t)p->pos, 0);
    }
    return e;
}

enum err msg_parser_finish(struct msg_parser *p, struct buf *out_record)
{
    enum err e = p->failed ? ERR_NOMEM : finish(p);
    p->failed = true; /* until the reset */
    if (e != OK) {
        return ERR_NOMEM;
    }
    const struct msg_node *root = &p->tree.nodes[0];
    p->summary.size_bytes = (uint32_t)p->pos;
    p->summary.header_bytes = root->body_off;
    p->summary.lines = p->lines;
    p->summary.headers = buf_slice(&p->cached);
    return msg_record_encode(&p->summary, &p->tree, out_record);
}
