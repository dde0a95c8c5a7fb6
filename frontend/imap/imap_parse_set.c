/* Sequence sets and flag lists: the part of the grammar's primitives that makes arrays in the arena. */
#include "frontend/imap/imap_parse.h"
#include "proto/rpc/flags.h"

static bool is_digit(uint8_t b)
{
    return b >= '0' && b <= '9';
}

/* seq-number = nz-number / "*" */
static bool parse_seq_number(struct imap_cursor *c, struct imap_set *set, uint32_t *out)
{
    if (imap_take(c, '*')) {
        set->star = true;
        *out = 0;
        return true;
    }
    if (!is_digit(imap_peek(c))) {
        return imap_parse_fail(c, "Invalid sequence set");
    }
    return imap_parse_nz_number(c, out);
}

/* seq-range = seq-number ":" seq-number, in either order */
static bool parse_range(struct imap_cursor *c, struct imap_set *set, struct imap_range *out)
{
    if (!parse_seq_number(c, set, &out->first)) {
        return false;
    }
    out->last = out->first;
    if (imap_take(c, ':') && !parse_seq_number(c, set, &out->last)) {
        return false;
    }
    if (out->last != 0 && (out->first > out->last || out->first == 0)) {
        uint32_t first = out->first;
        out->first = out->last;
        out->last = first;
    }
    return true;
}

bool imap_parse_set(struct imap_cursor *c, struct imap_set *out)
{
    /* One pass to count, so that the array is made once: a range has at least one byte and a comma. */
    size_t max = 1;
    for (const uint8_t *p = c->p; p < c->end && *p != ' ' && *p != ')'; p++) {
        max += *p == ',' ? 1 : 0;
    }
    if (max > c->limits->set_ranges_max) {
        return imap_parse_fail(c, "Sequence set has too many ranges");
    }
    struct imap_set set = {.ranges = arena_calloc(c->arena, max, sizeof(struct imap_range)), .n = 0, .star = false};
    if (set.ranges == NULL) {
        return imap_parse_nomem(c);
    }
    do {
        if (!parse_range(c, &set, &set.ranges[set.n])) {
            return false;
        }
        set.n++;
    } while (imap_take(c, ','));
    *out = set;
    return true;
}

static const struct {
    const char *name;
    uint64_t bit;
} system_flags[] = {
    {"Answered", FLAG_ANSWERED}, {"Flagged", FLAG_FLAGGED}, {"Deleted", FLAG_DELETED},
    {"Seen", FLAG_SEEN},         {"Draft", FLAG_DRAFT},
};

static bool parse_system_flag(struct imap_cursor *c, struct imap_flags *out)
{
    struct slice name;
    if (!imap_parse_atom(c, &name)) {
        return false;
    }
    for (size_t i = 0; i < sizeof(system_flags) / sizeof(system_flags[0]); i++) {
        if (slice_ieq_str(name, system_flags[i].name)) {
            out->system |= system_flags[i].bit;
            return true;
        }
    }
    if (slice_ieq_str(name, "Recent")) {
        return imap_parse_fail(c, "\\Recent cannot be changed");
    }
    return imap_parse_fail(c, "Unknown system flag");
}

static bool has_keyword(const struct imap_flags *f, struct slice name)
{
    for (size_t i = 0; i < f->n_keywords; i++) {
        if (slice_ieq_str(name, f->keywords[i])) {
            return true;
        }
    }
    return false;
}

static bool parse_flag(struct imap_cursor *c, struct imap_flags *out)
{
    if (imap_take(c, '\\')) {
        return parse_system_flag(c, out);
    }
    struct slice name;
    if (!imap_parse_atom(c, &name)) {
        return false;
    }
    if (has_keyword(out, name)) {
        return true;
    }
    if (out->n_keywords == FLAG_KEYWORDS_MAX) {
        return imap_parse_fail(c, "Too many keywords");
    }
    char *keyword = arena_slice_str(c->arena, name);
    if (keyword == NULL) {
        return imap_parse_nomem(c);
    }
    out->keywords[out->n_keywords++] = keyword;
    return true;
}

static bool flags_init(struct imap_cursor *c, struct imap_flags *out)
{
    out->system = 0;
    out->n_keywords = 0;
    out->keywords = arena_calloc(c->arena, FLAG_KEYWORDS_MAX, sizeof(char *));
    return out->keywords != NULL || imap_parse_nomem(c);
}

static bool parse_flag_words(struct imap_cursor *c, struct imap_flags *out)
{
    do {
        if (!parse_flag(c, out)) {
            return false;
        }
    } while (imap_take(c, ' '));
    return true;
}

/* flag-list = "(" [flag *(SP flag)] ")" */
bool imap_parse_flag_list(struct imap_cursor *c, struct imap_flags *out)
{
    if (!flags_init(c, out) || !imap_parse_char(c, '(')) {
        return false;
    }
    if (imap_take(c, ')')) {
        return true;
    }
    return parse_flag_words(c, out) && imap_parse_char(c, ')');
}

bool imap_parse_flags(struct imap_cursor *c, struct imap_flags *out)
{
    if (imap_peek(c) == '(') {
        return imap_parse_flag_list(c, out);
    }
    return flags_init(c, out) && parse_flag_words(c, out);
}
