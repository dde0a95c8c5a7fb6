#include "frontend/imap/imap_section.h"

#include "proto/rpc/flags.h"

#define FIELDS_MAX 1000

/* section-part = nz-number *("." nz-number): stops before the text that may follow a last dot. */
static bool parse_part(struct imap_cursor *c, struct imap_section *sec)
{
    while (imap_peek(c) >= '0' && imap_peek(c) <= '9') {
        if (sec->n_part == IMAP_SECTION_DEPTH_MAX) {
            return imap_parse_fail(c, "Section is too deep");
        }
        if (!imap_parse_nz_number(c, &sec->part[sec->n_part])) {
            return false;
        }
        sec->n_part++;
        if (imap_peek(c) == ']') {
            return true;
        }
        if (!imap_parse_char(c, '.')) {
            return false;
        }
    }
    return true;
}

/* header-list = "(" header-fld-name *(SP header-fld-name) ")" */
static bool parse_fields(struct imap_cursor *c, struct imap_section *sec)
{
    size_t cap = 0;
    if (!imap_parse_sp(c) || !imap_parse_char(c, '(')) {
        return false;
    }
    do {
        if (sec->n_names == FIELDS_MAX) {
            return imap_parse_fail(c, "Too many header fields");
        }
        if (sec->n_names == cap) {
            cap = cap == 0 ? 8 : cap * 2;
            struct slice *names = arena_calloc(c->arena, cap, sizeof(*names));
            if (names == NULL) {
                return imap_parse_nomem(c);
            }
            if (sec->n_names > 0) {
                memcpy(names, sec->names, sec->n_names * sizeof(*names));
            }
            sec->names = names;
        }
        if (!imap_parse_astring(c, &sec->names[sec->n_names])) {
            return false;
        }
        sec->n_names++;
    } while (imap_take(c, ' '));
    return imap_parse_char(c, ')');
}

/* section-text = section-msgtext / "MIME" */
static bool parse_text(struct imap_cursor *c, struct imap_section *sec)
{
    if (imap_take_word(c, "HEADER.FIELDS.NOT")) {
        sec->kind = IMAP_SECTION_FIELDS_NOT;
        return parse_fields(c, sec);
    }
    if (imap_take_word(c, "HEADER.FIELDS")) {
        sec->kind = IMAP_SECTION_FIELDS;
        return parse_fields(c, sec);
    }
    if (imap_take_word(c, "HEADER")) {
        sec->kind = IMAP_SECTION_HEADER;
    } else if (imap_take_word(c, "TEXT")) {
        sec->kind = IMAP_SECTION_TEXT;
    } else if (imap_take_word(c, "MIME")) {
        sec->kind = IMAP_SECTION_MIME;
        return sec->n_part > 0 || imap_parse_fail(c, "MIME needs a part number");
    } else {
        return imap_parse_fail(c, "Unknown section");
    }
    return true;
}

/* partial = "<" number "." nz-number ">" */
static bool parse_partial(struct imap_cursor *c, struct imap_section *sec)
{
    sec->partial = true;
    return imap_parse_number(c, &sec->from) && imap_parse_char(c, '.') && imap_parse_nz_number(c, &sec->length) &&
           imap_parse_char(c, '>');
}

static enum err label_fields(struct buf *b, const struct imap_section *sec)
{
    enum err e = buf_append_str(b, " (");
    for (size_t i = 0; i < sec->n_names && e == OK; i++) {
        bool atom = sec->names[i].n > 0;
        for (size_t j = 0; j < sec->names[i].n; j++) {
            atom = atom && imap_is_atom_char(sec->names[i].p[j]);
        }
        e = i > 0 ? buf_append_u8(b, ' ') : OK;
        if (e == OK && !atom) {
            /* A literal can hold whatever the name was written with. */
            e = buf_printf(b, "{%zu}\r\n", sec->names[i].n);
        }
        e = e == OK ? buf_append_slice(b, sec->names[i]) : e;
    }
    return e == OK ? buf_append_u8(b, ')') : e;
}

static enum err label_build(struct buf *b, const struct imap_section *sec)
{
    static const char *const kinds[] = {"", "HEADER", "HEADER.FIELDS", "HEADER.FIELDS.NOT", "TEXT", "MIME"};
    enum err e = buf_append_str(b, "BODY[");
    for (size_t i = 0; i < sec->n_part && e == OK; i++) {
        e = buf_printf(b, "%s%u", i > 0 ? "." : "", sec->part[i]);
    }
    if (e == OK && sec->n_part > 0 && sec->kind != IMAP_SECTION_ALL) {
        e = buf_append_u8(b, '.');
    }
    e = e == OK ? buf_append_str(b, kinds[sec->kind]) : e;
    if (e == OK && (sec->kind == IMAP_SECTION_FIELDS || sec->kind == IMAP_SECTION_FIELDS_NOT)) {
        e = label_fields(b, sec);
    }
    e = e == OK ? buf_append_u8(b, ']') : e;
    return e == OK && sec->partial ? buf_printf(b, "<%u>", sec->from) : e;
}

static bool set_label(struct imap_cursor *c, struct imap_fetch_arg *arg)
{
    struct buf b;
    buf_init(&b, (size_t)128 * 1024);
    enum err e = label_build(&b, arg->section);
    uint8_t *copy = e == OK ? arena_dup(c->arena, buf_slice(&b).p, b.len) : NULL;
    arg->label = slice_make(copy, b.len);
    buf_fini(&b);
    return copy != NULL || imap_parse_nomem(c);
}

static void set_columns(struct imap_fetch_arg *arg)
{
    const struct imap_section *sec = arg->section;
    bool whole = sec->n_part == 0 && sec->kind == IMAP_SECTION_ALL;
    bool kept = sec->n_part == 0 && sec->kind == IMAP_SECTION_FIELDS && msg_headers_kept(sec->names, sec->n_names);
    uint32_t all = FETCH_COL_SIZE | (sec->partial ? 0 : FETCH_COL_CONTENT);
    arg->columns = whole ? all : kept ? FETCH_COL_HEADERS : FETCH_COL_RECORD;
    arg->content = true;
}

bool imap_parse_section(struct imap_cursor *c, struct imap_fetch_arg *arg)
{
    struct imap_section *sec = arena_zalloc(c->arena, sizeof(*sec));
    if (sec == NULL) {
        return imap_parse_nomem(c);
    }
    arg->section = sec;
    if (!imap_parse_char(c, '[') || !parse_part(c, sec)) {
        return false;
    }
    bool dot = sec->n_part > 0 && c->p[-1] == '.';
    if ((dot || imap_peek(c) != ']') && !parse_text(c, sec)) {
        return false;
    }
    if (!imap_parse_char(c, ']') || (imap_take(c, '<') && !parse_partial(c, sec))) {
        return false;
    }
    set_columns(arg);
    return set_label(c, arg);
}

bool imap_section_fixed(struct imap_cursor *c, struct imap_fetch_arg *arg, enum imap_section_kind kind)
{
    struct imap_section *sec = arena_zalloc(c->arena, sizeof(*sec));
    if (sec == NULL) {
        return imap_parse_nomem(c);
    }
    sec->kind = kind;
    arg->section = sec;
    arg->label = slice_str(arg->item->name);
    set_columns(arg);
    return true;
}

static enum err find_message(const struct imap_section *sec, const struct msg_record *r, struct imap_byte_range *out)
{
    switch (sec->kind) {
    case IMAP_SECTION_ALL:
        *out = (struct imap_byte_range){0, r->size_bytes};
        return OK;
    case IMAP_SECTION_TEXT:
        *out = (struct imap_byte_range){r->header_bytes, r->size_bytes - r->header_bytes};
        return OK;
    case IMAP_SECTION_HEADER:
    case IMAP_SECTION_FIELDS:
    case IMAP_SECTION_FIELDS_NOT:
    case IMAP_SECTION_MIME:
        *out = (struct imap_byte_range){0, r->header_bytes};
        return OK;
    }
    return ERR_NOTFOUND;
}

static enum err find_part(const struct imap_section *sec, const struct msg_record *r, struct imap_byte_range *out)
{
    struct msg_part part;
    enum err e = msg_part_find(r, sec->part, sec->n_part, &part);
    if (e != OK) {
        return e;
    }
    if (sec->kind == IMAP_SECTION_ALL) {
        *out = (struct imap_byte_range){part.body_off, part.body_bytes};
        return OK;
    }
    if (sec->kind == IMAP_SECTION_MIME) {
        *out = (struct imap_byte_range){part.header_off, part.header_bytes};
        return OK;
    }
    /* HEADER and TEXT of a part are those of the message inside of it. */
    if (part.kind != MSG_PART_MESSAGE || part.index + 1 >= r->n_parts) {
        return ERR_NOTFOUND;
    }
    e = msg_part_at(r, part.index + 1, &part);
    if (e != OK) {
        return e;
    }
    *out = sec->kind == IMAP_SECTION_TEXT ? (struct imap_byte_range){part.body_off, part.body_bytes}
                                          : (struct imap_byte_range){part.header_off, part.header_bytes};
    return OK;
}

enum err imap_section_find(const struct imap_section *sec, const struct msg_record *record, struct imap_byte_range *out)
{
    struct imap_byte_range range = {0, 0};
    enum err e = sec->n_part == 0 ? find_message(sec, record, &range) : find_part(sec, record, &range);
    if (e != OK) {
        return e;
    }
    if (range.from > record->size_bytes || range.length > record->size_bytes - range.from) {
        return ERR_CORRUPT;
    }
    *out = range;
    return OK;
}

struct imap_byte_range imap_section_clip(const struct imap_section *sec, struct imap_byte_range whole)
{
    if (!sec->partial) {
        return whole;
    }
    uint32_t skip = sec->from < whole.length ? sec->from : whole.length;
    uint32_t left = whole.length - skip;
    return (struct imap_byte_range){whole.from + skip, sec->length < left ? sec->length : left};
}
