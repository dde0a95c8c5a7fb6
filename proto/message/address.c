#include "proto/message/address.h"

#define STRING_BYTES_MAX 512
#define GROUP_END "(NIL NIL NIL NIL)"

enum stop { STOP_END, STOP_COMMA, STOP_SEMICOLON, STOP_COLON };

static void address_clear(struct msg_address *a)
{
    a->phrase.n = 0;
    a->comment.n = 0;
    a->route.n = 0;
    a->mailbox.n = 0;
    a->host.n = 0;
    a->has_phrase = false;
    a->has_angle = false;
    a->has_at = false;
}

static struct msg_text *spec_target(struct msg_address *a)
{
    return a->has_at ? &a->host : &a->mailbox;
}

static void read_comment(struct msg_lex *l, struct msg_address *a)
{
    a->comment.n = 0;
    msg_lex_comment(l, &a->comment);
}

/* domain-literal = "[" *dtext "]", kept as it is. */
static void read_domain_literal(struct msg_lex *l, struct msg_text *to)
{
    while (l->p < l->end && *l->p != ']') {
        if (!msg_is_space(*l->p)) {
            msg_text_add(to, *l->p);
        }
        l->p++;
    }
    if (l->p < l->end) {
        msg_text_add(to, *l->p++);
    }
}

/* obs-route = obs-domain-list ":" ; "@a,@b:" in front of the addr-spec. */
static void read_route(struct msg_lex *l, struct msg_address *a)
{
    const uint8_t *from = l->p;
    for (; l->p < l->end && *l->p != '>' && *l->p != '<'; l->p++) {
        if (*l->p == ':') {
            l->p++;
            return;
        }
        if (!msg_is_space(*l->p)) {
            msg_text_add(&a->route, *l->p);
        }
    }
    l->p = from;
    a->route.n = 0;
}

/* angle-addr = [CFWS] "<" [obs-route] addr-spec ">" [CFWS]; l stands after "<". */
static void read_angle(struct msg_lex *l, struct msg_address *a)
{
    a->has_angle = true;
    a->has_at = false;
    a->mailbox.n = 0;
    a->host.n = 0;
    msg_lex_skip_cfws(l);
    if (l->p < l->end && *l->p == '@') {
        read_route(l, a);
    }
    while (l->p < l->end && *l->p != '>') {
        uint8_t c = *l->p;
        if (c == '"') {
            msg_lex_quoted(l, spec_target(a));
        } else if (c == '[' && a->has_at) {
            read_domain_literal(l, &a->host);
        } else if (c == '(' || msg_is_space(c)) {
            msg_lex_skip_cfws(l);
        } else if (c == ',' || c == ';') {
            return;
        } else {
            if (c == '@' && !a->has_at) {
                a->has_at = true;
            } else {
                msg_text_add(spec_target(a), c);
            }
            l->p++;
        }
    }
    if (l->p < l->end) {
        l->p++;
    }
}

/* A word outside of "<>": it may turn out to be of the phrase or of the addr-spec, so it goes to both. */
static void read_word(struct msg_lex *l, struct msg_address *a, bool after_space)
{
    if (a->has_angle) {
        l->p++; /* junk after ">" */
        return;
    }
    if (after_space && a->phrase.n > 0) {
        msg_text_add(&a->phrase, ' ');
    }
    a->has_phrase = true;
    if (*l->p == '"') {
        size_t from = a->phrase.n;
        msg_lex_quoted(l, &a->phrase);
        for (size_t i = from; i < a->phrase.n; i++) {
            msg_text_add(spec_target(a), a->phrase.b[i]);
        }
        return;
    }
    uint8_t c = *l->p++;
    msg_text_add(&a->phrase, c);
    if (c == '@' && !a->has_at) {
        a->has_at = true;
    } else {
        msg_text_add(spec_target(a), c);
    }
}

static void read_bare_literal(struct msg_lex *l, struct msg_address *a)
{
    size_t from = a->host.n;
    read_domain_literal(l, &a->host);
    for (size_t i = from; i < a->host.n; i++) {
        msg_text_add(&a->phrase, a->host.b[i]);
    }
}

/* address = mailbox / group. Reads up to and with the delimiter; a group's start stops at its colon. Outlook's ";"
 * between addresses is a delimiter too. */
static enum stop read_address(struct msg_lex *l, struct msg_address *a)
{
    bool space = false;
    address_clear(a);
    while (l->p < l->end) {
        uint8_t c = *l->p;
        if (msg_is_space(c)) {
            space = true;
            l->p++;
            continue;
        }
        if (c == ',' || c == ';' || (c == ':' && !a->has_angle && !a->has_at)) {
            l->p++;
            return c == ',' ? STOP_COMMA : c == ';' ? STOP_SEMICOLON : STOP_COLON;
        }
        if (c == '(') {
            read_comment(l, a);
        } else if (c == '<' && !a->has_angle) {
            l->p++;
            read_angle(l, a);
        } else if (c == '[' && a->has_at && !a->has_angle) {
            read_bare_literal(l, a);
        } else {
            read_word(l, a, space);
        }
        space = false;
    }
    return STOP_END;
}

static void write_or_nil(struct msg_out *o, const struct msg_text *t)
{
    struct slice s = t->n == 0 ? slice_make(NULL, 0) : msg_text_slice(t);
    msg_out_nstring(o, s, STRING_BYTES_MAX);
}

static void write_or_missing(struct msg_out *o, const struct msg_text *t, const char *missing)
{
    msg_out_string(o, t->n == 0 ? slice_str(missing) : msg_text_slice(t), STRING_BYTES_MAX);
}

static void write_address(struct msg_out *o, const struct msg_address *a)
{
    bool phrase_is_name = a->has_angle && a->phrase.n > 0;
    msg_out_u8(o, '(');
    write_or_nil(o, phrase_is_name ? &a->phrase : &a->comment);
    msg_out_u8(o, ' ');
    write_or_nil(o, &a->route);
    msg_out_u8(o, ' ');
    write_or_missing(o, a->has_angle || a->has_at ? &a->mailbox : &a->phrase, MSG_MISSING_MAILBOX);
    msg_out_u8(o, ' ');
    write_or_missing(o, &a->host, MSG_MISSING_HOST);
    msg_out_u8(o, ')');
}

static void write_group_start(struct msg_out *o, const struct msg_address *a)
{
    msg_out_str(o, "(NIL NIL ");
    msg_out_string(o, msg_text_slice(&a->phrase), STRING_BYTES_MAX);
    msg_out_str(o, " NIL)");
}

void msg_address_list_begin(struct msg_address_list *l, struct msg_out *out, struct msg_address *scratch,
                            size_t bytes_max)
{
    l->out = out;
    l->scratch = scratch;
    l->start = out->b->len;
    l->bytes_max = bytes_max;
    l->any = false;
    l->full = false;
}

/* Keeps what was written since `from` only if it, a group's end and ")" fit. */
static void keep_if_fits(struct msg_address_list *l, size_t from, bool in_group)
{
    if (l->out->err != OK) {
        return;
    }
    size_t reserve = in_group ? sizeof(GROUP_END) : 1;
    if (l->out->b->len - l->start + reserve > l->bytes_max) {
        buf_truncate(l->out->b, from);
        l->full = true;
        return;
    }
    l->any = true;
}

void msg_address_list_add(struct msg_address_list *l, struct slice value)
{
    struct msg_lex lex = msg_lex_make(value);
    struct msg_address *a = l->scratch;
    bool in_group = false;
    enum stop stop = STOP_COMMA;
    while (stop != STOP_END && !l->full && l->out->err == OK) {
        stop = read_address(&lex, a);
        size_t from = l->out->b->len;
        if (!l->any) {
            msg_out_u8(l->out, '(');
        }
        if (stop == STOP_COLON && !in_group) {
            write_group_start(l->out, a);
            keep_if_fits(l, from, true);
            in_group = !l->full;
        } else if (a->has_phrase || a->has_angle) {
            write_address(l->out, a);
            keep_if_fits(l, from, in_group);
        } else if (l->out->err == OK) {
            buf_truncate(l->out->b, from);
        }
        if (stop == STOP_SEMICOLON && in_group) {
            msg_out_str(l->out, GROUP_END);
            in_group = false;
        }
    }
    if (in_group) {
        msg_out_str(l->out, GROUP_END);
    }
}

void msg_address_list_end(struct msg_address_list *l)
{
    msg_out_str(l->out, l->any ? ")" : "NIL");
}
