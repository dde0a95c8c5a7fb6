/* The longest time in which nothing was completed: what a client without luck sees of a failure. */
#ifndef BENCH_LOAD_GAP_H
#define BENCH_LOAD_GAP_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct gap {
    uint64_t last_us;
    uint64_t max_us;
};

void gap_begin(struct gap *g, uint64_t now_us);
/* Something was completed, or the measurement ends: both end a gap. */
void gap_end(struct gap *g, uint64_t now_us);

#ifdef __cplusplus
}
#endif

#endif /* BENCH_LOAD_GAP_H */
