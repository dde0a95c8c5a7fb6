/* Keywords of a mailbox: a table name <-> number that only grows (200 at most). Numbers 0..54 are bits 8..62 of the
 * message row's flags; further ones are bits of a 24-byte overflow row beside the message, and FLAG_OVERFLOW says that
 * it is there. Names compare without regard to ASCII case. */
#ifndef STORAGE_MAILBOX_KEYWORD_H
#define STORAGE_MAILBOX_KEYWORD_H

#include "proto/base/arena.h"
#include "proto/rpc/flags.h"
#include "storage/mailbox/row.h"

#ifdef __cplusplus
extern "C" {
#endif

#define KEYWORDS_MAX 200
#define KEYWORD_BYTES_MAX 255
#define OVERFLOW_BYTES 24

/* All flags of one message. */
struct flagset {
    uint64_t bits; /* FLAG_OVERFLOW is set iff `over` is not empty */
    uint8_t over[OVERFLOW_BYTES];
};

void flagset_init(struct flagset *f, uint64_t system_flags);
void flagset_add_keyword(struct flagset *f, uint16_t keyword);
bool flagset_has_keyword(const struct flagset *f, uint16_t keyword);
bool flagset_eq(const struct flagset *a, const struct flagset *b);
/* a OR b / a AND NOT b. */
void flagset_union(struct flagset *a, const struct flagset *b);
void flagset_subtract(struct flagset *a, const struct flagset *b);

/* The set of a message whose row has these bits. */
MUST_CHECK enum err flagset_get(const struct store *s, struct account_id a, uint32_t mailbox, uint32_t uid,
                                uint64_t bits, struct flagset *out);
/* Writes or removes the overflow row as `f` says; `had` are the row's bits before. The message row itself is the
 * caller's. */
MUST_CHECK enum err flagset_put(const struct store *s, struct account_id a, uint32_t mailbox, uint32_t uid,
                                uint64_t had, const struct flagset *f);

struct keyword_table {
    char **names; /* NUL-terminated, in the arena */
    size_t n;
};

MUST_CHECK enum err keyword_table_get(const struct store *s, struct account_id a, uint32_t mailbox, uint32_t n,
                                      struct arena *arena, struct keyword_table *out);
/* Its number, or -1. */
int keyword_find(const struct keyword_table *t, struct slice name);
/* ERR_INVAL unless it is an IMAP flag-keyword (RFC 3501, 9: an atom; UTF-8 is let through), ERR_LIMIT when too long. */
MUST_CHECK enum err keyword_check(struct slice name);
MUST_CHECK enum err keyword_put(const struct store *s, struct account_id a, uint32_t mailbox, uint16_t keyword,
                                struct slice name);

#ifdef __cplusplus
}
#endif

#endif /* STORAGE_MAILBOX_KEYWORD_H */
