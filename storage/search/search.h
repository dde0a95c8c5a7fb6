/* SEARCH (RFC 3501, 6.4.4) of one mailbox: a program compiled from the key tree, evaluated message by message in steps
 * of rising cost: the row, the message record, the header block, the text of the body. A key that cannot be decided yet
 * is unknown, and AND, OR and NOT combine unknowns, so that most messages never cost more than their row; what is
 * decided of a message is not looked at again, and all text keys share one pass over its body. Text compares as
 * substring under i;unicode-casemap (RFC 5051), after decoding.
 *
 * What is looked at: of a header block the first SEARCH_HEADER_BYTES_MAX (TEXT: the rest too, undecoded), of the body
 * its text parts and the headers of messages in it; when the structure was cut (message.h), all of the body as it
 * stands as well. Memory: the key tree in the arena, and at most about half a MiB of buffers however large a message
 * is. */
#ifndef STORAGE_SEARCH_SEARCH_H
#define STORAGE_SEARCH_SEARCH_H

#include "proto/base/arena.h"
#include "proto/base/buf.h"
#include "proto/base/clock.h"
#include "proto/base/uidset.h"
#include "proto/schema/read.pb-c.h"
#include "storage/mailbox/keyword.h"

#ifdef __cplusplus
extern "C" {
#endif

/* IMAP lets a client nest 100 deep; what the frontend makes of a key (NOT, NEW, the AND around all) is a level more. */
#define SEARCH_DEPTH_MAX 104
#define SEARCH_KEYS_MAX 1000
/* A text to look for, as given and as compared. */
#define SEARCH_TEXT_BYTES_MAX (8 * 1024)
#define SEARCH_NEEDLE_BYTES_MAX (32 * 1024)
#define SEARCH_HEADER_BYTES_MAX (256 * 1024)
/* Runs of UIDs in one result: it must fit a reply frame. Less than 2,100 gaps take four bytes or more, for they add up
 * to at most 2^32, and a run of 16,384 messages takes longer to walk than any budget: 5 bytes a run and those. */
#define SEARCH_RUNS_MAX 45000

struct search_key;

/* When to stop. One message at least is looked at to its end in every run, so that a caller who goes on arrives. */
struct search_budget {
    struct clock *clock;
    uint64_t end_ms;      /* monotonic: the run ends and says where to go on */
    uint64_t hard_ms;     /* a run that has not finished its first message by then fails: ERR_LIMIT */
    uint64_t deadline_ms; /* nobody waits any more: ERR_TIMEOUT */
};

struct search_result {
    struct uidset uids; /* the caller's: initialised and ended by it; added to */
    uint64_t modseq;    /* the greatest among them */
    uint32_t next_uid;  /* 0: all was looked at */
};

struct search {
    /* set by the caller */
    const struct store *store;
    struct account_id account;
    uint32_t mailbox;
    struct arena *arena;
    /* search_compile's */
    struct search_key *root;
    size_t n_keys;
    struct uidset *sets; /* of the UIDS keys that are left in the tree */
    size_t n_sets;
    struct uidset narrow; /* all that match are among these, if narrowed */
    bool narrowed;
    uint32_t uid_min;
    struct search_key **active; /* room for all keys that look for text */
    size_t n_texts;
    /* search_run's, kept from message to message */
    struct search_budget budget;
    unsigned spent; /* since the last look at the clock */
    bool progress;  /* a message has been finished */
    uint64_t serial;
    struct buf header;
    struct buf raw;
    struct buf decoded;
    struct buf mapped;
};

/* Nesting of a packed ReadSearch, before anything recursive touches it: ERR_LIMIT, ERR_INVAL. */
MUST_CHECK enum err search_check_depth(struct slice packed);
/* Keeps views of `key`. ERR_INVAL (malformed), ERR_LIMIT (depth, keys, bytes of a text), ERR_NOMEM. search_fini in
 * every case. */
MUST_CHECK enum err search_compile(struct search *s, const Pb__SearchKey *key, const struct keyword_table *keywords);
/* Messages from from_uid on. ERR_LIMIT, ERR_TIMEOUT (search_budget), store errors. */
MUST_CHECK enum err search_run(struct search *s, uint32_t from_uid, const struct search_budget *budget,
                               struct search_result *out);
void search_fini(struct search *s);

#ifdef __cplusplus
}
#endif

#endif /* STORAGE_SEARCH_SEARCH_H */
