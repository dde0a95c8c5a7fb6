/* SEARCH: the grammar of RFC 3501, 6.4.4 (and MODSEQ, SAVEDATE, OBJECTID keys) compiled to Pb.SearchKey, which storage
 * evaluates. Parsing is pure; sequence sets and \Recent wait for the view. */
#ifndef FRONTEND_IMAP_IMAP_SEARCH_H
#define FRONTEND_IMAP_IMAP_SEARCH_H

#include "frontend/imap/imap_session.h"

#ifdef __cplusplus
extern "C" {
#endif

#define IMAP_SEARCH_KEYS_MAX 1000

enum imap_search_kind { IMAP_SEARCH_SEQS, IMAP_SEARCH_UIDS, IMAP_SEARCH_RECENT };

/* A key whose UIDs are known when the command runs. */
struct imap_search_ref {
    struct imap_search_ref *next;
    Pb__SearchKey *key;
    enum imap_search_kind kind;
    struct imap_set set;
};

struct imap_search {
    Pb__SearchKey *key;
    struct imap_search_ref *refs;
    const char *charset; /* NULL: US-ASCII or UTF-8 */
    bool bad_charset;    /* NO [BADCHARSET] */
    bool has_modseq;
    size_t n_keys;
    bool extended; /* RFC 4731: RETURN was there */
    bool want_min;
    bool want_max;
    bool want_all;
    bool want_count;
};

/* [SP "RETURN" ...] SP [CHARSET ...] search-key *(SP search-key), up to the end. */
bool imap_parse_search(struct imap_cursor *c, struct imap_search *out);
/* Only the keys, as one (imap_search_keys.c). */
bool imap_parse_search_keys(struct imap_cursor *c, struct imap_search *s, Pb__SearchKey **out);

/* Puts the UIDs into the refs. ERR_INVAL: a sequence number beyond the last message. */
MUST_CHECK enum err imap_search_resolve(const struct imap_search *search, const struct imap_view *v,
                                        struct arena *arena);

/* All UIDs that storage finds in the selected mailbox, and the greatest modseq of them. */
MUST_CHECK enum err imap_search_uids(struct imap_session *s, Pb__SearchKey *key, struct uidset *out,
                                     uint64_t *out_modseq);

/* Untagged SEARCH or ESEARCH for the numbers found (UIDs or sequence numbers). */
void imap_search_format(struct imap_out *o, const struct imap_search *search, struct slice tag, bool uid,
                        const struct uidset *numbers, uint64_t modseq);

#ifdef __cplusplus
}
#endif

#endif /* FRONTEND_IMAP_IMAP_SEARCH_H */
