/* A histogram of microseconds: 64 buckets for each power of two, so that a percentile is at most 1.6 % off. */
#ifndef BENCH_LOAD_HIST_H
#define BENCH_LOAD_HIST_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { HIST_SUB = 64, HIST_BUCKETS = 64 * HIST_SUB };

struct hist {
    uint64_t n;
    uint64_t max_us;
    uint32_t buckets[HIST_BUCKETS];
};

void hist_add(struct hist *h, uint64_t us);
/* The value that the share `permille` of all lies at or below, in milliseconds; 0 when empty. */
double hist_ms(const struct hist *h, uint32_t permille);

#ifdef __cplusplus
}
#endif

#endif /* BENCH_LOAD_HIST_H */
