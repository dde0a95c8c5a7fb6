#include "frontend/imap/imap_parse.h"

#include "frontend/imap/imap_frame.h"
#include "frontend/imap/imap_utf7.h"

#define MAILBOX_BYTES_MAX 4096

void imap_cursor_init(struct imap_cursor *c, struct slice text, struct arena *arena, const struct imap_limits *limits)
{
    c->p = text.p;
    c->end = text.p == NULL ? NULL : text.p + text.n;
    c->arena = arena;
    c->limits = limits;
    c->reason = NULL;
    c->more = false;
    c->depth = 0;
}

bool imap_parse_fail(struct imap_cursor *c, const char *reason)
{
    if (c->reason == NULL) {
        c->reason = reason;
    }
    return false;
}

bool imap_parse_nomem(struct imap_cursor *c)
{
    return imap_parse_fail(c, "Command is too complex");
}

bool imap_parse_char(struct imap_cursor *c, char ch)
{
    if (imap_take(c, ch)) {
        return true;
    }
    switch (ch) {
    case '(':
        return imap_parse_fail(c, "Expected '('");
    case ')':
        return imap_parse_fail(c, "Expected ')'");
    case ']':
        return imap_parse_fail(c, "Expected ']'");
    default:
        return imap_parse_fail(c, "Unexpected character");
    }
}

bool imap_parse_sp(struct imap_cursor *c)
{
    return imap_take(c, ' ') || imap_parse_fail(c, c->p == c->end ? "Missing argument" : "Expected a space");
}

bool imap_parse_end(struct imap_cursor *c)
{
    return c->p == c->end || imap_parse_fail(c, "Unexpected text after the arguments");
}

/* atom-specials: "(" / ")" / "{" / SP / CTL / list-wildcards / quoted-specials / resp-specials */
bool imap_is_atom_char(uint8_t b)
{
    if (b <= ' ' || b >= 0x7f) {
        return false;
    }
    switch (b) {
    case '(':
    case ')':
    case '{':
    case '%':
    case '*':
    case '"':
    case '\\':
    case ']':
        return false;
    default:
        return true;
    }
}

bool imap_take_word(struct imap_cursor *c, const char *word)
{
    size_t n = strlen(word);
    if ((size_t)(c->end - c->p) < n || !slice_ieq_str(slice_make(c->p, n), word)) {
        return false;
    }
    if (c->p + n < c->end && imap_is_atom_char(c->p[n]) && c->p[n] != '[') {
        return false;
    }
    c->p += n;
    return true;
}

typedef bool (*char_class)(uint8_t b);

static bool parse_chars(struct imap_cursor *c, char_class is, const char *reason, struct slice *out)
{
    const uint8_t *from = c->p;
    while (c->p < c->end && is(*c->p)) {
        c->p++;
    }
    if (c->p == from) {
        return imap_parse_fail(c, reason);
    }
    *out = slice_make(from, (size_t)(c->p - from));
    return true;
}

/* tag = 1*<any ASTRING-CHAR except "+"> */
static bool is_tag_char(uint8_t b)
{
    return b != '+' && (imap_is_atom_char(b) || b == ']');
}

static bool is_astring_char(uint8_t b)
{
    return imap_is_atom_char(b) || b == ']';
}

/* list-char = ATOM-CHAR / list-wildcards / resp-specials */
static bool is_list_char(uint8_t b)
{
    return is_astring_char(b) || b == '%' || b == '*';
}

bool imap_parse_tag(struct imap_cursor *c, struct slice *out)
{
    struct slice tag;
    if (!parse_chars(c, is_tag_char, "Missing or invalid tag", &tag)) {
        return false;
    }
    if (c->p < c->end && *c->p != ' ') {
        return imap_parse_fail(c, "Missing or invalid tag");
    }
    *out = tag;
    return true;
}

bool imap_parse_atom(struct imap_cursor *c, struct slice *out)
{
    return parse_chars(c, imap_is_atom_char, "Expected an atom", out);
}

/* quoted = DQUOTE *QUOTED-CHAR DQUOTE; 8-bit bytes are let through to where a charset is known. */
static bool parse_quoted(struct imap_cursor *c, struct slice *out)
{
    const uint8_t *from = ++c->p;
    bool escaped = false;
    while (c->p < c->end && *c->p != '"') {
        if (*c->p == '\\') {
            escaped = true;
            c->p++;
            if (imap_peek(c) != '"' && imap_peek(c) != '\\') {
                return imap_parse_fail(c, "Invalid escape in a quoted string");
            }
        } else if (*c->p == 0 || *c->p == '\r' || *c->p == '\n') {
            return imap_parse_fail(c, "Invalid character in a quoted string");
        }
        c->p++;
    }
    struct slice raw = slice_make(from, (size_t)(c->p - from));
    if (!imap_take(c, '"')) {
        return imap_parse_fail(c, "Quoted string without its end");
    }
    if (!escaped) {
        *out = raw;
        return true;
    }
    uint8_t *to = arena_alloc(c->arena, raw.n);
    if (to == NULL) {
        return imap_parse_nomem(c);
    }
    size_t n = 0;
    for (size_t i = 0; i < raw.n; i++) {
        i += raw.p[i] == '\\' ? 1 : 0;
        to[n++] = raw.p[i];
    }
    *out = slice_make(to, n);
    return true;
}

/* literal = "{" number ["+"] "}" CRLF *CHAR8: the header, and whether the text ends with it. */
static bool parse_header(struct imap_cursor *c, uint64_t *out_bytes, bool *out_sync)
{
    struct slice rest = slice_make(c->p, (size_t)(c->end - c->p));
    size_t lf = slice_find(rest, '\n');
    size_t n = lf > 0 && rest.p[lf - 1] == '\r' ? lf - 1 : lf;
    if (lf == rest.n || slice_find(rest, '}') + 1 != n ||
        !imap_literal_header(slice_sub(rest, 0, n), out_bytes, out_sync)) {
        return imap_parse_fail(c, "Invalid literal");
    }
    c->p += lf + 1;
    return true;
}

bool imap_parse_literal_header(struct imap_cursor *c, uint64_t *out_bytes, bool *out_sync)
{
    if (imap_peek(c) != '{') {
        return imap_parse_fail(c, "Expected a literal");
    }
    return parse_header(c, out_bytes, out_sync) && imap_parse_end(c);
}

static bool parse_literal(struct imap_cursor *c, struct slice *out)
{
    uint64_t bytes;
    bool sync;
    if (!parse_header(c, &bytes, &sync)) {
        return false;
    }
    if (bytes > (uint64_t)(c->end - c->p)) {
        c->more = true;
        return imap_parse_fail(c, "Literal is incomplete");
    }
    *out = slice_make(c->p, (size_t)bytes);
    c->p += bytes;
    return true;
}

bool imap_parse_string(struct imap_cursor *c, struct slice *out)
{
    if (imap_peek(c) == '"') {
        return parse_quoted(c, out);
    }
    if (imap_peek(c) == '{') {
        return parse_literal(c, out);
    }
    return imap_parse_fail(c, "Expected a string");
}

static bool parse_word_or_string(struct imap_cursor *c, char_class is, struct slice *out)
{
    if (imap_peek(c) == '"' || imap_peek(c) == '{') {
        return imap_parse_string(c, out);
    }
    return parse_chars(c, is, "Expected a string", out);
}

bool imap_parse_astring(struct imap_cursor *c, struct slice *out)
{
    return parse_word_or_string(c, is_astring_char, out);
}

bool imap_parse_nstring(struct imap_cursor *c, struct slice *out)
{
    if (imap_take_word(c, "NIL")) {
        *out = slice_make(NULL, 0);
        return true;
    }
    return imap_parse_string(c, out);
}

static bool is_digit(uint8_t b)
{
    return b >= '0' && b <= '9';
}

bool imap_parse_number63(struct imap_cursor *c, uint64_t *out)
{
    struct slice digits;
    uint64_t v;
    if (!parse_chars(c, is_digit, "Expected a number", &digits)) {
        return false;
    }
    if (slice_u64(digits, &v) != OK || v > INT64_MAX) {
        return imap_parse_fail(c, "Number is too large");
    }
    *out = v;
    return true;
}

bool imap_parse_number(struct imap_cursor *c, uint32_t *out)
{
    uint64_t v;
    if (!imap_parse_number63(c, &v)) {
        return false;
    }
    if (v > UINT32_MAX) {
        return imap_parse_fail(c, "Number is too large");
    }
    *out = (uint32_t)v;
    return true;
}

bool imap_parse_nz_number(struct imap_cursor *c, uint32_t *out)
{
    uint32_t v;
    if (!imap_parse_number(c, &v)) {
        return false;
    }
    if (v == 0) {
        return imap_parse_fail(c, "Number must not be zero");
    }
    *out = v;
    return true;
}

static bool decode_name(struct imap_cursor *c, struct slice name, char **out)
{
    if (name.n > MAILBOX_BYTES_MAX) {
        return imap_parse_fail(c, "Mailbox name is too long");
    }
    struct buf utf8;
    buf_init(&utf8, MAILBOX_BYTES_MAX);
    enum err e = imap_utf7_decode(name, &utf8);
    char *z = e == OK ? arena_slice_str(c->arena, buf_slice(&utf8)) : NULL;
    buf_fini(&utf8);
    if (e == ERR_INVAL) {
        /* Grammar has no objection to it: a name that no mailbox can have and no pattern matches, so that storage's
         * answer is NO. */
        z = arena_slice_str(c->arena, slice_str(IMAP_NO_NAME));
    }
    if (z == NULL) {
        return imap_parse_nomem(c);
    }
    *out = z;
    return true;
}

bool imap_parse_mailbox(struct imap_cursor *c, char **out)
{
    struct slice name;
    char *z;
    if (!imap_parse_astring(c, &name) || !decode_name(c, name, &z)) {
        return false;
    }
    size_t n = strlen(z);
    if (n == 0) {
        /* To storage an empty name is no name. */
        *out = arena_slice_str(c->arena, slice_str(IMAP_NO_NAME));
        return *out != NULL || imap_parse_nomem(c);
    }
    if (n > 1 && z[n - 1] == '/') {
        z[--n] = '\0';
    }
    /* INBOX is case-insensitive (RFC 3501, 5.1), also as the root of its children. */
    if (n >= 5 && slice_ieq_str(slice_make(z, 5), "INBOX") && (n == 5 || z[5] == '/')) {
        memcpy(z, "INBOX", 5);
    }
    *out = z;
    return true;
}

bool imap_parse_pattern(struct imap_cursor *c, char **out)
{
    struct slice name;
    return parse_word_or_string(c, is_list_char, &name) && decode_name(c, name, out);
}

bool imap_parse_enter(struct imap_cursor *c)
{
    if (c->depth >= c->limits->depth_max) {
        return imap_parse_fail(c, "Nested too deeply");
    }
    c->depth++;
    return true;
}

void imap_parse_leave(struct imap_cursor *c)
{
    c->depth--;
}
