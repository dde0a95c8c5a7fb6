#include "proto/base/clock.h"

#include <time.h>

#include "proto/base/assert.h"

static uint64_t read_ns(clockid_t id)
{
    struct timespec ts;
    int rc = clock_gettime(id, &ts);
    ASSERT(rc == 0);
    return (uint64_t)ts.tv_sec * 1000000000U + (uint64_t)ts.tv_nsec;
}

static uint64_t system_wall_ms(struct clock *c)
{
    (void)c;
    return read_ns(CLOCK_REALTIME) / 1000000U;
}

static uint64_t system_mono_ms(struct clock *c)
{
    (void)c;
    return read_ns(CLOCK_BOOTTIME) / 1000000U;
}

struct clock *clock_system(void)
{
    static struct clock system_clock = {.wall_ms = system_wall_ms, .mono_ms = system_mono_ms};
    return &system_clock;
}

uint64_t clock_perf_us(void)
{
    return read_ns(CLOCK_MONOTONIC) / 1000U;
}
