#include "proto/message/lex.h"

/* token := 1*<any CHAR except SPACE, CTLs, tspecials>; 8-bit is let through (RFC 6532). */
static bool is_token(uint8_t c)
{
    static const uint32_t specials[8] = {
        0xffffffffu, /* controls */
        /* SP " ( ) , / : ; < = > ? */
        1u << (' ' - 32) | 1u << ('"' - 32) | 1u << ('(' - 32) | 1u << (')' - 32) | 1u << (',' - 32) |
            1u << ('/' - 32) | 1u << (':' - 32) | 1u << (';' - 32) | 1u << ('<' - 32) | 1u << ('=' - 32) |
            1u << ('>' - 32) | 1u << ('?' - 32),
        1u << ('@' - 64) | 1u << ('[' - 64) | 1u << ('\\' - 64) | 1u << (']' - 64),
        1u << (127 - 96),
    };
    return (specials[c >> 5] >> (c & 31) & 1) == 0;
}

void msg_lex_comment(struct msg_lex *l, struct msg_text *out)
{
    size_t depth = 0;
    for (; l->p < l->end; l->p++) {
        uint8_t c = *l->p;
        if (c == '(' && depth++ == 0) {
            continue;
        }
        if (c == ')' && --depth == 0) {
            l->p++;
            return;
        }
        if (c == '\\' && l->p + 1 < l->end) {
            c = *++l->p;
        }
        if (out != NULL && c != '\r' && c != '\n') {
            msg_text_add(out, c);
        }
    }
}

void msg_lex_skip_cfws(struct msg_lex *l)
{
    while (l->p < l->end) {
        if (*l->p == '(') {
            msg_lex_comment(l, NULL);
        } else if (msg_is_space(*l->p)) {
            l->p++;
        } else {
            return;
        }
    }
}

void msg_lex_quoted(struct msg_lex *l, struct msg_text *out)
{
    l->p++;
    for (; l->p < l->end; l->p++) {
        uint8_t c = *l->p;
        if (c == '"') {
            l->p++;
            return;
        }
        if (c == '\\' && l->p + 1 < l->end) {
            c = *++l->p;
        }
        if (c != '\r' && c != '\n') {
            msg_text_add(out, c);
        }
    }
}

struct slice msg_lex_token(struct msg_lex *l)
{
    const uint8_t *from = l->p;
    while (l->p < l->end && is_token(*l->p)) {
        l->p++;
    }
    return slice_make(from, (size_t)(l->p - from));
}

struct slice msg_trim(struct slice s)
{
    while (s.n > 0 && msg_is_space(s.p[0])) {
        s.p++;
        s.n--;
    }
    while (s.n > 0 && msg_is_space(s.p[s.n - 1])) {
        s.n--;
    }
    return s;
}
