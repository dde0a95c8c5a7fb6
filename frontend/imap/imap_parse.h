/* Primitives of IMAP's grammar (RFC 3501, 9) over the text of one complete command. Pure: bytes in; values as views of
 * the text or copies in the arena out. Every function returns false after the first failure and leaves the reason,
 * which the client gets with BAD; nothing is logged. The text must stay while the results are used. */
#ifndef FRONTEND_IMAP_IMAP_PARSE_H
#define FRONTEND_IMAP_IMAP_PARSE_H

#include <stdbool.h>

#include "frontend/imap/imap.h"
#include "proto/base/arena.h"
#include "proto/base/slice.h"

#ifdef __cplusplus
extern "C" {
#endif

struct imap_cursor {
    const uint8_t *p;
    const uint8_t *end;
    struct arena *arena;
    const struct imap_limits *limits;
    const char *reason; /* of the failure, NULL before it */
    bool more;          /* the text ends within a literal that has not come yet: not an error of the client */
    uint32_t depth;     /* of nesting, now */
};

void imap_cursor_init(struct imap_cursor *c, struct slice text, struct arena *arena, const struct imap_limits *limits);

/* Sets the reason unless there is one; always false. */
bool imap_parse_fail(struct imap_cursor *c, const char *reason);
bool imap_parse_nomem(struct imap_cursor *c);

/* The next byte, 0 at the end (NUL is never valid outside of literals). */
static inline uint8_t imap_peek(const struct imap_cursor *c)
{
    return c->p < c->end ? *c->p : 0;
}

/* Takes the byte if it is there; no failure otherwise. */
static inline bool imap_take(struct imap_cursor *c, char ch)
{
    if (c->p < c->end && *c->p == (uint8_t)ch) {
        c->p++;
        return true;
    }
    return false;
}

bool imap_parse_char(struct imap_cursor *c, char ch);
bool imap_parse_sp(struct imap_cursor *c);
/* Nothing may follow. */
bool imap_parse_end(struct imap_cursor *c);
/* Takes the word if the text goes on with it (any case) and it ends there: SP, parenthesis, bracket or the end. */
bool imap_take_word(struct imap_cursor *c, const char *word);

bool imap_parse_tag(struct imap_cursor *c, struct slice *out);
bool imap_parse_atom(struct imap_cursor *c, struct slice *out);
/* quoted or literal; quoted pairs are resolved. */
bool imap_parse_string(struct imap_cursor *c, struct slice *out);
bool imap_parse_astring(struct imap_cursor *c, struct slice *out);
/* NIL gives p = NULL. */
bool imap_parse_nstring(struct imap_cursor *c, struct slice *out);
bool imap_parse_number(struct imap_cursor *c, uint32_t *out);
bool imap_parse_nz_number(struct imap_cursor *c, uint32_t *out);
/* mod-sequence-value and mod-sequence-valzer (RFC 7162): up to 2^63 - 1. */
bool imap_parse_number63(struct imap_cursor *c, uint64_t *out);
/* The header of a literal that ends the text: "{n}" CRLF. Its bytes are the caller's business. */
bool imap_parse_literal_header(struct imap_cursor *c, uint64_t *out_bytes, bool *out_sync);

/* What is parsed of a mailbox name that is empty or not valid modified UTF-7: no mailbox has it. */
#define IMAP_NO_NAME "\x01"
/* A mailbox name, from modified UTF-7 to UTF-8; INBOX in any case becomes "INBOX"; a final separator is dropped. */
bool imap_parse_mailbox(struct imap_cursor *c, char **out);
/* list-mailbox: an astring that may hold % and *; UTF-8, INBOX untouched. */
bool imap_parse_pattern(struct imap_cursor *c, char **out);

/* For lists: counts the depth; leave is needed only on the way of success. */
bool imap_parse_enter(struct imap_cursor *c);
void imap_parse_leave(struct imap_cursor *c);

/* sequence-set. 0 stands for "*"; first <= last unless "*" takes part. */
struct imap_range {
    uint32_t first;
    uint32_t last;
};
struct imap_set {
    struct imap_range *ranges;
    size_t n;
    bool star; /* "*" is in it */
};
bool imap_parse_set(struct imap_cursor *c, struct imap_set *out);

/* flag-list or flags without parentheses (STORE). System flags as bits of proto/rpc/flags.h, keywords as strings. */
struct imap_flags {
    uint64_t system;
    char **keywords;
    size_t n_keywords;
};
bool imap_parse_flag_list(struct imap_cursor *c, struct imap_flags *out);
bool imap_parse_flags(struct imap_cursor *c, struct imap_flags *out);

bool imap_is_atom_char(uint8_t b);

#ifdef __cplusplus
}
#endif

#endif /* FRONTEND_IMAP_IMAP_PARSE_H */
