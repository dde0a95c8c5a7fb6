/* A view of bytes that somebody else owns, and its helpers. Never NUL-terminated by contract. */
#ifndef PROTO_BASE_SLICE_H
#define PROTO_BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "proto/base/err.h"

#ifdef __cplusplus
extern "C" {
#endif

struct slice {
    const uint8_t *p;
    size_t n;
};

static inline struct slice slice_make(const void *p, size_t n)
{
    struct slice s;
    s.p = (const uint8_t *)p;
    s.n = n;
    return s;
}

static inline struct slice slice_str(const char *z)
{
    return slice_make(z, z == NULL ? 0 : strlen(z));
}

static inline bool slice_eq(struct slice a, struct slice b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static inline bool slice_eq_str(struct slice a, const char *z)
{
    return slice_eq(a, slice_str(z));
}

/* bytes [from, to); both are clamped to the slice. */
static inline struct slice slice_sub(struct slice s, size_t from, size_t to)
{
    if (to > s.n) {
        to = s.n;
    }
    if (from > to) {
        from = to;
    }
    return slice_make(s.p == NULL ? NULL : s.p + from, to - from);
}

/* ASCII case-insensitive comparison, locale-free. */
bool slice_ieq(struct slice a, struct slice b);
bool slice_ieq_str(struct slice a, const char *z);
bool slice_istarts_with(struct slice s, const char *prefix);
/* Memory order, as memcmp with length as the tie-breaker. */
int slice_cmp(struct slice a, struct slice b);
/* Position of c, or s.n. */
size_t slice_find(struct slice s, uint8_t c);
/* Without leading and trailing SP, HTAB, CR, LF. */
struct slice slice_trim(struct slice s);
/* Decimal digits only, the whole slice, no overflow: ERR_INVAL otherwise. */
MUST_CHECK enum err slice_u64(struct slice s, uint64_t *out_value);

static inline uint8_t ascii_lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c + 32) : c;
}

static inline uint8_t ascii_upper(uint8_t c)
{
    return c >= 'a' && c <= 'z' ? (uint8_t)(c - 32) : c;
}

#ifdef __cplusplus
}
#endif

#endif /* PROTO_BASE_SLICE_H */
