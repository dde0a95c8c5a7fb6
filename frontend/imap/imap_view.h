/* The view of a selected mailbox: what this client has been told. Sequence numbers exist only here (ARCHITECTURE, 5a):
 * a UID set stored as runs, where the position of a UID is its number. What storage has expunged stays in the view, and
 * keeps its number, until the client is told. Pure: no I/O; owned by one session.
 *
 * Changes that the session made itself and has reported are remembered by (uid, modseq), so that the next sync does not
 * report them again, and a later change of somebody else is. */
#ifndef FRONTEND_IMAP_IMAP_VIEW_H
#define FRONTEND_IMAP_IMAP_VIEW_H

#include "frontend/imap/imap_parse.h"
#include "proto/base/id.h"
#include "proto/base/uidset.h"

#ifdef __cplusplus
extern "C" {
#endif

#define IMAP_UID_RUNS_MAX ((size_t)1 << 22)
#define IMAP_OWN_MAX 1024

#define IMAP_KEYWORDS_MAX 200
/* Of a message with FLAG_OVERFLOW: bit j is keyword 55 + j. */
#define IMAP_OVERFLOW_BYTES 24

/* The mailbox's keyword table: keyword i is flag bit 8 + i, or bit i - 55 of the overflow. */
struct imap_keywords {
    uint32_t *ends; /* of name i, in text; one block with the text */
    char *text;     /* names one after another */
    uint32_t n;
};

struct imap_own {
    uint64_t modseq;
    struct uidset uids;
};

struct imap_view {
    struct mailbox_id mailbox;
    uint32_t uidvalidity;
    uint64_t modseq;      /* everything up to it is in the view */
    struct uidset uids;   /* what the client counts */
    struct uidset gone;   /* expunged in storage, not yet told; part of uids */
    struct uidset recent; /* \Recent in this session */
    struct imap_keywords keywords;
    bool read_only;       /* EXAMINE */
    bool inbox;           /* selected by the name INBOX */
    uint32_t told_exists; /* the last EXISTS and RECENT sent */
    uint32_t told_recent;
    struct imap_own *own; /* oldest first */
    size_t n_own;
    size_t own_cap;
};

void imap_view_init(struct imap_view *v);
void imap_view_fini(struct imap_view *v);

uint32_t imap_view_exists(const struct imap_view *v);
uint32_t imap_view_recent(const struct imap_view *v);
/* {0} when there is none. */
struct imap_seq imap_view_seq(const struct imap_view *v, struct imap_uid uid);
struct imap_uid imap_view_uid(const struct imap_view *v, struct imap_seq seq);

/* Walks UIDs in ascending order, giving each its number without a search. Start with {0}. */
struct imap_view_walk {
    size_t run;
};
struct imap_seq imap_view_walk(const struct imap_view *v, struct imap_view_walk *w, struct imap_uid uid);

/* The UIDs a sequence set names. by_uid: UIDs that are not there are left out (RFC 3501, 6.4.8), and "*" is the last
 * one. Otherwise ERR_INVAL for a number beyond the last message. out is initialised by the caller. */
MUST_CHECK enum err imap_view_resolve(const struct imap_view *v, const struct imap_set *set, bool by_uid,
                                      struct uidset *out);
/* The numbers of UIDs of the view, as a set of numbers. */
MUST_CHECK enum err imap_view_to_seqs(const struct imap_view *v, const struct uidset *uids, struct uidset *out_seqs);
/* The same messages in as few runs as can be: gaps where the view has nothing are closed. For reads only. */
MUST_CHECK enum err imap_view_compact(const struct imap_view *v, const struct uidset *uids, struct uidset *out);

/* --- changes --- */
MUST_CHECK enum err imap_view_add(struct imap_view *v, const struct uidset *new_uids, uint32_t recent_uid);
/* Marks those of `vanished` that are in the view; they keep their numbers. */
MUST_CHECK enum err imap_view_vanish(struct imap_view *v, const struct uidset *vanished);
/* Takes out what is gone: the caller has told the client. */
MUST_CHECK enum err imap_view_drop_gone(struct imap_view *v);
MUST_CHECK enum err imap_view_set_keywords(struct imap_view *v, char *const *names, size_t n, bool *out_changed);
struct slice imap_view_keyword(const struct imap_view *v, uint32_t i);

/* Our own reported change. When the memory of them is full the oldest is forgotten (it may be reported twice). */
MUST_CHECK enum err imap_view_own_add(struct imap_view *v, uint64_t modseq, const struct uidset *uids);
bool imap_view_own_has(const struct imap_view *v, struct imap_uid uid, uint64_t modseq);
/* Forgets what a sync up to `modseq` has covered. */
void imap_view_own_prune(struct imap_view *v, uint64_t modseq);

/* --- pieces of a set, for operations that take at most so many UIDs --- */
struct imap_chunks {
    const struct uidset *set;
    size_t run;
    uint32_t from; /* within the run; 0 = its beginning */
};
/* Replaces *out by the next at most `max` members; *out_more = false when there are none. */
MUST_CHECK enum err imap_chunk_next(struct imap_chunks *it, uint32_t max, struct uidset *out, bool *out_more);

#ifdef __cplusplus
}
#endif

#endif /* FRONTEND_IMAP_IMAP_VIEW_H */
