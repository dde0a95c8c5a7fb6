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

/* Each word with a space after it; the last space becomes the parenthesis. */
void imap_out_flags(struct imap_out *o, const struct imap_view *v, uint64_t flags, bool recent)
{
    uint8_t *at = imap_out_room(o, SYSTEM_ROOM);
    if (at == NULL) {
        return;
    }
    uint8_t *p = at;
    *p++ = '(';
    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if ((flags >> i & 1) != 0) {
            memcpy(p, names[i].text, names[i].n);
            p += names[i].n;
        }
    }
    if (recent) {
        memcpy(p, "\\Recent ", 8);
        p += 8;
    }
    uint64_t keywords = (flags & ~FLAG_OVERFLOW) >> FLAG_KEYWORD_SHIFT;
    if (keywords == 0) {
        p -= p[-1] == ' ' ? 1 : 0;
        *p++ = ')';
        imap_out_commit(o, (size_t)(p - at));
        return;
    }
    p -= p[-1] == ' ' ? 1 : 0;
    bool first = p[-1] == '(';
    imap_out_commit(o, (size_t)(p - at));
    for (; keywords != 0; keywords &= keywords - 1) {
        struct slice word = imap_view_keyword(v, (uint32_t)__builtin_ctzll(keywords));
        if (word.n == 0) {
            continue; /* a bit that the table does not name yet: the next sync brings it */
        }
        if (!first) {
            imap_out_char(o, ' ');
        }
        first = false;
        imap_out_slice(o, word);
    }
    imap_out_char(o, ')');
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
    imap_out_str(o, v->keywords.n < FLAG_KEYWORDS_MAX ? " \\*)] Flags permitted\r\n" : ")] Flags permitted\r\n");
}
