#include "proto/base/uidset.h"

#include "proto/base/bytes.h"
#include "proto/base/mem.h"

#define CAP_MIN 4

void uidset_init(struct uidset *s)
{
    s->runs = NULL;
    s->n = 0;
    s->cap = 0;
}

void uidset_fini(struct uidset *s)
{
    mem_free(s->runs);
    uidset_init(s);
}

void uidset_clear(struct uidset *s)
{
    s->n = 0;
}

static uint32_t run_count(const struct uidset_run *r)
{
    return r->last - r->first + 1;
}

static enum err reserve(struct uidset *s, size_t runs)
{
    if (runs <= s->cap) {
        return OK;
    }
    size_t cap = s->cap < CAP_MIN ? CAP_MIN : s->cap;
    while (cap < runs) {
        cap *= 2;
    }
    size_t bytes;
    if (__builtin_mul_overflow(cap, sizeof(struct uidset_run), &bytes)) {
        return ERR_NOMEM;
    }
    struct uidset_run *grown = mem_realloc(s->runs, bytes);
    if (grown == NULL) {
        return ERR_NOMEM;
    }
    s->runs = grown;
    s->cap = cap;
    return OK;
}

/* Index of the first run that ends at v or later; n when none. */
static size_t lower_run(const struct uidset *s, uint32_t v)
{
    size_t lo = 0;
    size_t hi = s->n;
    if (hi > 0 && s->runs[hi - 1].first <= v) {
        return s->runs[hi - 1].last >= v ? hi - 1 : hi;
    }
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (s->runs[mid].last >= v) {
            hi = mid;
        } else {
            lo = mid + 1;
        }
    }
    return lo;
}

static void renumber(struct uidset *s, size_t from)
{
    for (size_t i = from; i < s->n; i++) {
        s->runs[i].before = i == 0 ? 0 : s->runs[i - 1].before + run_count(&s->runs[i - 1]);
    }
}

/* Puts n pieces in the place of runs [lo, hi). */
static enum err splice(struct uidset *s, size_t lo, size_t hi, const struct uidset_run *pieces, size_t n)
{
    size_t total = s->n - (hi - lo) + n;
    enum err e = reserve(s, total);
    if (e != OK) {
        return e;
    }
    memmove(s->runs + lo + n, s->runs + hi, (s->n - hi) * sizeof(struct uidset_run));
    memcpy(s->runs + lo, pieces, n * sizeof(struct uidset_run));
    s->n = total;
    renumber(s, lo);
    return OK;
}

enum err uidset_add_range(struct uidset *s, uint32_t first, uint32_t last)
{
    if (first == 0 || first > last) {
        return ERR_INVAL;
    }
    struct uidset_run piece = {.first = first, .last = last, .before = 0};
    /* Runs that touch [first - 1, last + 1] melt into one. */
    size_t lo = lower_run(s, first - 1);
    size_t hi = lo;
    while (hi < s->n && s->runs[hi].first - 1 <= last) {
        hi++;
    }
    if (hi > lo && s->runs[lo].first < first) {
        piece.first = s->runs[lo].first;
    }
    if (hi > lo && s->runs[hi - 1].last > last) {
        piece.last = s->runs[hi - 1].last;
    }
    return splice(s, lo, hi, &piece, 1);
}

enum err uidset_add(struct uidset *s, uint32_t v)
{
    return uidset_add_range(s, v, v);
}

enum err uidset_remove_range(struct uidset *s, uint32_t first, uint32_t last)
{
    if (first == 0 || first > last) {
        return ERR_INVAL;
    }
    size_t lo = lower_run(s, first);
    size_t hi = lo;
    while (hi < s->n && s->runs[hi].first <= last) {
        hi++;
    }
    if (lo == hi) {
        return OK;
    }
    struct uidset_run pieces[2];
    size_t n = 0;
    if (s->runs[lo].first < first) {
        pieces[n] = (struct uidset_run){.first = s->runs[lo].first, .last = first - 1};
        n++;
    }
    if (s->runs[hi - 1].last > last) {
        pieces[n] = (struct uidset_run){.first = last + 1, .last = s->runs[hi - 1].last};
        n++;
    }
    return splice(s, lo, hi, pieces, n);
}

enum err uidset_copy(struct uidset *dst, const struct uidset *src)
{
    enum err e = reserve(dst, src->n);
    if (e != OK) {
        return e;
    }
    if (src->n > 0 && dst != src) {
        memcpy(dst->runs, src->runs, src->n * sizeof(struct uidset_run));
    }
    dst->n = src->n;
    return OK;
}

/* Appends in ascending order, melting what touches. The room is reserved. */
static void push(struct uidset *s, uint32_t first, uint32_t last)
{
    struct uidset_run *end = s->n == 0 ? NULL : &s->runs[s->n - 1];
    if (end != NULL && first - 1 <= end->last) {
        end->last = last > end->last ? last : end->last;
        return;
    }
    s->runs[s->n].first = first;
    s->runs[s->n].last = last;
    s->runs[s->n].before = end == NULL ? 0 : end->before + run_count(end);
    s->n++;
}

static void replace(struct uidset *s, struct uidset *with)
{
    mem_free(s->runs);
    *s = *with;
}

enum err uidset_intersect(struct uidset *dst, const struct uidset *a, const struct uidset *b)
{
    size_t i = 0;
    size_t k = 0;
    enum err e = reserve(dst, a->n + b->n);
    if (e != OK) {
        return e;
    }
    uidset_clear(dst);
    while (i < a->n && k < b->n) {
        const struct uidset_run *x = &a->runs[i];
        const struct uidset_run *y = &b->runs[k];
        uint32_t first = x->first > y->first ? x->first : y->first;
        uint32_t last = x->last < y->last ? x->last : y->last;
        if (first <= last) {
            push(dst, first, last);
        }
        if (x->last < y->last) {
            i++;
        } else {
            k++;
        }
    }
    return OK;
}

enum err uidset_union(struct uidset *dst, const struct uidset *add)
{
    struct uidset out;
    size_t i = 0;
    size_t k = 0;
    if (add->n == 0) {
        return OK;
    }
    if (add->n == 1) {
        return uidset_add_range(dst, add->runs[0].first, add->runs[0].last);
    }
    uidset_init(&out);
    enum err e = reserve(&out, dst->n + add->n);
    if (e != OK) {
        return e;
    }
    while (i < dst->n || k < add->n) {
        bool from_dst = k == add->n || (i < dst->n && dst->runs[i].first < add->runs[k].first);
        const struct uidset_run *r = from_dst ? &dst->runs[i++] : &add->runs[k++];
        push(&out, r->first, r->last);
    }
    replace(dst, &out);
    return OK;
}

/* The parts of run r that are outside of del, whose runs before *k end before r. */
static void push_rest(struct uidset *out, const struct uidset_run *r, const struct uidset *del, size_t *k)
{
    uint64_t first = r->first;
    while (*k < del->n && del->runs[*k].last < r->first) {
        (*k)++;
    }
    while (*k < del->n && del->runs[*k].first <= r->last) {
        const struct uidset_run *d = &del->runs[*k];
        if (d->first > first) {
            push(out, (uint32_t)first, d->first - 1);
        }
        first = (uint64_t)d->last + 1;
        if (d->last > r->last) {
            break;
        }
        (*k)++;
    }
    if (first <= r->last) {
        push(out, (uint32_t)first, r->last);
    }
}

enum err uidset_subtract(struct uidset *dst, const struct uidset *del)
{
    struct uidset out;
    size_t k = 0;
    if (del->n == 0 || dst->n == 0) {
        return OK;
    }
    if (del->n == 1) {
        return uidset_remove_range(dst, del->runs[0].first, del->runs[0].last);
    }
    uidset_init(&out);
    enum err e = reserve(&out, dst->n + del->n);
    if (e != OK) {
        return e;
    }
    for (size_t i = 0; i < dst->n; i++) {
        push_rest(&out, &dst->runs[i], del, &k);
    }
    replace(dst, &out);
    return OK;
}

uint32_t uidset_count(const struct uidset *s)
{
    return s->n == 0 ? 0 : s->runs[s->n - 1].before + run_count(&s->runs[s->n - 1]);
}

bool uidset_has(const struct uidset *s, uint32_t v)
{
    size_t i = lower_run(s, v);
    return i < s->n && s->runs[i].first <= v;
}

uint32_t uidset_at(const struct uidset *s, uint32_t pos)
{
    size_t lo = 0;
    size_t hi = s->n;
    if (pos >= uidset_count(s)) {
        return 0;
    }
    /* The last run with before <= pos lies in [lo, hi). */
    while (hi - lo > 1) {
        size_t mid = lo + (hi - lo) / 2;
        if (s->runs[mid].before <= pos) {
            lo = mid;
        } else {
            hi = mid;
        }
    }
    return s->runs[lo].first + (pos - s->runs[lo].before);
}

uint32_t uidset_rank(const struct uidset *s, uint32_t v)
{
    size_t i = lower_run(s, v);
    if (i == s->n) {
        return uidset_count(s);
    }
    return s->runs[i].before + (v > s->runs[i].first ? v - s->runs[i].first : 0);
}

uint32_t uidset_max(const struct uidset *s)
{
    return s->n == 0 ? 0 : s->runs[s->n - 1].last;
}

uint32_t uidset_next(const struct uidset *s, uint32_t v)
{
    if (v == UINT32_MAX) {
        return 0;
    }
    size_t i = lower_run(s, v + 1);
    if (i == s->n) {
        return 0;
    }
    return s->runs[i].first > v ? s->runs[i].first : v + 1;
}

uint32_t uidset_run_last(const struct uidset *s, uint32_t v)
{
    size_t i = lower_run(s, v);
    return i < s->n && s->runs[i].first <= v ? s->runs[i].last : 0;
}

static enum err format_run(const struct uidset_run *r, bool comma, struct buf *out)
{
    uint8_t text[2 * U64_DEC_BYTES_MAX + 2];
    size_t n = 0;
    if (comma) {
        text[n++] = ',';
    }
    n += u64_dec_put(text + n, r->first);
    if (r->last > r->first) {
        text[n++] = ':';
        n += u64_dec_put(text + n, r->last);
    }
    return buf_append(out, text, n);
}

enum err uidset_format(const struct uidset *s, struct buf *out)
{
    size_t before = out->len;
    for (size_t i = 0; i < s->n; i++) {
        enum err e = format_run(&s->runs[i], i > 0, out);
        if (e != OK) {
            buf_truncate(out, before);
            return e;
        }
    }
    return OK;
}

static enum err append_varint(struct buf *out, uint64_t v)
{
    uint8_t bytes[VARINT_BYTES_MAX];
    return buf_append(out, bytes, varint_put(bytes, v));
}

enum err uidset_encode(const struct uidset *s, struct buf *out)
{
    size_t before = out->len;
    uint32_t end = 0;
    enum err e = append_varint(out, s->n);
    for (size_t i = 0; e == OK && i < s->n; i++) {
        e = append_varint(out, s->runs[i].first - end);
        if (e == OK) {
            e = append_varint(out, run_count(&s->runs[i]) - 1);
        }
        end = s->runs[i].last;
    }
    if (e != OK) {
        buf_truncate(out, before);
    }
    return e;
}

/* Fills an empty set that has room for n runs. */
static enum err decode_runs(struct uidset *s, struct reader *r, uint64_t n)
{
    uint64_t end = 0;
    for (uint64_t i = 0; i < n; i++) {
        uint64_t gap = reader_varint(r);
        uint64_t more = reader_varint(r);
        /* Runs that touch would not be the canonical form. */
        if (r->failed || gap < (i == 0 ? 1U : 2U) || gap > UINT32_MAX || more > UINT32_MAX) {
            return ERR_CORRUPT;
        }
        uint64_t first = end + gap;
        end = first + more;
        if (end > UINT32_MAX) {
            return ERR_CORRUPT;
        }
        push(s, (uint32_t)first, (uint32_t)end);
    }
    return reader_left(r) == 0 ? OK : ERR_CORRUPT;
}

enum err uidset_decode(struct uidset *s, struct slice in, size_t runs_max)
{
    struct reader r = reader_make(in);
    struct uidset out;
    uint64_t n = reader_varint(&r);
    if (r.failed) {
        return ERR_CORRUPT;
    }
    if (n > runs_max) {
        return ERR_LIMIT;
    }
    /* A run takes two bytes at least: nothing is allocated for a count that the input cannot hold. */
    if (n > reader_left(&r) / 2) {
        return ERR_CORRUPT;
    }
    uidset_init(&out);
    enum err e = reserve(&out, (size_t)n);
    if (e == OK) {
        e = decode_runs(&out, &r, n);
    }
    if (e != OK) {
        uidset_fini(&out);
        return e;
    }
    replace(s, &out);
    return OK;
}
