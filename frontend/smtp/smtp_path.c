#include "frontend/smtp/smtp_path.h"

#include <arpa/inet.h>
#include <string.h>

size_t smtp_utf8_length(struct slice s)
{
    if (s.n == 0) {
        return 0;
    }
    uint8_t c = s.p[0];
    size_t n = c < 0x80 ? 1 : c >= 0xc2 && c < 0xe0 ? 2 : c >= 0xe0 && c < 0xf0 ? 3 : c >= 0xf0 && c < 0xf5 ? 4 : 0;
    if (n == 0 || s.n < n) {
        return 0;
    }
    for (size_t i = 1; i < n; i++) {
        if ((s.p[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    bool overlong = (c == 0xe0 && s.p[1] < 0xa0) || (c == 0xf0 && s.p[1] < 0x90);
    bool surrogate = c == 0xed && s.p[1] > 0x9f;
    bool beyond = c == 0xf4 && s.p[1] > 0x8f;
    return overlong || surrogate || beyond ? 0 : n;
}

static bool is_alnum(uint8_t c)
{
    return (c >= '0' && c <= '9') || (ascii_lower(c) >= 'a' && ascii_lower(c) <= 'z');
}

/* atext (RFC 5322, 3.2.3) */
static bool is_atext(uint8_t c)
{
    return is_alnum(c) || (c != 0 && c < 0x80 && strchr("!#$%&'*+-/=?^_`{|}~", c) != NULL);
}

/* A position in the input and two outputs: the wire form and the form for look-ups. */
struct scan {
    struct slice in;
    size_t at;
    struct smtp_path *out;
    size_t mailbox;
    size_t lookup;
};

static int peek(const struct scan *s)
{
    return s->at < s->in.n ? s->in.p[s->at] : -1;
}

static bool take(struct scan *s, uint8_t c)
{
    if (peek(s) != c) {
        return false;
    }
    s->at++;
    return true;
}

static enum err emit(struct scan *s, const uint8_t *p, size_t n, bool lookup)
{
    if (s->mailbox + n >= sizeof(s->out->mailbox) || (lookup && s->lookup + n >= sizeof(s->out->lookup))) {
        return ERR_LIMIT;
    }
    memcpy(s->out->mailbox + s->mailbox, p, n);
    s->mailbox += n;
    if (lookup) {
        memcpy(s->out->lookup + s->lookup, p, n);
        s->lookup += n;
    }
    return OK;
}

/* One octet or one UTF-8 sequence at the position, into both forms. */
static enum err emit_character(struct scan *s)
{
    size_t n = smtp_utf8_length(slice_sub(s->in, s->at, s->in.n));
    if (n == 0) {
        return ERR_INVAL;
    }
    if (n > 1) {
        s->out->utf8 = true;
    }
    enum err err = emit(s, s->in.p + s->at, n, true);
    s->at += n;
    return err;
}

/* Dot-string = Atom *("." Atom) */
static enum err scan_dot_string(struct scan *s)
{
    bool atom = false;
    for (;;) {
        int c = peek(s);
        if (c == '.' && atom) {
            atom = false;
        } else if (c >= 0 && (c >= 0x80 || is_atext((uint8_t)c))) {
            atom = true;
        } else {
            return atom ? OK : ERR_INVAL;
        }
        enum err err = emit_character(s);
        if (err != OK) {
            return err;
        }
    }
}

/* Quoted-string = DQUOTE *(qtextSMTP / "\" %d32-126) DQUOTE, UTF-8 allowed (RFC 6531, 3.3). The wire form keeps quotes
 * and backslashes. */
static enum err scan_quoted(struct scan *s)
{
    static const uint8_t quote = '"';
    static const uint8_t backslash = '\\';
    s->at++;
    enum err err = emit(s, &quote, 1, false);
    while (err == OK) {
        int c = peek(s);
        if (c == '"') {
            s->at++;
            return emit(s, &quote, 1, false);
        }
        if (c == '\\') {
            s->at++;
            c = peek(s);
            if (c >= 0x7f) {
                return ERR_INVAL;
            }
            err = emit(s, &backslash, 1, false);
        }
        if (c < 0x20 || c == 0x7f) {
            return ERR_INVAL;
        }
        if (err == OK) {
            err = emit_character(s);
        }
    }
    return err;
}

static bool literal_valid(struct slice inside)
{
    char text[64];
    uint8_t address[16];
    bool v6 = slice_istarts_with(inside, "IPv6:");
    struct slice a = v6 ? slice_sub(inside, 5, inside.n) : inside;
    if (a.n == 0 || a.n >= sizeof(text) || slice_find(a, '\0') != a.n) {
        return false;
    }
    memcpy(text, a.p, a.n);
    text[a.n] = '\0';
    return inet_pton(v6 ? AF_INET6 : AF_INET, text, address) == 1;
}

/* Bytes of the address literal at the start, brackets included; 0 when there is none. */
static size_t literal_length(struct slice s)
{
    size_t end = slice_find(s, ']');
    if (s.n == 0 || s.p[0] != '[' || end == s.n || !literal_valid(slice_sub(s, 1, end))) {
        return 0;
    }
    return end + 1;
}

/* sub-domain *("." sub-domain): bytes of the domain at the start, 0 when there is none. A label is 1 to 63 octets of
 * letters, digits, "-", "_" or UTF-8, and neither begins nor ends with "-". */
static size_t domain_length(struct slice s)
{
    size_t at = 0;
    size_t label = 0;
    while (at < s.n) {
        uint8_t c = s.p[at];
        size_t n = smtp_utf8_length(slice_sub(s, at, s.n));
        if (c == '.' && label > 0 && s.p[at - 1] != '-') {
            label = 0;
            at++;
            continue;
        }
        bool legal = is_alnum(c) || c == '_' || n > 1 || (c == '-' && label > 0);
        if (!legal) {
            break;
        }
        at += n;
        label += n;
        if (label > 63) {
            return 0;
        }
    }
    return label > 0 && s.p[at - 1] != '-' ? at : 0;
}

bool smtp_domain_valid(struct slice s)
{
    if (s.n == 0 || s.n > SMTP_DOMAIN_BYTES_MAX) {
        return false;
    }
    return s.p[0] == '[' ? literal_length(s) == s.n : domain_length(s) == s.n;
}

static enum err scan_domain(struct scan *s)
{
    struct slice rest = slice_sub(s->in, s->at, s->in.n);
    s->out->literal = peek(s) == '[';
    size_t n = s->out->literal ? literal_length(rest) : domain_length(rest);
    if (n == 0) {
        return ERR_INVAL;
    }
    if (n > SMTP_DOMAIN_BYTES_MAX) {
        return ERR_LIMIT;
    }
    for (size_t i = 0; i < n; i++) {
        s->out->utf8 = s->out->utf8 || rest.p[i] >= 0x80;
    }
    s->at += n;
    return emit(s, rest.p, n, true);
}

/* A-d-l = "@" Domain *("," "@" Domain) ":" and is ignored (RFC 5321, 4.1.1.3: MUST be accepted, SHOULD be ignored). */
static enum err skip_route(struct scan *s)
{
    if (peek(s) != '@') {
        return OK;
    }
    do {
        if (!take(s, '@')) {
            return ERR_INVAL;
        }
        struct slice rest = slice_sub(s->in, s->at, s->in.n);
        size_t n = rest.n > 0 && rest.p[0] == '[' ? literal_length(rest) : domain_length(rest);
        if (n == 0) {
            return ERR_INVAL;
        }
        s->at += n;
    } while (take(s, ','));
    return take(s, ':') ? OK : ERR_INVAL;
}

/* Mailbox = Local-part "@" ( Domain / address-literal ); without "@" only postmaster. */
static enum err scan_mailbox(struct scan *s, bool allow_bare)
{
    static const uint8_t at_sign = '@';
    enum err err = peek(s) == '"' ? scan_quoted(s) : scan_dot_string(s);
    if (err != OK) {
        return err;
    }
    if (s->lookup > SMTP_LOCAL_BYTES_MAX) {
        return ERR_LIMIT;
    }
    if (allow_bare && peek(s) == '>' && slice_ieq_str(slice_make(s->out->lookup, s->lookup), "postmaster")) {
        s->out->bare = true;
        return OK;
    }
    if (!take(s, '@')) {
        return ERR_INVAL;
    }
    err = emit(s, &at_sign, 1, true);
    return err == OK ? scan_domain(s) : err;
}

enum err smtp_path_parse(struct slice in, bool allow_null, struct smtp_path *out, struct slice *out_rest)
{
    memset(out, 0, sizeof(*out));
    struct scan s = {in, 0, out, 0, 0};
    while (take(&s, ' ')) { /* "MAIL FROM: <a@b>" is wrong and everywhere */
    }
    if (!take(&s, '<')) {
        return ERR_INVAL;
    }
    if (allow_null && peek(&s) == '>') {
        out->null = true;
    } else {
        enum err err = skip_route(&s);
        if (err == OK) {
            err = scan_mailbox(&s, !allow_null);
        }
        if (err != OK) {
            return err;
        }
    }
    if (!take(&s, '>')) {
        return ERR_INVAL;
    }
    *out_rest = slice_sub(in, s.at, in.n);
    return OK;
}

/* esmtp-value = 1*(%d33-60 / %d62-126), UTF-8 with SMTPUTF8 */
static bool value_valid(struct slice v)
{
    for (size_t i = 0; i < v.n; i++) {
        if (v.p[i] <= 0x20 || v.p[i] == 0x7f || v.p[i] == '=') {
            return false;
        }
    }
    return v.n > 0;
}

/* esmtp-keyword = (ALPHA / DIGIT) *(ALPHA / DIGIT / "-") */
static bool keyword_valid(struct slice k)
{
    for (size_t i = 0; i < k.n; i++) {
        if (!is_alnum(k.p[i]) && !(i > 0 && k.p[i] == '-')) {
            return false;
        }
    }
    return k.n > 0;
}

enum err smtp_param_next(struct slice *io_rest, struct slice *out_keyword, struct slice *out_value)
{
    size_t at = 0;
    while (at < io_rest->n && io_rest->p[at] == ' ') {
        at++;
    }
    if (at == io_rest->n) {
        return ERR_NOTFOUND;
    }
    if (at == 0) {
        return ERR_INVAL; /* "<a@b>SIZE=1" */
    }
    struct slice rest = slice_sub(*io_rest, at, io_rest->n);
    struct slice word = slice_sub(rest, 0, slice_find(rest, ' '));
    size_t equals = slice_find(word, '=');
    struct slice value = slice_make(NULL, 0);
    if (equals < word.n) {
        value = slice_sub(word, equals + 1, word.n);
        if (!value_valid(value)) {
            return ERR_INVAL;
        }
    }
    struct slice keyword = slice_sub(word, 0, equals);
    if (!keyword_valid(keyword)) {
        return ERR_INVAL;
    }
    *io_rest = slice_sub(rest, word.n, rest.n);
    *out_keyword = keyword;
    *out_value = value;
    return OK;
}
