#include "proto/base/metrics.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "proto/base/mem.h"

#define BUCKET_US_MIN 32

static struct metric *registry; /* atomic; newest first; only ever grows */

void metric_register(struct metric *m)
{
    if (__atomic_load_n(&m->registered, __ATOMIC_RELAXED) != 0 ||
        __atomic_exchange_n(&m->registered, 1, __ATOMIC_RELAXED) != 0) {
        return;
    }
    struct metric *head = __atomic_load_n(&registry, __ATOMIC_RELAXED);
    do {
        m->next = head;
    } while (!__atomic_compare_exchange_n(&registry, &head, m, true, __ATOMIC_RELEASE, __ATOMIC_RELAXED));
}

void metric_add(struct metric *m, int64_t delta)
{
    metric_register(m);
    (void)__atomic_fetch_add(&m->value, delta, __ATOMIC_RELAXED);
}

void metric_inc(struct metric *m)
{
    metric_add(m, 1);
}

void metric_set(struct metric *m, int64_t value)
{
    metric_register(m);
    __atomic_store_n(&m->value, value, __ATOMIC_RELAXED);
}

/* Index of the first bucket whose bound is not less; METRIC_BUCKETS when only +Inf holds it. */
static size_t bucket_for(uint64_t us)
{
    size_t i = 0;
    while (i < METRIC_BUCKETS && us > (uint64_t)BUCKET_US_MIN << i) {
        i++;
    }
    return i;
}

void metric_observe_us(struct metric *m, uint64_t us)
{
    size_t i = bucket_for(us);
    metric_register(m);
    if (i < METRIC_BUCKETS) {
        (void)__atomic_fetch_add(&m->buckets[i], 1, __ATOMIC_RELAXED);
    }
    (void)__atomic_fetch_add(&m->sum_us, us, __ATOMIC_RELAXED);
    (void)__atomic_fetch_add(&m->count, 1, __ATOMIC_RELAXED);
}

static const char *type_name(enum metric_type type)
{
    switch (type) {
    case METRIC_TYPE_COUNTER:
        return "counter";
    case METRIC_TYPE_GAUGE:
        return "gauge";
    case METRIC_TYPE_HISTOGRAM:
        return "histogram";
    }
    return "untyped";
}

static enum err render_head(const struct metric *m, struct buf *out)
{
    return buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", m->name, m->help, m->name, type_name(m->type));
}

static enum err render_value(struct metric *m, struct buf *out)
{
    int64_t value = __atomic_load_n(&m->value, __ATOMIC_RELAXED);
    const char *labels = m->labels;
    return buf_printf(out, "%s%s%s%s %" PRId64 "\n", m->name, labels == NULL ? "" : "{", labels == NULL ? "" : labels,
                      labels == NULL ? "" : "}", value);
}

static enum err render_bucket(const struct metric *m, const char *le, uint64_t n, struct buf *out)
{
    const char *labels = m->labels;
    return buf_printf(out, "%s_bucket{%s%sle=\"%s\"} %" PRIu64 "\n", m->name, labels == NULL ? "" : labels,
                      labels == NULL ? "" : ",", le, n);
}

static enum err render_total(const struct metric *m, uint64_t count, struct buf *out)
{
    uint64_t sum_us = __atomic_load_n(&m->sum_us, __ATOMIC_RELAXED);
    const char *open = m->labels == NULL ? "" : "{";
    const char *labels = m->labels == NULL ? "" : m->labels;
    const char *close = m->labels == NULL ? "" : "}";
    return buf_printf(out, "%s_sum%s%s%s %" PRIu64 ".%06" PRIu64 "\n%s_count%s%s%s %" PRIu64 "\n", m->name, open,
                      labels, close, sum_us / 1000000, sum_us % 1000000, m->name, open, labels, close, count);
}

static enum err render_histogram(const struct metric *m, struct buf *out)
{
    uint64_t below = 0;
    for (size_t i = 0; i < METRIC_BUCKETS; i++) {
        uint64_t bound_us = (uint64_t)BUCKET_US_MIN << i;
        char le[48];
        (void)snprintf(le, sizeof(le), "%" PRIu64 ".%06" PRIu64, bound_us / 1000000, bound_us % 1000000);
        below += __atomic_load_n(&m->buckets[i], __ATOMIC_RELAXED);
        enum err e = render_bucket(m, le, below, out);
        if (e != OK) {
            return e;
        }
    }
    /* An update in flight may have reached its bucket only; +Inf must not fall below the others. */
    uint64_t count = __atomic_load_n(&m->count, __ATOMIC_RELAXED);
    count = count < below ? below : count;
    enum err e = render_bucket(m, "+Inf", count, out);
    return e == OK ? render_total(m, count, out) : e;
}

static int by_name_then_labels(const void *a, const void *b)
{
    const struct metric *x = *(struct metric *const *)a;
    const struct metric *y = *(struct metric *const *)b;
    int order = strcmp(x->name, y->name);
    if (order != 0) {
        return order;
    }
    return strcmp(x->labels == NULL ? "" : x->labels, y->labels == NULL ? "" : y->labels);
}

/* The series of one name must stand together under one head. */
static enum err render_sorted(struct metric **all, size_t n, struct buf *out)
{
    for (size_t i = 0; i < n; i++) {
        enum err e = OK;
        if (i == 0 || strcmp(all[i]->name, all[i - 1]->name) != 0) {
            e = render_head(all[i], out);
        }
        if (e == OK) {
            e = all[i]->type == METRIC_TYPE_HISTOGRAM ? render_histogram(all[i], out) : render_value(all[i], out);
        }
        if (e != OK) {
            return e;
        }
    }
    return OK;
}

enum err metrics_render(struct buf *out)
{
    struct metric *head = __atomic_load_n(&registry, __ATOMIC_ACQUIRE);
    size_t before = out->len;
    size_t n = 0;
    for (struct metric *m = head; m != NULL; m = m->next) {
        n++;
    }
    struct metric **all = mem_calloc(n, sizeof(struct metric *));
    if (all == NULL) {
        return ERR_NOMEM;
    }
    size_t i = 0;
    for (struct metric *m = head; m != NULL; m = m->next) {
        all[i] = m;
        i++;
    }
    qsort(all, n, sizeof(struct metric *), by_name_then_labels);
    enum err e = render_sorted(all, n, out);
    if (e != OK) {
        buf_truncate(out, before);
    }
    mem_free(all);
    return e;
}
