/* The fixed-size rows of the mail store: little-endian structs without padding, copied in and out as they are (no
 * parsing). What each field means for IMAP is in storage/README.md. get: ERR_NOTFOUND, ERR_CORRUPT (wrong size or
 * version). */
#ifndef STORAGE_MAILBOX_ROW_H
#define STORAGE_MAILBOX_ROW_H

#include "storage/mailbox/key.h"

#ifdef __cplusplus
extern "C" {
#endif

#define ROW_VERSION 1

enum account_state {
    ACCOUNT_LIVE = 1,
    ACCOUNT_REMOVED = 2, /* hidden; its rows go by OpPurge */
    ACCOUNT_SHARD = 3,   /* account 0: the shard's own dedupe records and staging total */
    /* Moves (deploy/docs/adr/0010). */
    ACCOUNT_FENCED = 4,    /* read, not written: the last of it is being copied */
    ACCOUNT_ARRIVING = 5,  /* being copied into this shard; lives in shard `inbox` until then */
    ACCOUNT_MOVED = 6,     /* lives in shard `inbox`; rows go by OpPurge, this one a day later */
    ACCOUNT_CANCELLED = 7, /* a copy that was given up; the same, whatever the rows refer to */
    ACCOUNT_ARRIVED = 8,   /* all of it is here; it goes live when its source is sealed */
};

struct account_row {
    uint32_t version;
    uint32_t state;
    uint64_t created_ms;
    uint64_t modseq;     /* last one given */
    uint64_t next_email; /* next email_no */
    uint64_t quota_bytes;
    uint64_t quota_messages;
    uint64_t used_bytes; /* of visible message rows, copies counted */
    uint64_t used_messages;
    uint64_t staged_bytes; /* in bodies of open reservations */
    uint64_t secret_version;
    uint32_t next_mailbox; /* next mailbox or node id */
    uint32_t uidvalidity;  /* last one given */
    uint32_t nodes;        /* of the folder tree */
    uint32_t subscriptions;
    uint32_t inbox;       /* mailbox id */
    uint32_t dedupe_from; /* no record lies in an earlier bucket ... */
    uint32_t dedupe_to;   /* ... or a later one; 0: there is none */
    uint32_t uploads;     /* open reservations of staged bodies */
};

enum mailbox_state {
    MAILBOX_LIVE = 1,
    MAILBOX_DELETED = 2, /* hidden; its rows go by OpPurge */
};

struct mailbox_row {
    uint32_t version;
    uint32_t state;
    uint32_t node; /* where it hangs in the folder tree; 0 when deleted */
    uint32_t special_use;
    uint8_t objectid[16];
    uint32_t uidvalidity;
    uint32_t uidnext;
    uint64_t modseq; /* of its last change */
    uint64_t created_modseq;
    uint32_t messages;
    uint32_t unseen;
    uint32_t deleted;    /* with \Deleted */
    uint32_t recent;     /* messages with uid >= recent_uid */
    uint32_t recent_uid; /* watermark of \Recent */
    uint32_t keywords;   /* rows of its keyword table */
    uint64_t size_bytes;
    uint64_t expunge_floor; /* expunge history is complete above this modseq */
    uint32_t history_rows;
    uint32_t zero;
};

struct message_row {
    uint64_t email;
    uint64_t flags;
    uint64_t modseq;
    uint64_t created_modseq; /* when the UID came to be: rows above a modseq at the end of the mailbox are new */
    int64_t internal_s;
    int64_t save_s;
    uint32_t size;
    uint32_t zero;
};

/* Before the message record in an email's first chunk. Never changes. */
struct email_row {
    uint32_t version;
    uint32_t record_bytes;
    uint64_t body_index;
    uint32_t body_ordinal;
    uint32_t body_bytes;
    uint8_t emailid[16];
    uint8_t threadid[16];
    uint64_t thread_subject; /* the thread index rows that this email holds a reference to: */
    uint64_t thread_own;     /* hash of its Message-ID, 0 = none */
    uint64_t thread_parent;  /* hash of what it answers, 0 = none */
};

struct body_ref {
    uint64_t index;
    uint16_t ordinal;
    uint32_t bytes;
};

#ifdef __cplusplus
static_assert(sizeof(struct account_row) == 112 && sizeof(struct mailbox_row) == 104 &&
                  sizeof(struct message_row) == 56 && sizeof(struct email_row) == 80,
              "rows are on disk");
#else
_Static_assert(sizeof(struct account_row) == 112 && sizeof(struct mailbox_row) == 104 &&
                   sizeof(struct message_row) == 56 && sizeof(struct email_row) == 80,
               "rows are on disk");
#endif

/* Whatever its state. */
MUST_CHECK enum err account_get(const struct store *s, struct account_id a, struct account_row *out);
/* What a request about an account in this state is refused with, or OK. ERR_UNAVAILABLE: for now; ERR_MOVED;
 * ERR_NOTFOUND. */
enum err account_readable(uint32_t state);
enum err account_writable(uint32_t state);
/* Whether `inbox` names the shard where the account lives. */
static inline bool account_is_away(uint32_t state)
{
    return state == ACCOUNT_MOVED || state == ACCOUNT_ARRIVING || state == ACCOUNT_CANCELLED;
}
/* The shard that the account lives in; 0: this one, as far as it knows. */
MUST_CHECK enum err account_moved_to(const struct store *s, struct account_id a, uint32_t *out_shard);
/* An account that may be read: else as account_readable, ERR_NOTFOUND when there is none. */
MUST_CHECK enum err account_get_live(const struct store *s, struct account_id a, struct account_row *out);
MUST_CHECK enum err account_put(const struct store *s, struct account_id a, const struct account_row *row);

MUST_CHECK enum err mailbox_get(const struct store *s, struct account_id a, uint32_t mailbox, struct mailbox_row *out);
/* ERR_NOTFOUND unless the mailbox is live. Takes the id of the wire. */
MUST_CHECK enum err mailbox_get_live(const struct store *s, struct account_id a, uint64_t mailbox,
                                     struct mailbox_row *out);
MUST_CHECK enum err mailbox_put(const struct store *s, struct account_id a, uint32_t mailbox,
                                const struct mailbox_row *row);

MUST_CHECK enum err message_get(const struct store *s, struct account_id a, uint32_t mailbox, uint32_t uid,
                                struct message_row *out);
MUST_CHECK enum err message_put(const struct store *s, struct account_id a, uint32_t mailbox, uint32_t uid,
                                const struct message_row *row);
/* A row met in a scan of ACCOUNT_MESSAGES: key rest is the UID. */
MUST_CHECK enum err message_decode(struct slice rest, struct slice value, uint32_t *out_uid, struct message_row *out);

#ifdef __cplusplus
}
#endif

#endif /* STORAGE_MAILBOX_ROW_H */
