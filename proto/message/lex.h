/* Lexical helpers for header values, which come raw: folded, with comments, and as broken as mail is. Pure; every scan
 * is linear in its input. RFC 5322, 3.2; RFC 2045, 5.1. */
#ifndef PROTO_MESSAGE_LEX_H
#define PROTO_MESSAGE_LEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/base/slice.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What is looked at of one string (a phrase, a parameter's value); the rest is cut. */
#define MSG_TEXT_BYTES 1024

/* A small string under construction; never fails, cuts. */
struct msg_text {
    size_t n;
    uint8_t b[MSG_TEXT_BYTES];
};

static inline void msg_text_add(struct msg_text *t, uint8_t c)
{
    if (t->n < sizeof(t->b)) {
        t->b[t->n++] = c;
    }
}

static inline struct slice msg_text_slice(const struct msg_text *t)
{
    return slice_make(t->b, t->n);
}

struct msg_lex {
    const uint8_t *p;
    const uint8_t *end;
};

static inline struct msg_lex msg_lex_make(struct slice s)
{
    struct msg_lex l;
    l.p = s.p;
    l.end = s.n == 0 ? s.p : s.p + s.n;
    return l;
}

static inline bool msg_is_space(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* White space, line ends and (nested) comments. */
void msg_lex_skip_cfws(struct msg_lex *l);
/* At "(": passes the comment; its text, unescaped and without the outer parentheses, is added to out unless NULL. */
void msg_lex_comment(struct msg_lex *l, struct msg_text *out);
/* At the opening quote: passes the quoted string and adds its unescaped, unfolded text. An unclosed one ends with the
 * value. */
void msg_lex_quoted(struct msg_lex *l, struct msg_text *out);
/* A token of RFC 2045, 8-bit allowed; empty when the next byte is none. */
struct slice msg_lex_token(struct msg_lex *l);
/* Without white space and line ends on both sides. Never NULL for a non-NULL input. */
struct slice msg_trim(struct slice s);

#ifdef __cplusplus
}
#endif

#endif /* PROTO_MESSAGE_LEX_H */
