#include "bench/load/hist.h"

#include <stddef.h>

static size_t bucket_of(uint64_t us)
{
    if (us < HIST_SUB) {
        return (size_t)us;
    }
    unsigned shift = 63U - (unsigned)__builtin_clzll(us) - 6U;
    return (size_t)(shift + 1) * HIST_SUB + (size_t)((us >> shift) - HIST_SUB);
}

static uint64_t bucket_us(size_t b)
{
    if (b < HIST_SUB) {
        return b;
    }
    unsigned shift = (unsigned)(b / HIST_SUB) - 1;
    return ((uint64_t)(HIST_SUB + b % HIST_SUB) << shift) + ((1ULL << shift) >> 1);
}

void hist_add(struct hist *h, uint64_t us)
{
    size_t b = bucket_of(us);
    h->buckets[b < HIST_BUCKETS ? b : HIST_BUCKETS - 1]++;
    h->n++;
    if (us > h->max_us) {
        h->max_us = us;
    }
}

double hist_ms(const struct hist *h, uint32_t permille)
{
    uint64_t rank = (h->n * permille + 999) / 1000;
    uint64_t seen = 0;
    for (size_t b = 0; b < HIST_BUCKETS && h->n > 0; b++) {
        seen += h->buckets[b];
        if (seen >= rank) {
            uint64_t us = bucket_us(b);
            return (double)(us < h->max_us ? us : h->max_us) / 1000.0;
        }
    }
    return 0;
}
