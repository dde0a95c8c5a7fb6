/* LIST and LSUB over the account's mailboxes (RFC 3501, 6.3.8 and 6.3.9; RFC 5258, 5819, 6154). Pure but for the call
 * that brings them. */
#ifndef FRONTEND_IMAP_IMAP_LIST_H
#define FRONTEND_IMAP_IMAP_LIST_H

#include "frontend/imap/imap_session.h"
#include "frontend/imap/imap_status.h"

#ifdef __cplusplus
extern "C" {
#endif

#define IMAP_LIST_PATTERNS_MAX 64

struct imap_list {
    const char *reference;
    const char *patterns[IMAP_LIST_PATTERNS_MAX];
    size_t n_patterns;
    bool lsub;
    bool extended; /* uses RFC 5258 syntax */
    bool select_subscribed;
    bool select_special_use;
    bool recursive_match;
    bool return_subscribed;
    bool return_status;
    bool condstore; /* of the STATUS items */
    struct imap_status_items status;
};

/* "LIST" arguments after the name, up to the end. */
bool imap_parse_list(struct imap_cursor *c, struct imap_list *l);

/* Writes the responses for these mailboxes; sorts the array. */
MUST_CHECK enum err imap_list_format(const struct imap_list *l, Pb__MailboxInfo **mailboxes, size_t n,
                                     struct arena *arena, struct imap_out *out);

/* Asks storage and writes the responses. */
MUST_CHECK enum err imap_list_run(struct imap_session *s, const struct imap_list *l);

#ifdef __cplusplus
}
#endif

#endif /* FRONTEND_IMAP_IMAP_LIST_H */
