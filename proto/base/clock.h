/* Time as an argument: everything deterministic takes a struct clock (or a value read from it by its caller), so that
 * the simulator owns time. Only clock_system reads the operating system's clocks. */
#ifndef PROTO_BASE_CLOCK_H
#define PROTO_BASE_CLOCK_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct clock {
    /* Milliseconds since the Unix epoch; may jump. */
    uint64_t (*wall_ms)(struct clock *c);
    /* Milliseconds of CLOCK_BOOTTIME: never goes back, counts suspend. */
    uint64_t (*mono_ms)(struct clock *c);
};

/* The real clocks; thread-safe. */
struct clock *clock_system(void);

static inline uint64_t clock_wall_ms(struct clock *c)
{
    return c->wall_ms(c);
}

static inline uint64_t clock_mono_ms(struct clock *c)
{
    return c->mono_ms(c);
}

/* Microseconds of CLOCK_MONOTONIC for latency metrics only (never for decisions). */
uint64_t clock_perf_us(void);

#ifdef __cplusplus
}
#endif

#endif /* PROTO_BASE_CLOCK_H */
