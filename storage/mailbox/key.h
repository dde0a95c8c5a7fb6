/* The key space of one shard's state: 5 bytes of prefix (replica number and 'S'), a table byte, then big-endian fields.
 * storage/README.md is the reference. Rows of an account lie together (prefix 'a' account table ...), so that an
 * account is one range and a delivery touches few pages.
 *
 * struct store is a transaction and a prefix: a view, owns nothing. One thread at a time. */
#ifndef STORAGE_MAILBOX_KEY_H
#define STORAGE_MAILBOX_KEY_H

#include "proto/base/assert.h"
#include "proto/base/buf.h"
#include "proto/base/bytes.h"
#include "proto/base/id.h"
#include "proto/base/kv.h"

#ifdef __cplusplus
extern "C" {
#endif

#define STORE_PREFIX_BYTES 5

struct store {
    struct kv_txn *t;
    uint8_t prefix[STORE_PREFIX_BYTES];
};

/* Tables of the shard. */
enum shard_table {
    SHARD_ACCOUNTS = 'a',
    SHARD_BODY_REFS = 'b',  /* index(8) ordinal(2) */
    SHARD_COPIES = 'c',     /* account(8) copy id(16) */
    SHARD_DIRECTORY = 'd',  /* directory table byte, ... */
    SHARD_HANDOFFS = 'h',   /* index(8) shard(4) chunk(2) */
    SHARD_ARRIVALS = 'i',   /* account(8) */
    SHARD_KEPT = 'k',       /* ms(8) account(8): the account has kept rows of that time */
    SHARD_KEPT_TOTAL = 'K', /* no more */
    SHARD_MOVES = 'o',      /* account(8) */
    SHARD_PURGE = 'p',      /* account(8) mailbox(4) */
    SHARD_STAGED = 's',     /* index(8) */
};

/* Tables of an account, after 'a' account(8). Small hot rows are neighbours. */
enum account_table {
    ACCOUNT_ROW = 'A',
    ACCOUNT_SECRET = 'C',
    ACCOUNT_DEDUPE = 'D',     /* bucket(4) request id(16) chunk(2) */
    ACCOUNT_MAILBOXES = 'M',  /* mailbox(4) */
    ACCOUNT_NODES = 'N',      /* node(4) */
    ACCOUNT_SUBSCRIBED = 'S', /* name hash(8) sequence(1) */
    ACCOUNT_TREE = 'T',       /* parent node(4) name */
    ACCOUNT_EMAILS = 'e',     /* email(8) [chunk(1)] */
    ACCOUNT_KEYWORDS = 'k',   /* mailbox(4) keyword(2) */
    ACCOUNT_MESSAGES = 'm',   /* mailbox(4) uid(4) */
    ACCOUNT_OVERFLOW = 'o',   /* mailbox(4) uid(4) */
    ACCOUNT_EMAIL_REFS = 'r', /* email(8) */
    ACCOUNT_THREADS = 't',    /* message-id hash(8) subject hash(8) */
    ACCOUNT_CHANGES = 'v',    /* mailbox(4) modseq(8) uid(4) */
    ACCOUNT_EXPUNGED = 'x',   /* mailbox(4) modseq(8) chunk(1) */
    ACCOUNT_KEPT_TOTAL = 'Z', /* no more */
    ACCOUNT_KEPT = 'z',       /* ms(8) mailbox(4) uid(4) piece(2) */
};

struct key {
    size_t n;
    uint8_t b[KV_KEY_BYTES_MAX];
};

static inline struct slice key_slice(const struct key *k)
{
    return slice_make(k->b, k->n);
}

static inline void key_bytes(struct key *k, const void *p, size_t n)
{
    ASSERT(n <= sizeof(k->b) - k->n);
    if (n > 0) {
        memcpy(k->b + k->n, p, n);
    }
    k->n += n;
}

static inline void key_u8(struct key *k, uint8_t v)
{
    key_bytes(k, &v, 1);
}

static inline void key_u16(struct key *k, uint16_t v)
{
    uint8_t b[2];
    put_be16(b, v);
    key_bytes(k, b, sizeof(b));
}

static inline void key_u32(struct key *k, uint32_t v)
{
    uint8_t b[4];
    put_be32(b, v);
    key_bytes(k, b, sizeof(b));
}

static inline void key_u64(struct key *k, uint64_t v)
{
    uint8_t b[8];
    put_be64(b, v);
    key_bytes(k, b, sizeof(b));
}

static inline void key_shard(struct key *k, const struct store *s, enum shard_table table)
{
    k->n = 0;
    key_bytes(k, s->prefix, STORE_PREFIX_BYTES);
    key_u8(k, (uint8_t)table);
}

static inline void key_account(struct key *k, const struct store *s, struct account_id a, enum account_table table)
{
    key_shard(k, s, SHARD_ACCOUNTS);
    key_u64(k, a.v);
    key_u8(k, (uint8_t)table);
}

/* Most tables of an account go by mailbox. */
static inline void key_mailbox(struct key *k, const struct store *s, struct account_id a, enum account_table table,
                               uint32_t mailbox)
{
    key_account(k, s, a, table);
    key_u32(k, mailbox);
}

static inline void key_message(struct key *k, const struct store *s, struct account_id a, uint32_t mailbox,
                               uint32_t uid)
{
    key_mailbox(k, s, a, ACCOUNT_MESSAGES, mailbox);
    key_u32(k, uid);
}

static inline MUST_CHECK enum err store_get(const struct store *s, const struct key *k, struct slice *out)
{
    return kv_get(s->t, key_slice(k), out);
}

static inline MUST_CHECK enum err store_put(const struct store *s, const struct key *k, struct slice v)
{
    return kv_put(s->t, key_slice(k), v);
}

/* A row of exactly n bytes: ERR_NOTFOUND, ERR_CORRUPT when it has another size. */
MUST_CHECK enum err store_get_row(const struct store *s, const struct key *k, void *out, size_t n);
MUST_CHECK enum err store_put_row(const struct store *s, const struct key *k, const void *row, size_t n);
/* A row that must be there: ERR_CORRUPT instead of ERR_NOTFOUND. */
MUST_CHECK enum err store_del_must(const struct store *s, const struct key *k);
/* Deletes it if it is there. */
MUST_CHECK enum err store_del_any(const struct store *s, const struct key *k);

/* A walk over the rows whose keys start with a prefix, in key order. */
struct scan {
    struct kv_cursor *c;
    struct key prefix;
    bool positioned;
};

MUST_CHECK enum err scan_open(struct scan *sc, const struct store *s, const struct key *prefix);
void scan_close(struct scan *sc);
/* First row with key >= at (a key that starts with the prefix). rest: the key after the prefix. ERR_NOTFOUND at the end
 * of the range. */
MUST_CHECK enum err scan_seek(struct scan *sc, const struct key *at, struct slice *out_rest, struct slice *out_value);
/* The next row; the first one when the scan was not positioned yet. */
MUST_CHECK enum err scan_next(struct scan *sc, struct slice *out_rest, struct slice *out_value);
/* The row before; from a fresh scan the last of the range. */
MUST_CHECK enum err scan_prev(struct scan *sc, struct slice *out_rest, struct slice *out_value);
/* Deletes the current row. */
MUST_CHECK enum err scan_del(struct scan *sc);

/* Deletes up to *io_budget rows that start with the prefix; lowers the budget by the number deleted. out_done: none is
 * left. */
MUST_CHECK enum err store_del_range(const struct store *s, const struct key *prefix, uint32_t *io_budget,
                                    bool *out_done);
MUST_CHECK enum err store_range_empty(const struct store *s, const struct key *prefix, bool *out_empty);

/* A value that may be larger than a chunk: piece i under key + chunk number (big-endian, 2 bytes). Always at least one
 * piece. */
MUST_CHECK enum err store_put_long(const struct store *s, const struct key *k, struct slice v);
/* Appends the whole value. ERR_NOTFOUND when there is no piece. */
MUST_CHECK enum err store_get_long(const struct store *s, const struct key *k, struct buf *out);
MUST_CHECK enum err store_del_long(const struct store *s, const struct key *k);

#ifdef __cplusplus
}
#endif

#endif /* STORAGE_MAILBOX_KEY_H */
