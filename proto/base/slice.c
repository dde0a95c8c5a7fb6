#include "proto/base/slice.h"

bool slice_ieq(struct slice a, struct slice b)
{
    if (a.n != b.n) {
        return false;
    }
    for (size_t i = 0; i < a.n; i++) {
        if (ascii_lower(a.p[i]) != ascii_lower(b.p[i])) {
            return false;
        }
    }
    return true;
}

/* Without the length of z first: tables of names are searched with this, and most names differ in the first letter. */
bool slice_ieq_str(struct slice a, const char *z)
{
    if (z == NULL) {
        return a.n == 0;
    }
    for (size_t i = 0; i < a.n; i++) {
        if (z[i] == '\0' || ascii_lower(a.p[i]) != ascii_lower((uint8_t)z[i])) {
            return false;
        }
    }
    return z[a.n] == '\0';
}

bool slice_istarts_with(struct slice s, const char *prefix)
{
    struct slice want = slice_str(prefix);
    return s.n >= want.n && slice_ieq(slice_sub(s, 0, want.n), want);
}

int slice_cmp(struct slice a, struct slice b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int order = n == 0 ? 0 : memcmp(a.p, b.p, n);
    if (order != 0) {
        return order;
    }
    return a.n < b.n ? -1 : a.n > b.n;
}

size_t slice_find(struct slice s, uint8_t c)
{
    if (s.n == 0) {
        return 0;
    }
    const uint8_t *at = memchr(s.p, c, s.n);
    return at == NULL ? s.n : (size_t)(at - s.p);
}

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct slice slice_trim(struct slice s)
{
    size_t from = 0;
    size_t to = s.n;
    while (from < to && is_blank(s.p[from])) {
        from++;
    }
    while (to > from && is_blank(s.p[to - 1])) {
        to--;
    }
    return slice_sub(s, from, to);
}

enum err slice_u64(struct slice s, uint64_t *out_value)
{
    uint64_t v = 0;
    if (s.n == 0) {
        return ERR_INVAL;
    }
    for (size_t i = 0; i < s.n; i++) {
        uint8_t c = s.p[i];
        if (c < '0' || c > '9' || __builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, c - '0', &v)) {
            return ERR_INVAL;
        }
    }
    *out_value = v;
    return OK;
}
