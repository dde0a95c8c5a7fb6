#include "program/ctl_time.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <ctime>

namespace
{

constexpr uint64_t kNow = UINT64_C(1764500000000); /* 2025-11-30 10:53:20 UTC */

class CtlTime : public ::testing::Test
{
  protected:
    void SetUp() override
    {
        setenv("TZ", "UTC-2", 1); /* two hours east */
        tzset();
    }
    void TearDown() override
    {
        unsetenv("TZ");
        tzset();
    }

    static uint64_t at(const char *text)
    {
        uint64_t ms = 0;
        EXPECT_EQ(OK, ctl_time_parse(text, kNow, &ms)) << text;
        return ms;
    }
};

TEST_F(CtlTime, points_are_of_this_zone_or_with_a_z_of_utc)
{
    EXPECT_EQ(UINT64_C(1764500000000), at("2025-11-30T10:53:20Z"));
    EXPECT_EQ(UINT64_C(1764500000000), at("2025-11-30T12:53:20"));
    EXPECT_EQ(UINT64_C(1764500000000), at("2025-11-30 12:53:20"));
    EXPECT_EQ(UINT64_C(1764499980000), at("2025-11-30 12:53"));
    EXPECT_EQ(UINT64_C(1764460800000), at("2025-11-30Z"));
    EXPECT_EQ(UINT64_C(1764453600000), at("2025-11-30"));
    EXPECT_EQ(UINT64_C(1764500000000), at("2025-11-30 10:53:20 UTC")) << "as restore tells times";
    EXPECT_EQ(UINT64_C(1764500000000), at("@1764500000"));
    EXPECT_EQ(UINT64_C(1764500000250), at("@1764500000.250"));
}

TEST_F(CtlTime, durations_are_so_long_ago)
{
    EXPECT_EQ(kNow - 7200000, at("2h"));
    EXPECT_EQ(kNow - 3 * UINT64_C(86400000), at("3 d"));
    EXPECT_EQ(kNow, at("0"));
}

TEST_F(CtlTime, what_is_no_time_is_refused_and_leaves_the_result_alone)
{
    for (const char *text :
         {"", "noon", "2025-13-01", "2025-11-30T25:00", "2025-11-30x", "2025-11-30 12:53:20 Z", "12:00", "-2h",
          "2 weeks", "99999999999 d", "1900-01-01", "@", "@1.5", "@99999999999999999999", "@x"}) {
        uint64_t ms = 7;
        EXPECT_EQ(ERR_INVAL, ctl_time_parse(text, kNow, &ms)) << text;
        EXPECT_EQ(7u, ms) << text;
    }
}

TEST_F(CtlTime, is_shown_in_this_zone)
{
    char out[32];
    ctl_time_format(1764500000, out);
    EXPECT_STREQ("2025-11-30 12:53:20", out);
    ctl_time_format(INT64_MAX, out);
    EXPECT_STRNE("", out);
}

} // namespace
