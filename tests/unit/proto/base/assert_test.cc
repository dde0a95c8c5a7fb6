#include "proto/base/assert.h"

#include <gtest/gtest.h>

TEST(AssertDeathTest, AFailureLogsTheExpressionAndAborts)
{
    EXPECT_DEATH(ASSERT(1 + 1 == 3), "assert.failed.*1 \\+ 1 == 3.*assert_test.cc");
    EXPECT_DEATH(UNREACHABLE(), "unreachable");
}

TEST(Assert, ATrueConditionIsEvaluatedOnce)
{
    int n = 0;
    ASSERT(++n == 1);
    EXPECT_EQ(n, 1);
}
