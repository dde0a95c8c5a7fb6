#include "replication/copy_rate.h"

#include <gtest/gtest.h>

namespace
{

constexpr uint64_t RATE = 10 << 20;
constexpr size_t BATCH = 192 * 1024;

/* Bytes that go in so many milliseconds when the bucket is asked every `step` of them. */
uint64_t sent(struct copy_rate *r, uint64_t from_ms, uint64_t ms, uint64_t step)
{
    uint64_t all = 0;
    for (uint64_t now = from_ms; now < from_ms + ms; now += step) {
        while (copy_rate_open(r, now)) {
            copy_rate_take(r, BATCH);
            all += BATCH;
        }
    }
    return all;
}

TEST(CopyRate, OverTimeWhatGoesIsTheRate)
{
    struct copy_rate r;
    copy_rate_init(&r, RATE);
    sent(&r, 1000, 10, 1); /* the first burst */
    for (uint64_t step : {1, 7, 50}) {
        struct copy_rate one = r;
        uint64_t n = sent(&one, 1010, 10000, step);
        EXPECT_NEAR(static_cast<double>(n), 10.0 * RATE, 2.0 * BATCH + static_cast<double>(RATE * step / 1000)) << step;
    }
}

TEST(CopyRate, AfterAPauseNoMoreGoesAtOnceThanABurst)
{
    struct copy_rate r;
    copy_rate_init(&r, UINT64_C(64) << 30);
    sent(&r, 1000, 1, 1);
    uint64_t n = 0;
    for (; copy_rate_open(&r, 3600000); n += BATCH) {
        copy_rate_take(&r, BATCH);
    }
    EXPECT_GE(n, static_cast<uint64_t>(COPY_RATE_BURST_BYTES));
    EXPECT_LT(n, COPY_RATE_BURST_BYTES + BATCH);
}

TEST(CopyRate, SaysHowLongToWait)
{
    struct copy_rate r;
    copy_rate_init(&r, 256 * 1024);
    copy_rate_take(&r, COPY_RATE_BURST_BYTES + BATCH);
    ASSERT_FALSE(copy_rate_open(&r, 5));
    uint64_t wait = copy_rate_wait_ms(&r, 5);
    EXPECT_NEAR(static_cast<double>(wait), 745.0, 10.0); /* 192 KiB, less what the bucket got since 0 */
    EXPECT_FALSE(copy_rate_open(&r, 5 + wait - 2));
    EXPECT_TRUE(copy_rate_open(&r, 5 + wait));
    EXPECT_EQ(copy_rate_wait_ms(&r, 5 + wait), 0u);
}

TEST(CopyRate, WithoutABoundItIsAlwaysOpen)
{
    struct copy_rate r;
    copy_rate_init(&r, 0);
    for (int i = 0; i < 1000; i++) {
        ASSERT_TRUE(copy_rate_open(&r, 1));
        copy_rate_take(&r, BATCH);
    }
    EXPECT_EQ(copy_rate_wait_ms(&r, 1), 0u);
}

TEST(CopyRate, AClockThatStandsStillGivesNothing)
{
    struct copy_rate r;
    copy_rate_init(&r, RATE);
    sent(&r, 1000, 1, 1);
    EXPECT_EQ(sent(&r, 1000, 1, 1), 0u);
    EXPECT_EQ(sent(&r, 900, 1, 1), 0u);
}

} // namespace
