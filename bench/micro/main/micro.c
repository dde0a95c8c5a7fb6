/* micro                            names and what their operations are
 * micro NAME [--iterations N]      runs one, prints nanoseconds an operation
 * micro --smoke                    runs each once, to see that it works
 * micro --build                    what decides over the instructions: compiler and machine
 *
 * The measured loop is a function of its own, so that callgrind can count it alone (--toggle-collect=micro_measured).
 */
#include "bench/micro/micro.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/clock.h"
#include "proto/base/slice.h"

#define WARM_UP 2

/* In micro_count only. */
extern uint64_t micro_allocations __attribute__((weak));

void micro_must_at(bool holds, const char *file, int line)
{
    if (!holds) {
        fprintf(stderr, "micro: %s:%d: does not hold\n", file, line);
        exit(1);
    }
}

void micro_measured(const struct micro_bench *b, void *state, uint64_t n);

__attribute__((noinline)) void micro_measured(const struct micro_bench *b, void *state, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++) {
        b->run(state);
    }
}

static void run(const struct micro_bench *b, uint64_t n)
{
    void *state = b->open();
    for (int i = 0; i < WARM_UP; i++) {
        b->run(state);
    }
    uint64_t before = &micro_allocations != NULL ? micro_allocations : 0;
    uint64_t start = clock_perf_us();
    micro_measured(b, state, n);
    uint64_t us = clock_perf_us() - start;
    printf("%s: %" PRIu64 " operations, %.1f ns each", b->name, n, (double)us * 1000 / (double)n);
    if (&micro_allocations != NULL) {
        printf(", %" PRIu64 " allocations in all", micro_allocations - before);
    }
    putchar('\n');
    b->close(state);
}

static void list(void)
{
    for (const struct micro_bench *const *b = micro_bench_table; *b != NULL; b++) {
        printf("%s %" PRIu64 " %s\n", (*b)->name, (*b)->iterations, (*b)->op);
    }
}

static void smoke(void)
{
    for (const struct micro_bench *const *b = micro_bench_table; *b != NULL; b++) {
        run(*b, 1);
    }
}

static void build(void)
{
#if defined(__x86_64__)
    const char *machine = "x86_64";
#elif defined(__aarch64__)
    const char *machine = "aarch64";
#else
    const char *machine = "other";
#endif
#if defined(__clang__)
    printf("clang-%d %s\n", __clang_major__, machine);
#else
    printf("gcc-%d %s\n", __GNUC__, machine);
#endif
}

static const struct micro_bench *find(const char *name)
{
    for (const struct micro_bench *const *b = micro_bench_table; *b != NULL; b++) {
        if (strcmp((*b)->name, name) == 0) {
            return *b;
        }
    }
    return NULL;
}

int main(int argc, char **argv)
{
    if (argc == 1) {
        list();
        return 0;
    }
    if (argc == 2 && strcmp(argv[1], "--build") == 0) {
        build();
        return 0;
    }
    if (argc == 2 && strcmp(argv[1], "--smoke") == 0) {
        smoke();
        return 0;
    }
    const struct micro_bench *b = find(argv[1]);
    uint64_t n = b != NULL ? b->iterations : 0;
    bool good = b != NULL && (argc == 2 || (argc == 4 && strcmp(argv[2], "--iterations") == 0 &&
                                            slice_u64(slice_str(argv[3]), &n) == OK && n > 0));
    if (!good) {
        fprintf(stderr, "usage: micro [NAME [--iterations N]]\n");
        return 2;
    }
    run(b, n);
    return 0;
}
