/* Micro-benchmarks of the hot paths: run/<name>.c each, described by a struct micro_bench, found by the build. What
 * they need is made before and outside of what is measured. One thread, no sockets, no randomness but seeded: the same
 * instructions each time. */
#ifndef BENCH_MICRO_MICRO_H
#define BENCH_MICRO_MICRO_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/base/err.h"

#ifdef __cplusplus
extern "C" {
#endif

struct micro_bench {
    const char *name;
    const char *op;      /* what one operation is */
    uint64_t iterations; /* that are counted; by the clock a thousand times as many may be wanted */
    void *(*open)(void);
    void (*run)(void *state); /* one operation */
    void (*close)(void *state);
};

/* MICRO(mime_plain) = {...} in run/mime_plain.c */
#define MICRO(n)                                                                                                       \
    extern const struct micro_bench micro_bench_##n;                                                                   \
    const struct micro_bench micro_bench_##n

extern const struct micro_bench *const micro_bench_table[];

/* Ends the program when it does not hold: a benchmark of what failed would measure nothing. */
void micro_must_at(bool holds, const char *file, int line);
#define MICRO_MUST(x) micro_must_at((x), __FILE__, __LINE__)
#define MICRO_OK(e) MICRO_MUST((e) == OK)

#ifdef __cplusplus
}
#endif

#endif /* BENCH_MICRO_MICRO_H */
