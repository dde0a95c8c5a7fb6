#include "frontend/imap/imap_flag.h"

#include "proto/rpc/flags.h"

#define SYSTEM_FLAGS "\\Answered \\Flagged \\Deleted \\Seen \\Draft"
#define SYSTEM_ROOM 64

static const struct {
    const char *text;
    size_t n;
} names[] = {
    {"\\Answered ", 10}, {"\\Flagged ", 9}, {"\\Deleted ", 9}, {"\\Seen ", 6}, {"\\Draft ", 7},
};

static uint8_t *put(uint8_t *p, const char *text, size_t n)
{
    memcpy(p, text, n);
    return p + n;
}

static void out_keyword(struct imap_out *o, const struct imap_view *v, uint32_t i, bool *io_first)
{
    struct slice name = imap_view_keyword(v, i);
    if (name.n == 0) {
        return; /* the table does not have it yet: the next sync brings it */
    }
    if (!*io_first) {
        imap_out_char(o, ' ');
    }
    *io_first = false;
    imap_out_slice(o, name);
}

static void out_keywords(struct imap_out *o, const struct imap_view *v, uint64_t bits, const uint8_t *overflow,
                         bool first)
{
    for (; bits != 0; bits &= bits - 1) {
        out_keyword(o, v, (uint32_t)__builtin_ctzll(bits), &first);
    }
    for (uint32_t j = 0; overflow != NULL && j < 8 * IMAP_OVERFLOW_BYTES; j++) {
        if ((overflow[j / 8] >> (j % 8) & 1) != 0) {
            out_keyword(o, v, FLAG_KEYWORDS_MAX + j, &first);
        }
    }
}

/* Each word with a space after it; the last space becomes the parenthesis. */
void imap_out_flags(struct imap_out *o, const struct imap_view *v, uint64_t flags, const uint8_t *overflow, bool recent)
{
    uint8_t *at = imap_out_room(o, SYSTEM_ROOM);
    if (at == NULL) {
        return;
    }
    uint8_t *p = put(at, "(", 1);
    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if ((flags >> i & 1) != 0) {
            p = put(p, names[i].text, names[i].n);
        }
    }
    if (recent) {
        p = put(p, "\\Recent ", 8);
    }
    p -= p[-1] == ' ' ? 1 : 0;
    uint64_t keywords = (flags & ~FLAG_OVERFLOW) >> FLAG_KEYWORD_SHIFT;
    if (keywords == 0 && overflow == NULL) {
        p = put(p, ")", 1);
        imap_out_commit(o, (size_t)(p - at));
        return;
    }
    bool first = p[-1] == '(';
    imap_out_commit(o, (size_t)(p - at));
    out_keywords(o, v, keywords, overflow, first);
    imap_out_char(o, ')');
}

enum err imap_overflow_next(struct imap_overflow *o, uint64_t flags, const uint8_t **out)
{
    *out = NULL;
    if ((flags & FLAG_OVERFLOW) == 0) {
        return OK;
    }
    if (o->rest.n < IMAP_OVERFLOW_BYTES) {
        return ERR_CORRUPT;
    }
    *out = o->rest.p;
    o->rest = slice_sub(o->rest, IMAP_OVERFLOW_BYTES, o->rest.n);
    return OK;
}

static void out_all(struct imap_out *o, const struct imap_view *v)
{
    imap_out_str(o, SYSTEM_FLAGS);
    for (uint32_t i = 0; i < v->keywords.n; i++) {
        imap_out_char(o, ' ');
        imap_out_slice(o, imap_view_keyword(v, i));
    }
}

void imap_out_flag_tables(struct imap_out *o, const struct imap_view *v)
{
    imap_out_str(o, "* FLAGS (");
    out_all(o, v);
    imap_out_str(o, ")\r\n* OK [PERMANENTFLAGS (");
    if (v->read_only) {
        imap_out_str(o, ")] No permanent flags permitted\r\n");
        return;
    }
    out_all(o, v);
    imap_out_str(o, v->keywords.n < IMAP_KEYWORDS_MAX ? " \\*)] Flags permitted\r\n" : ")] Flags permitted\r\n");
}
