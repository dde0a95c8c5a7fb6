#include "proto/message/param.h"

#define NAME_BYTES_MAX 128
/* Of one header field, so that a flood of parameters cannot fill the record. */
#define PARAMS_MAX 64

/* An unquoted value may hold spaces where a mailer forgot the quotes: then everything up to ";" is the value. */
static void read_bare_value(struct msg_lex *l, struct msg_text *out)
{
    struct slice token = msg_lex_token(l);
    const uint8_t *from = token.p;
    struct msg_lex probe = *l;
    msg_lex_skip_cfws(&probe);
    if (token.n == 0 || (probe.p < probe.end && *probe.p != ';')) {
        const uint8_t *semicolon = memchr(l->p, ';', (size_t)(l->end - l->p));
        l->p = semicolon == NULL ? l->end : semicolon;
        token = msg_trim(slice_make(from, (size_t)(l->p - from)));
    } else {
        *l = probe;
    }
    for (size_t i = 0; i < token.n; i++) {
        if (token.p[i] != '\r' && token.p[i] != '\n') {
            msg_text_add(out, token.p[i]);
        }
    }
}

static void read_value(struct msg_lex *l, struct msg_text *out)
{
    msg_lex_skip_cfws(l);
    out->n = 0;
    if (l->p == l->end) {
        return;
    }
    if (*l->p == '"') {
        msg_lex_quoted(l, out);
        return;
    }
    read_bare_value(l, out);
}

/* attribute "=", with comments around them. What is not that is passed too, so that no comment is read twice. */
static bool read_name(struct msg_lex *l, struct slice *out_name)
{
    msg_lex_skip_cfws(l);
    struct slice name = msg_lex_token(l);
    msg_lex_skip_cfws(l);
    if (name.n == 0 || l->p == l->end || *l->p != '=') {
        return false;
    }
    l->p++;
    *out_name = name;
    return true;
}

bool msg_param_next(struct msg_lex *l, struct slice *out_name, struct msg_text *out_value)
{
    /* A mailer that forgets the ";" is understood where nothing else can be meant. */
    bool found = l->p < l->end && read_name(l, out_name);
    while (!found && l->p < l->end) {
        const uint8_t *semicolon = memchr(l->p, ';', (size_t)(l->end - l->p));
        l->p = semicolon == NULL ? l->end : semicolon + 1;
        found = read_name(l, out_name);
    }
    if (found) {
        read_value(l, out_value);
    }
    return found;
}

/* name, name*, name*N and name*N* of RFC 2231: the piece's number, or -1 when it is another parameter. */
static int piece_of(struct slice param, const char *name, bool *out_extended)
{
    size_t n = strlen(name);
    if (!slice_istarts_with(param, name)) {
        return -1;
    }
    *out_extended = param.n > n && param.p[param.n - 1] == '*';
    if (param.n == n) {
        return 0;
    }
    if (param.p[n] != '*') {
        return -1;
    }
    int piece = 0;
    for (size_t i = n + 1; i < param.n && param.p[i] != '*'; i++) {
        if (param.p[i] < '0' || param.p[i] > '9' || piece > 99) {
            return -1;
        }
        piece = piece * 10 + (param.p[i] - '0');
    }
    return piece;
}

/* charset'language'value: gives where the value begins. */
static size_t skip_charset(const struct msg_text *t)
{
    size_t quotes = 0;
    for (size_t i = 0; i < t->n; i++) {
        if (t->b[i] == '\'' && ++quotes == 2) {
            return i + 1;
        }
    }
    return 0;
}

bool msg_param_get(struct slice params, const char *name, struct msg_text *text, struct msg_text *out_value)
{
    struct msg_lex l = msg_lex_make(params);
    struct slice param;
    int next = 0;
    out_value->n = 0;
    for (int count = 0; count < PARAMS_MAX && msg_param_next(&l, &param, text); count++) {
        bool extended = false;
        if (piece_of(param, name, &extended) != next) {
            continue;
        }
        for (size_t i = extended && next == 0 ? skip_charset(text) : 0; i < text->n; i++) {
            msg_text_add(out_value, text->b[i]);
        }
        next++;
    }
    return next > 0;
}

static void write_pair(struct msg_out *o, bool first, struct slice name, struct slice value)
{
    msg_out_u8(o, first ? '(' : ' ');
    msg_out_string(o, name, NAME_BYTES_MAX);
    msg_out_u8(o, ' ');
    msg_out_string(o, value, MSG_TEXT_BYTES);
}

void msg_params_write(struct msg_out *o, struct slice params, bool default_charset, struct msg_text *text)
{
    struct msg_lex l = msg_lex_make(params);
    struct slice name;
    bool first = true;
    for (int count = 0; count < PARAMS_MAX && msg_param_next(&l, &name, text); count++) {
        write_pair(o, first, name, msg_text_slice(text));
        first = false;
    }
    if (default_charset) {
        write_pair(o, first, slice_str("charset"), slice_str("us-ascii"));
        first = false;
    }
    msg_out_str(o, first ? "NIL" : ")");
}
