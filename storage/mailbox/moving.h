/* Moves of accounts between shards (deploy/docs/adr/0010): the source's row of a move, which its leader drives, and
 * the destination's row of what arrives. Little-endian structs, as in row.h. */
#ifndef STORAGE_MAILBOX_MOVING_H
#define STORAGE_MAILBOX_MOVING_H

#include "storage/mailbox/row.h"

#ifdef __cplusplus
extern "C" {
#endif

#define MOVE_ID_BYTES 16
#define MOVES_MAX 64 /* accounts that leave a shard at a time */
/* How long an account that moved is answered for by its old shard, after the seal by entry time. */
#define MOVED_KEEP_MS (24u * 3600 * 1000)

/* Also on the wire (OpMoveStep.state). */
enum move_state {
    MOVE_OVER = 0,    /* no row */
    MOVE_COPYING = 1, /* emails and bodies are copied, the account lives on */
    MOVE_FENCED = 2,  /* not written any more: the rest is copied */
    MOVE_SEALED = 3,  /* gone from here for good; the destination goes live, the directory follows */
    MOVE_ABORTING = 4 /* lives on here; the destination's copy is given up */
};

struct move_row {
    uint32_t version;
    uint32_t state;
    uint32_t to;
    uint32_t zero;
    uint64_t started_ms;
    uint64_t state_ms; /* since when it is in this state */
    uint8_t id[MOVE_ID_BYTES];
};

struct arrival_row {
    uint32_t version;
    uint32_t ready; /* all of it is here */
    uint32_t from;
    uint32_t crc; /* chained over the rows taken */
    uint8_t id[MOVE_ID_BYTES];
    uint64_t started_ms;
    uint64_t last_email; /* highest number taken */
    uint64_t emails;     /* here now */
    uint64_t rows;       /* others */
    uint32_t cursor_bytes;
    uint32_t zero;
    uint8_t cursor[KV_KEY_BYTES_MAX]; /* key of the last row taken; stored cut to its length */
};

#define ARRIVAL_HEAD_BYTES 72

/* ERR_NOTFOUND, ERR_CORRUPT. */
MUST_CHECK enum err move_get(const struct store *s, struct account_id a, struct move_row *out);
MUST_CHECK enum err move_decode(struct slice value, struct move_row *out);
MUST_CHECK enum err move_put(const struct store *s, struct account_id a, const struct move_row *row);
MUST_CHECK enum err move_del(const struct store *s, struct account_id a);
/* Counts up to MOVES_MAX. */
MUST_CHECK enum err move_count(const struct store *s, uint32_t *out);
/* The first move of an account with this number or a higher one. ERR_NOTFOUND. */
MUST_CHECK enum err move_next(const struct store *s, uint64_t from, struct account_id *out, struct move_row *out_row);

MUST_CHECK enum err arrival_get(const struct store *s, struct account_id a, struct arrival_row *out);
MUST_CHECK enum err arrival_decode(struct slice value, struct arrival_row *out);
MUST_CHECK enum err arrival_put(const struct store *s, struct account_id a, const struct arrival_row *row);
MUST_CHECK enum err arrival_del(const struct store *s, struct account_id a);

/* Whether nothing is left of it but its own row and its records of requests. */
MUST_CHECK enum err moving_account_bare(const struct store *s, struct account_id a, bool *out);
/* Whether such a row of an account that lives elsewhere has told so for long enough. */
static inline bool moved_over(const struct account_row *row, uint64_t now_ms)
{
    return row->dedupe_to == 0 && row->uploads == 0 && now_ms >= row->created_ms + MOVED_KEEP_MS;
}

/* --- rows on their way: a key without account (table, rest), in the order in which they are sent --- */

#define MOVING_HEAD_BYTES 6 /* le16 key bytes, le32 value bytes */
#define MOVING_COPIES '~'   /* the table of SHARD_COPIES there: after all of the account's own */

struct moving_row {
    struct slice key;
    struct slice value;
};

/* Takes the first row off a page. ERR_INVAL: cut, or no row that an account can have. */
MUST_CHECK enum err moving_row_take(struct slice *io_page, struct moving_row *out);
uint32_t moving_row_crc(uint32_t crc, const struct moving_row *row);
/* Where it lies in the store. */
void moving_row_key(struct key *k, const struct store *s, struct account_id a, struct slice key);
/* The rows that travel as rows (all but the account's own and its emails), in key order. */
struct moving_walk {
    const struct store *store;
    struct account_id account;
    struct scan scan;
    struct key next; /* where to seek, when n is not 0 */
    bool copies;     /* the scan is the one over SHARD_COPIES */
    uint8_t copy_key[1 + 16];
};
/* after: the key to begin behind; empty: at the first row. */
MUST_CHECK enum err moving_walk_open(struct moving_walk *w, const struct store *s, struct account_id a,
                                     struct slice after);
/* Views until the next call. ERR_NOTFOUND: that was the last. */
MUST_CHECK enum err moving_walk_next(struct moving_walk *w, struct moving_row *out);
void moving_walk_close(struct moving_walk *w);

#ifdef __cplusplus
static_assert(sizeof(struct move_row) == 48, "rows are on disk");
#else
_Static_assert(sizeof(struct move_row) == 48, "rows are on disk");
_Static_assert(offsetof(struct arrival_row, cursor) == ARRIVAL_HEAD_BYTES, "rows are on disk");
#endif

#ifdef __cplusplus
}
#endif

#endif /* STORAGE_MAILBOX_MOVING_H */
