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

/* Howard Hinnant's days-to-civil: years start in March, so that the leap day comes last. */
static void set_date(struct civil_time *t, uint64_t days)
{
    uint64_t z = days + 719468;
    uint32_t era = (uint32_t)(z / 146097);
    uint32_t doe = (uint32_t)(z % 146097);
    uint32_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    uint32_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    uint32_t mp = (5 * doy + 2) / 153;
    t->month = mp < 10 ? mp + 3 : mp - 9;
    t->day = doy - (153 * mp + 2) / 5 + 1;
    t->year = era * 400 + yoe + (t->month <= 2 ? 1 : 0);
    t->weekday = (uint32_t)((days + 4) % 7);
}

struct civil_time civil_time_from_ms(uint64_t wall_ms)
{
    struct civil_time t;
    uint64_t end_of_9999_ms = 253402300799999;
    if (wall_ms > end_of_9999_ms) {
        wall_ms = end_of_9999_ms;
    }
    uint32_t in_day_ms = (uint32_t)(wall_ms % 86400000);
    set_date(&t, wall_ms / 86400000);
    t.hour = in_day_ms / 3600000;
    t.minute = in_day_ms / 60000 % 60;
    t.second = in_day_ms / 1000 % 60;
    t.ms = in_day_ms % 1000;
    return t;
}
