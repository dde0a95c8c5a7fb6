#include "frontend/imap/imap_view.h"

#include <stdlib.h>

#include "proto/base/mem.h"

void imap_view_init(struct imap_view *v)
{
    memset(v, 0, sizeof(*v));
    uidset_init(&v->uids);
    uidset_init(&v->gone);
    uidset_init(&v->recent);
}

void imap_view_fini(struct imap_view *v)
{
    imap_view_own_prune(v, UINT64_MAX);
    mem_free(v->own);
    uidset_fini(&v->uids);
    uidset_fini(&v->gone);
    uidset_fini(&v->recent);
    mem_free(v->keywords.ends);
    imap_view_init(v);
}

uint32_t imap_view_exists(const struct imap_view *v)
{
    return uidset_count(&v->uids);
}

uint32_t imap_view_recent(const struct imap_view *v)
{
    return uidset_count(&v->recent);
}

struct imap_seq imap_view_seq(const struct imap_view *v, struct imap_uid uid)
{
    struct imap_seq seq = {0};
    if (uidset_has(&v->uids, uid.v)) {
        seq.v = uidset_rank(&v->uids, uid.v) + 1;
    }
    return seq;
}

struct imap_uid imap_view_uid(const struct imap_view *v, struct imap_seq seq)
{
    struct imap_uid uid = {seq.v == 0 ? 0 : uidset_at(&v->uids, seq.v - 1)};
    return uid;
}

struct imap_seq imap_view_walk(const struct imap_view *v, struct imap_view_walk *w, struct imap_uid uid)
{
    struct imap_seq seq = {0};
    while (w->run < v->uids.n && v->uids.runs[w->run].last < uid.v) {
        w->run++;
    }
    if (w->run < v->uids.n && v->uids.runs[w->run].first <= uid.v) {
        seq.v = v->uids.runs[w->run].before + (uid.v - v->uids.runs[w->run].first) + 1;
    }
    return seq;
}

static int range_cmp(const void *a, const void *b)
{
    const struct imap_range *x = a;
    const struct imap_range *y = b;
    return x->first < y->first ? -1 : x->first > y->first;
}

/* Adds the UIDs at positions [first, last] (1-based), run by run. */
static enum err add_positions(const struct uidset *uids, uint32_t first, uint32_t last, struct uidset *out)
{
    size_t lo = 0;
    size_t hi = uids->n;
    while (hi - lo > 1) {
        size_t mid = lo + (hi - lo) / 2;
        if (uids->runs[mid].before < first) {
            lo = mid;
        } else {
            hi = mid;
        }
    }
    for (size_t i = lo; i < uids->n && uids->runs[i].before < last; i++) {
        const struct uidset_run *r = &uids->runs[i];
        uint32_t count = r->last - r->first + 1;
        uint32_t a = first > r->before + 1 ? first - r->before - 1 : 0;
        uint32_t b = last - r->before < count ? last - r->before - 1 : count - 1;
        enum err e = uidset_add_range(out, r->first + a, r->first + b);
        if (e != OK) {
            return e;
        }
    }
    return OK;
}

/* Puts a number for "*" and brings each range in order. */
static struct imap_range fixed(struct imap_range r, uint32_t star)
{
    uint32_t a = r.first == 0 ? star : r.first;
    uint32_t b = r.last == 0 ? star : r.last;
    return (struct imap_range){a < b ? a : b, a < b ? b : a};
}

static enum err resolve_seqs(const struct imap_view *v, const struct imap_range *ranges, size_t n, struct uidset *out)
{
    uint32_t exists = imap_view_exists(v);
    for (size_t i = 0; i < n; i++) {
        if (ranges[i].last > exists || ranges[i].first == 0) {
            return ERR_INVAL;
        }
    }
    for (size_t i = 0; i < n; i++) {
        enum err e = add_positions(&v->uids, ranges[i].first, ranges[i].last, out);
        if (e != OK) {
            return e;
        }
    }
    return OK;
}

static enum err resolve_uids(const struct imap_view *v, const struct imap_range *ranges, size_t n, struct uidset *out)
{
    struct uidset named;
    uidset_init(&named);
    enum err e = OK;
    for (size_t i = 0; i < n && e == OK; i++) {
        e = uidset_add_range(&named, ranges[i].first, ranges[i].last);
    }
    if (e == OK) {
        e = uidset_intersect(out, &named, &v->uids);
    }
    uidset_fini(&named);
    return e;
}

enum err imap_view_resolve(const struct imap_view *v, const struct imap_set *set, bool by_uid, struct uidset *out)
{
    uidset_clear(out);
    uint32_t exists = imap_view_exists(v);
    if (exists == 0 && (by_uid || set->star)) {
        return OK; /* "1:*" of an empty mailbox is nothing rather than an error: clients ask it */
    }
    struct imap_range *ranges = mem_calloc(set->n, sizeof(*ranges));
    if (ranges == NULL) {
        return ERR_NOMEM;
    }
    uint32_t star = by_uid ? uidset_max(&v->uids) : exists;
    for (size_t i = 0; i < set->n; i++) {
        ranges[i] = fixed(set->ranges[i], star);
    }
    /* In order, so that each addition is at the end of the set. */
    qsort(ranges, set->n, sizeof(*ranges), range_cmp);
    enum err e = by_uid ? resolve_uids(v, ranges, set->n, out) : resolve_seqs(v, ranges, set->n, out);
    mem_free(ranges);
    return e;
}

enum err imap_view_to_seqs(const struct imap_view *v, const struct uidset *uids, struct uidset *out_seqs)
{
    uidset_clear(out_seqs);
    struct imap_view_walk walk = {0};
    for (size_t i = 0; i < uids->n; i++) {
        struct imap_seq first = imap_view_walk(v, &walk, (struct imap_uid){uids->runs[i].first});
        struct imap_seq last = imap_view_walk(v, &walk, (struct imap_uid){uids->runs[i].last});
        if (first.v == 0 || last.v == 0) {
            return ERR_INVAL;
        }
        enum err e = uidset_add_range(out_seqs, first.v, last.v);
        if (e != OK) {
            return e;
        }
    }
    return OK;
}

enum err imap_view_compact(const struct imap_view *v, const struct uidset *uids, struct uidset *out)
{
    uidset_clear(out);
    size_t i = 0;
    struct imap_view_walk walk = {0};
    while (i < uids->n) {
        uint32_t first = uids->runs[i].first;
        uint32_t last = uids->runs[i].last;
        uint32_t seq = imap_view_walk(v, &walk, (struct imap_uid){last}).v;
        for (i++; i < uids->n; i++) {
            uint32_t next = imap_view_walk(v, &walk, (struct imap_uid){uids->runs[i].first}).v;
            if (seq == 0 || next != seq + 1) {
                break;
            }
            seq += 1 + (uids->runs[i].last - uids->runs[i].first);
            last = uids->runs[i].last;
        }
        enum err e = uidset_add_range(out, first, last);
        if (e != OK) {
            return e;
        }
    }
    return OK;
}

enum err imap_view_add(struct imap_view *v, const struct uidset *new_uids, uint32_t recent_uid)
{
    struct uidset recent;
    uidset_init(&recent);
    enum err e = uidset_copy(&recent, new_uids);
    if (e == OK && recent_uid > 1) {
        e = uidset_remove_range(&recent, 1, recent_uid - 1);
    }
    if (e == OK) {
        e = uidset_union(&v->recent, &recent);
    }
    if (e == OK) {
        e = uidset_union(&v->uids, new_uids);
    }
    uidset_fini(&recent);
    return e;
}

enum err imap_view_vanish(struct imap_view *v, const struct uidset *vanished)
{
    struct uidset ours;
    uidset_init(&ours);
    enum err e = uidset_intersect(&ours, vanished, &v->uids);
    if (e == OK) {
        e = uidset_union(&v->gone, &ours);
    }
    uidset_fini(&ours);
    return e;
}

enum err imap_view_drop_gone(struct imap_view *v)
{
    enum err e = uidset_subtract(&v->uids, &v->gone);
    if (e == OK) {
        e = uidset_subtract(&v->recent, &v->gone);
    }
    if (e == OK) {
        uidset_clear(&v->gone);
    }
    return e;
}

struct slice imap_view_keyword(const struct imap_view *v, uint32_t i)
{
    const struct imap_keywords *k = &v->keywords;
    if (i >= k->n) {
        return slice_make(NULL, 0);
    }
    uint32_t from = i == 0 ? 0 : k->ends[i - 1];
    return slice_make(k->text + from, k->ends[i] - from);
}

static bool same_keywords(const struct imap_view *v, char *const *names, size_t n)
{
    if (v->keywords.n != n) {
        return false;
    }
    for (uint32_t i = 0; i < n; i++) {
        if (!slice_eq_str(imap_view_keyword(v, i), names[i])) {
            return false;
        }
    }
    return true;
}

enum err imap_view_set_keywords(struct imap_view *v, char *const *names, size_t n, bool *out_changed)
{
    n = n > IMAP_KEYWORDS_MAX ? IMAP_KEYWORDS_MAX : n;
    if (same_keywords(v, names, n)) {
        *out_changed = false;
        return OK;
    }
    size_t total = 0;
    for (size_t i = 0; i < n; i++) {
        total += strlen(names[i]);
    }
    uint32_t *ends = total > UINT32_MAX ? NULL : mem_alloc(n * sizeof(*ends) + total);
    if (ends == NULL) {
        return ERR_NOMEM;
    }
    mem_free(v->keywords.ends);
    char *text = (char *)(ends + n);
    v->keywords = (struct imap_keywords){.ends = ends, .text = text, .n = (uint32_t)n};
    uint32_t at = 0;
    for (size_t i = 0; i < n; i++) {
        size_t len = strlen(names[i]);
        memcpy(text + at, names[i], len);
        at += (uint32_t)len;
        v->keywords.ends[i] = at;
    }
    *out_changed = true;
    return OK;
}

static enum err own_reserve(struct imap_view *v)
{
    if (v->n_own == IMAP_OWN_MAX) {
        uidset_fini(&v->own[0].uids);
        memmove(v->own, v->own + 1, (IMAP_OWN_MAX - 1) * sizeof(v->own[0]));
        v->n_own--;
    }
    if (v->n_own < v->own_cap) {
        return OK;
    }
    size_t cap = v->own_cap == 0 ? 4 : v->own_cap * 2;
    struct imap_own *own = mem_realloc(v->own, cap * sizeof(*own));
    if (own == NULL) {
        return ERR_NOMEM;
    }
    v->own = own;
    v->own_cap = cap;
    return OK;
}

enum err imap_view_own_add(struct imap_view *v, uint64_t modseq, const struct uidset *uids)
{
    enum err e = own_reserve(v);
    if (e != OK) {
        return e;
    }
    struct imap_own *o = &v->own[v->n_own];
    o->modseq = modseq;
    uidset_init(&o->uids);
    e = uidset_copy(&o->uids, uids);
    if (e == OK) {
        v->n_own++;
    }
    return e;
}

bool imap_view_own_has(const struct imap_view *v, struct imap_uid uid, uint64_t modseq)
{
    for (size_t i = 0; i < v->n_own; i++) {
        if (v->own[i].modseq == modseq && uidset_has(&v->own[i].uids, uid.v)) {
            return true;
        }
    }
    return false;
}

void imap_view_own_prune(struct imap_view *v, uint64_t modseq)
{
    size_t kept = 0;
    for (size_t i = 0; i < v->n_own; i++) {
        if (v->own[i].modseq <= modseq) {
            uidset_fini(&v->own[i].uids);
        } else {
            v->own[kept++] = v->own[i];
        }
    }
    v->n_own = kept;
}

enum err imap_chunk_next(struct imap_chunks *it, uint32_t max, struct uidset *out, bool *out_more)
{
    uidset_clear(out);
    uint32_t left = max;
    while (left > 0 && it->run < it->set->n) {
        const struct uidset_run *r = &it->set->runs[it->run];
        uint32_t first = it->from > r->first ? it->from : r->first;
        uint32_t last = r->last - first < left ? r->last : first + left - 1;
        enum err e = uidset_add_range(out, first, last);
        if (e != OK) {
            return e;
        }
        left -= last - first + 1;
        it->from = last + 1; /* 0 after 2^32 - 1, when the run ends anyway */
        it->run += last == r->last ? 1 : 0;
    }
    *out_more = out->n > 0;
    return OK;
}
