#include "proto/base/fault.h"

#include <gtest/gtest.h>

namespace
{

class Fault : public testing::Test
{
  protected:
    void TearDown() override
    {
        EXPECT_EQ(fault_arm(nullptr), OK);
    }
};

TEST_F(Fault, NothingArmedNothingFails)
{
    ASSERT_EQ(fault_arm(nullptr), OK);
    EXPECT_EQ(fault_hit(FAULT_LOG_BEFORE), OK);
    fault_pass(FAULT_COMMIT_AFTER);
}

TEST_F(Fault, AnErrorComesAtTheNthPassageOfItsPlaceAndOnlyThen)
{
    ASSERT_EQ(fault_arm("commit.before:3:error"), OK);
    EXPECT_EQ(fault_hit(FAULT_COMMIT_BEFORE), OK);
    EXPECT_EQ(fault_hit(FAULT_LOG_BEFORE), OK);
    EXPECT_EQ(fault_hit(FAULT_COMMIT_BEFORE), OK);
    EXPECT_EQ(fault_hit(FAULT_COMMIT_BEFORE), ERR_FULL);
    for (int i = 0; i < 10; i++) {
        EXPECT_EQ(fault_hit(FAULT_COMMIT_BEFORE), OK);
    }
}

TEST_F(Fault, AKillIsSigkillAtTheNthPassage)
{
    EXPECT_EXIT(
        {
            if (fault_arm("reply.after:2") != OK) {
                _exit(1);
            }
            fault_pass(FAULT_REPLY_AFTER);
            fprintf(stderr, "once");
            fault_pass(FAULT_REPLY_AFTER);
            _exit(2);
        },
        testing::KilledBySignal(SIGKILL), "once");
}

TEST_F(Fault, WhatCannotHappenIsRefusedAndNothingIsArmed)
{
    for (const char *spec : {"", "commit.before", "commit.before:", "commit.before:0", "commit.before:x", "nowhere:1",
                             "commit.before:1:", "commit.before:1:burn", "commit.before:1:kill:2", "commit:1",
                             "reply.after:1:error", ":1"}) {
        ASSERT_EQ(fault_arm("log.after:1:error"), OK);
        EXPECT_EQ(fault_arm(spec), ERR_INVAL) << spec;
        EXPECT_EQ(fault_hit(FAULT_LOG_AFTER), OK) << spec;
    }
}

} // namespace
