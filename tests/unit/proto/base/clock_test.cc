#include "proto/base/clock.h"

#include <gtest/gtest.h>

#include <ctime>

TEST(Clock, WallTimeIsTheEpochsMilliseconds)
{
    uint64_t before = static_cast<uint64_t>(time(nullptr)) * 1000;
    uint64_t now = clock_wall_ms(clock_system());
    EXPECT_GE(now + 1000, before);
    EXPECT_LE(now, before + 10000);
}

TEST(Clock, MonotonicClocksNeverGoBack)
{
    uint64_t mono = 0;
    uint64_t perf = 0;
    for (int i = 0; i < 10000; i++) {
        uint64_t m = clock_mono_ms(clock_system());
        uint64_t p = clock_perf_us();
        ASSERT_GE(m, mono);
        ASSERT_GE(p, perf);
        mono = m;
        perf = p;
    }
    struct timespec ts;
    ASSERT_EQ(clock_gettime(CLOCK_BOOTTIME, &ts), 0);
    EXPECT_NEAR(static_cast<double>(mono), static_cast<double>(ts.tv_sec) * 1000, 5000);
}

TEST(CivilTime, MatchesTheStandardLibraryOnEveryDay)
{
    for (uint64_t day = 0; day < 2932897; day += day < 60000 ? 1 : 97) {
        uint64_t ms = day * 86400000 + day * 7919 % 86400000;
        time_t seconds = static_cast<time_t>(ms / 1000);
        struct tm tm;
        ASSERT_NE(gmtime_r(&seconds, &tm), nullptr);
        struct civil_time t = civil_time_from_ms(ms);
        ASSERT_EQ(t.year, static_cast<uint32_t>(tm.tm_year + 1900));
        ASSERT_EQ(t.month, static_cast<uint32_t>(tm.tm_mon + 1));
        ASSERT_EQ(t.day, static_cast<uint32_t>(tm.tm_mday));
        ASSERT_EQ(t.hour, static_cast<uint32_t>(tm.tm_hour));
        ASSERT_EQ(t.minute, static_cast<uint32_t>(tm.tm_min));
        ASSERT_EQ(t.second, static_cast<uint32_t>(tm.tm_sec));
        ASSERT_EQ(t.weekday, static_cast<uint32_t>(tm.tm_wday));
        ASSERT_EQ(t.ms, ms % 1000);
    }
}

TEST(CivilTime, StopsAtTheEndOfYear9999)
{
    struct civil_time t = civil_time_from_ms(UINT64_MAX);
    EXPECT_EQ(t.year, 9999u);
    EXPECT_EQ(t.month, 12u);
    EXPECT_EQ(t.day, 31u);
    EXPECT_EQ(t.ms, 999u);
}
