/* Kept messages: what was expunged and may still be brought back (deploy/docs/adr/0007). A row holds the message's
 * reference to its email and everything else that a message is, without needing its mailbox: it stays readable when
 * that is renamed or gone. It lies outside of mailboxes, quota and use.
 *
 * Rows: account 'z' ms(8) mailbox(4) uid(4), long: struct kept_row, the mailbox's name, then each keyword's length (1)
 * and name. Beside them a row (ms, account) of the shard, by which the oldest are found, and totals of the account and
 * of the shard, which are there unless they are zero. */
#ifndef STORAGE_MAILBOX_KEPT_H
#define STORAGE_MAILBOX_KEPT_H

#include "storage/mailbox/keyword.h"

#ifdef __cplusplus
extern "C" {
#endif

struct kept_key {
    uint64_t ms; /* entry time of what expunged it */
    uint32_t mailbox;
    uint32_t uid;
};

struct kept_row {
    uint32_t version;
    uint32_t size;
    uint64_t email;
    uint64_t flags; /* system flags, as they were */
    int64_t internal_s;
    uint32_t name_bytes;
    uint32_t keyword_bytes;
};

#ifdef __cplusplus
static_assert(sizeof(struct kept_row) == 40, "rows are on disk");
#else
_Static_assert(sizeof(struct kept_row) == 40, "rows are on disk");
#endif

/* A whole one: a view into its value. */
struct kept {
    struct kept_row row;
    struct slice name;     /* of the mailbox, when it was expunged */
    struct slice keywords; /* packed names: kept_keyword_next */
};

struct kept_totals {
    uint64_t messages;
    uint64_t bytes;
};

/* row: all but version and the lengths is set. The reference to the email becomes the row's. */
MUST_CHECK enum err kept_put(const struct store *s, struct account_id a, const struct kept_key *at,
                             const struct kept *kept);
/* Appends the value to `buf`, which out is a view into. ERR_NOTFOUND, ERR_CORRUPT. */
MUST_CHECK enum err kept_get(const struct store *s, struct account_id a, const struct kept_key *at, struct buf *buf,
                             struct kept *out);
/* The row only: its reference goes to the caller. ERR_CORRUPT when it is not there. */
MUST_CHECK enum err kept_del(const struct store *s, struct account_id a, const struct kept_key *at);
MUST_CHECK enum err kept_decode(struct slice value, struct kept *out);
/* Takes a keyword off the front; false at the end. Of what kept_decode has let through. */
bool kept_keyword_next(struct slice *io_rest, struct slice *out_name);

/* Makes the shard's row of that time, or drops it when the account has no kept row of that time. */
MUST_CHECK enum err kept_time_put(const struct store *s, struct account_id a, uint64_t ms);
MUST_CHECK enum err kept_time_settle(const struct store *s, struct account_id a, uint64_t ms);
/* The oldest of the shard. ERR_NOTFOUND. */
MUST_CHECK enum err kept_time_first(const struct store *s, uint64_t *out_ms, struct account_id *out_a);

/* Zero when there is no row. */
MUST_CHECK enum err kept_totals_get(const struct store *s, struct account_id a, struct kept_totals *out);
MUST_CHECK enum err kept_totals_of_shard(const struct store *s, struct kept_totals *out);
/* Adds to the account's and the shard's, or takes away: ERR_CORRUPT when there are fewer. */
MUST_CHECK enum err kept_totals_add(const struct store *s, struct account_id a, const struct kept_totals *n);
MUST_CHECK enum err kept_totals_sub(const struct store *s, struct account_id a, const struct kept_totals *n);

/* Walks an account's rows in the order of their keys; the fixed part only. */
struct kept_walk {
    struct scan scan;
    struct key at;
};

MUST_CHECK enum err kept_walk_open(struct kept_walk *w, const struct store *s, struct account_id a,
                                   const struct kept_key *from);
/* ERR_NOTFOUND at the end. */
MUST_CHECK enum err kept_walk_next(struct kept_walk *w, struct kept_key *out_at, struct kept_row *out);
void kept_walk_close(struct kept_walk *w);

#ifdef __cplusplus
}
#endif

#endif /* STORAGE_MAILBOX_KEPT_H */
