#include "storage/search/search_key.h"

/* What is read, and what is casemapped, at a time. */
#define RANGE_BYTES ((uint32_t)8 * 1024)
#define STEP_BYTES ((size_t)4 * 1024)

struct scan_pass {
    struct search *s;
    struct search_message *m;
    size_t n;       /* keys in s->active */
    size_t longest; /* needle */
    size_t carry;   /* bytes at the front of s->mapped that were looked at */
    bool done;      /* the program is decided */
};

/* --- the keys --- */

/* Text keys that can still change the answer. */
static void gather(struct scan_pass *p, struct search_key *k, bool body)
{
    if (search_decided(p->s, k)) {
        return;
    }
    if (k->op == PB__SEARCH_KEY__OP__TEXT || (body && k->op == PB__SEARCH_KEY__OP__BODY)) {
        p->s->active[p->n++] = k;
        p->longest = k->needle.n > p->longest ? k->needle.n : p->longest;
    }
    for (size_t i = 0; i < k->n_children; i++) {
        gather(p, &k->children[i], body);
    }
}

static void gather_all(struct scan_pass *p, bool body)
{
    p->n = 0;
    p->longest = 1;
    gather(p, p->s->root, body);
}

static void answer(struct search *s, struct search_key *k, enum search_answer a)
{
    k->serial = s->serial;
    k->answer = (uint8_t)a;
}

static enum err is_decided(struct scan_pass *p)
{
    enum search_answer root;
    enum err e = search_eval(p->s, p->m, SEARCH_BODY, &root);
    p->done = e == OK && root != SEARCH_UNKNOWN;
    return e;
}

/* --- text, as it comes --- */

/* Looks where something was added; true when a key was found. */
static bool look(struct scan_pass *p)
{
    struct slice all = buf_slice(&p->s->mapped);
    bool any = false;
    for (size_t i = 0; i < p->n;) {
        struct search_key *k = p->s->active[i];
        size_t from = p->carry >= k->needle.n ? p->carry - (k->needle.n - 1) : 0;
        if (search_contains(slice_sub(all, from, all.n), k->needle)) {
            answer(p->s, k, SEARCH_YES);
            p->s->active[i] = p->s->active[--p->n];
            any = true;
        } else {
            i++;
        }
    }
    return any;
}

/* Bytes of a step, which must not cut a character. */
static size_t step_bytes(struct slice utf8)
{
    size_t n = STEP_BYTES;
    if (utf8.n <= n) {
        return utf8.n;
    }
    while (n > STEP_BYTES - 4 && (utf8.p[n] & 0xc0) == 0x80) {
        n--;
    }
    return n;
}

static enum err put(void *ctx, struct slice utf8)
{
    struct scan_pass *p = ctx;
    struct buf *mapped = &p->s->mapped;
    while (utf8.n > 0 && p->n > 0 && !p->done) {
        size_t n = step_bytes(utf8);
        enum err e = msg_casemap(slice_sub(utf8, 0, n), mapped);
        if (e == OK && look(p)) {
            e = is_decided(p);
        }
        if (e != OK) {
            return e;
        }
        if (mapped->len >= p->longest) {
            buf_consume(mapped, mapped->len - (p->longest - 1));
        }
        p->carry = mapped->len;
        utf8 = slice_sub(utf8, n, utf8.n);
    }
    return OK;
}

/* Nothing is found across the end of a text. */
static void end_text(struct scan_pass *p)
{
    buf_reset(&p->s->mapped);
    p->carry = 0;
}

static bool wants_more(const struct scan_pass *p)
{
    return p->n > 0 && !p->done;
}

/* --- header blocks --- */

/* The name, the colon and the value decoded, or the line when it is no field. */
static enum err put_field(struct scan_pass *p, struct slice field, struct slice value)
{
    enum err e = OK;
    if (field.n > 0) {
        e = put(p, field);
        e = e == OK ? put(p, slice_str(":")) : e;
    }
    if (e == OK) {
        e = search_value_text(p->s, value, put, p);
    }
    end_text(p);
    return e == OK ? search_spend(p->s, 1 + (unsigned)(value.n / 16)) : e;
}

static enum err put_block(struct scan_pass *p, struct slice block)
{
    struct slice field;
    struct slice value;
    struct slice line;
    enum err e = OK;
    while (e == OK && wants_more(p) && msg_header_next(&block, &field, &value, &line)) {
        e = put_field(p, field, value);
    }
    return e;
}

/* --- bytes of the message --- */

static enum err put_bytes(struct scan_pass *p, struct msg_decoder *d, uint32_t off, uint32_t left)
{
    struct search *s = p->s;
    enum err e = OK;
    while (e == OK && left > 0 && wants_more(p)) {
        uint32_t n = left < RANGE_BYTES ? left : RANGE_BYTES;
        buf_reset(&s->raw);
        buf_reset(&s->decoded);
        e = search_read(s, p->m, off, n, &s->raw);
        e = e == OK ? msg_decoder_feed(d, buf_slice(&s->raw), &s->decoded) : e;
        e = e == OK ? put(p, buf_slice(&s->decoded)) : e;
        e = e == OK ? search_spend(s, SEARCH_COST_CLOCK) : e;
        off += n;
        left -= n;
    }
    if (e == OK && wants_more(p)) {
        buf_reset(&s->decoded);
        e = msg_decoder_finish(d, &s->decoded);
        e = e == OK ? put(p, buf_slice(&s->decoded)) : e;
    }
    end_text(p);
    return e;
}

static enum err put_range(struct scan_pass *p, enum msg_encoding encoding, const char *charset, uint32_t off,
                          uint32_t bytes)
{
    struct msg_decoder *d;
    enum err e = msg_decoder_new(encoding, charset, &d);
    if (e != OK) {
        return e;
    }
    e = put_bytes(p, d, off, bytes);
    msg_decoder_free(d);
    return e;
}

/* What of the message's bytes the structure does not tell. */
static enum err put_raw(struct scan_pass *p, uint32_t off, uint32_t end)
{
    return off < end && wants_more(p) ? put_range(p, MSG_ENC_8BIT, "utf-8", off, end - off) : OK;
}

static enum err put_header(struct scan_pass *p)
{
    enum err e = search_load_header(p->s, p->m);
    if (e == OK) {
        e = put_block(p, buf_slice(&p->s->header));
    }
    return e == OK ? put_raw(p, SEARCH_HEADER_BYTES_MAX, p->m->record->header_bytes) : e;
}

/* The header of a message inside the message is text of its body. It takes the place of the message's own. */
static enum err put_nested_header(struct scan_pass *p, const struct msg_part *part)
{
    uint32_t n = part->header_bytes < SEARCH_HEADER_BYTES_MAX ? part->header_bytes : SEARCH_HEADER_BYTES_MAX;
    buf_reset(&p->s->header);
    p->m->header_loaded = false;
    enum err e = search_read(p->s, p->m, part->header_off, n, &p->s->header);
    if (e == OK) {
        e = put_block(p, buf_slice(&p->s->header));
    }
    return e == OK ? put_raw(p, part->header_off + n, part->header_off + part->header_bytes) : e;
}

static enum err put_part(struct scan_pass *p, uint32_t index)
{
    struct msg_part part;
    struct msg_part parent;
    enum err e = msg_part_at(p->m->record, index, &part);
    if (e == OK && index > 0) {
        e = msg_part_at(p->m->record, part.parent, &parent);
        if (e == OK && parent.kind == MSG_PART_MESSAGE) {
            e = put_nested_header(p, &part);
        }
    }
    if (e == OK && part.kind == MSG_PART_LEAF && part.is_text) {
        e = put_range(p, part.encoding, part.charset, part.body_off, part.body_bytes);
    }
    return e == OK ? search_spend(p->s, 1) : e;
}

enum err search_scan(struct search *s, struct search_message *m)
{
    struct scan_pass p = {.s = s, .m = m};
    enum err e = OK;
    end_text(&p);
    gather_all(&p, false);
    if (wants_more(&p)) {
        e = put_header(&p);
    }
    if (e == OK && !p.done) {
        gather_all(&p, true);
    }
    for (uint32_t i = 0; e == OK && wants_more(&p) && i < m->record->n_parts; i++) {
        e = put_part(&p, i);
    }
    if (e == OK && m->record->structure_cut) {
        e = put_raw(&p, m->record->header_bytes, m->record->size_bytes);
    }
    for (size_t i = 0; e == OK && !p.done && i < p.n; i++) {
        answer(s, s->active[i], SEARCH_NO);
    }
    return e;
}
