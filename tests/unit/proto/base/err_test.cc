#include "proto/base/err.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

TEST(Err, EveryNumberOnTheWireGivesItsErrorBack)
{
    for (unsigned n = 0; n <= ERR_MAX; n++) {
        EXPECT_EQ((unsigned)err_from_wire(n), n);
    }
}

TEST(Err, UnknownNumbersAreCorrupt)
{
    EXPECT_EQ(err_from_wire(ERR_MAX + 1), ERR_CORRUPT);
    EXPECT_EQ(err_from_wire(0xffffffffU), ERR_CORRUPT);
}

TEST(Err, NamesAndTextsAreDistinct)
{
    std::set<std::string> names;
    std::set<std::string> texts;
    for (unsigned n = 0; n <= ERR_MAX; n++) {
        names.insert(err_name((enum err)n));
        texts.insert(err_text((enum err)n));
    }
    EXPECT_EQ(names.size(), ERR_MAX + 1u);
    EXPECT_EQ(texts.size(), ERR_MAX + 1u);
    EXPECT_STREQ(err_name(ERR_QUOTA), "ERR_QUOTA");
    EXPECT_STREQ(err_text(ERR_QUOTA), "over quota");
}
