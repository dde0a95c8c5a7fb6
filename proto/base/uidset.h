/* A set of UIDs (or any uint32 >= 1) kept as ascending, disjoint, non-adjacent runs: 100,000 messages without gaps are
 * one run of 8 bytes. Position (sequence number) <-> UID is a binary search over runs with cumulative counts. Not
 * thread-safe.
 *
 * Wire and disk form: varint count of runs, then for each run varint (first - previous end) and varint (length - 1). */
#ifndef PROTO_BASE_UIDSET_H
#define PROTO_BASE_UIDSET_H

#include "proto/base/buf.h"

#ifdef __cplusplus
extern "C" {
#endif

struct uidset_run {
    uint32_t first;
    uint32_t last;   /* inclusive */
    uint32_t before; /* members in earlier runs; maintained by the set */
};

struct uidset {
    struct uidset_run *runs;
    size_t n;
    size_t cap;
};

void uidset_init(struct uidset *s);
void uidset_fini(struct uidset *s);
void uidset_clear(struct uidset *s);
/* All changes: ERR_NOMEM leaves the set as it was.
 * Adding at the end is O(1) amortised; elsewhere O(runs). Duplicates are fine. ERR_INVAL unless 1 <= first <= last. */
MUST_CHECK enum err uidset_add_range(struct uidset *s, uint32_t first, uint32_t last);
MUST_CHECK enum err uidset_add(struct uidset *s, uint32_t v);
MUST_CHECK enum err uidset_remove_range(struct uidset *s, uint32_t first, uint32_t last);
MUST_CHECK enum err uidset_copy(struct uidset *dst, const struct uidset *src);
/* dst = a AND b; dst is initialised by the caller and distinct from both. */
MUST_CHECK enum err uidset_intersect(struct uidset *dst, const struct uidset *a, const struct uidset *b);
MUST_CHECK enum err uidset_union(struct uidset *dst, const struct uidset *add);
MUST_CHECK enum err uidset_subtract(struct uidset *dst, const struct uidset *del);

uint32_t uidset_count(const struct uidset *s);
bool uidset_has(const struct uidset *s, uint32_t v);
/* The member at 0-based position pos; 0 when pos >= count. */
uint32_t uidset_at(const struct uidset *s, uint32_t pos);
/* How many members are smaller than v. With uidset_has this gives the 0-based position. */
uint32_t uidset_rank(const struct uidset *s, uint32_t v);
/* Greatest member, 0 when empty. */
uint32_t uidset_max(const struct uidset *s);
/* Smallest member > v, 0 when none. */
uint32_t uidset_next(const struct uidset *s, uint32_t v);
/* The greatest v' >= v such that all of v..v' are members; 0 when v is none. For walks that ask once a run. */
uint32_t uidset_run_last(const struct uidset *s, uint32_t v);

/* IMAP text form "1:3,7" (RFC 3501 sequence-set without '*'); empty set gives "". */
MUST_CHECK enum err uidset_format(const struct uidset *s, struct buf *out);
MUST_CHECK enum err uidset_encode(const struct uidset *s, struct buf *out);
/* Replaces the set. ERR_CORRUPT for malformed input (trailing bytes too), ERR_LIMIT past runs_max runs. */
MUST_CHECK enum err uidset_decode(struct uidset *s, struct slice in, size_t runs_max);

#ifdef __cplusplus
}
#endif

#endif /* PROTO_BASE_UIDSET_H */
