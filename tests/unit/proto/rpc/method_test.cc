#include "proto/rpc/method.h"

#include <gtest/gtest.h>

#include <protobuf-c/protobuf-c.h>

#include <cstring>
#include <string>

namespace
{

void check_row(enum method m, const char *name, unsigned number, int write, const char *req, const char *rep)
{
    const struct method_info *i = method_info(number);
    ASSERT_NE(nullptr, i) << name;
    EXPECT_EQ(m, i->method);
    EXPECT_STREQ(name, i->name);
    EXPECT_EQ(write, i->write);
    ASSERT_NE(nullptr, i->request) << name;
    EXPECT_STREQ(req, i->request->short_name);
    if (strcmp(rep, "NONE") == 0) {
        EXPECT_EQ(nullptr, i->reply) << name;
    } else {
        ASSERT_NE(nullptr, i->reply) << name;
        EXPECT_STREQ(rep, i->reply->short_name);
    }
}

} // namespace

TEST(Method, EveryRowNamesTheMessagesOfTheList)
{
#define CHECK_WRITE(NAME, name, number, req, rep) check_row(METHOD_##NAME, #name, number, 1, #req, #rep);
#define CHECK_READ(NAME, name, number, req, rep) check_row(METHOD_##NAME, #name, number, 0, #req, #rep);
    METHOD_WRITE_LIST(CHECK_WRITE)
    METHOD_READ_LIST(CHECK_READ)
}

TEST(Method, WritesAreBelowTheBorderAndReadsAbove)
{
    for (unsigned n = 0; n <= METHOD_MAX; n++) {
        const struct method_info *i = method_info(n);
        if (i != nullptr) {
            EXPECT_EQ(n <= METHOD_WRITE_MAX, i->write != 0) << n;
        }
    }
}

TEST(Method, NumbersThatNobodyHasGiveNull)
{
    EXPECT_EQ(nullptr, method_info(0));
    EXPECT_EQ(nullptr, method_info(127));
    EXPECT_EQ(nullptr, method_info(METHOD_MAX + 1));
    EXPECT_EQ(nullptr, method_info(65535));
    EXPECT_EQ(nullptr, method_info(UINT32_MAX));
}
