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

/* A moment in UTC on the Gregorian calendar. */
struct civil_time {
    uint32_t year;
    uint32_t month; /* 1..12 */
    uint32_t day;   /* 1..31 */
    uint32_t hour;
    uint32_t minute;
    uint32_t second;
    uint32_t ms;
    uint32_t weekday; /* 0 = Sunday */
};

/* Pure, unlike gmtime_r, which may read files and wants more stack than a fiber has to spare. Later than year 9999
 * gives its last millisecond. */
struct civil_time civil_time_from_ms(uint64_t wall_ms);

/* Microseconds of CLOCK_MONOTONIC for latency metrics only (never for decisions). */
uint64_t clock_perf_us(void);

#ifdef __cplusplus
}
#endif

#endif /* PROTO_BASE_CLOCK_H */
