#include "proto/base/slice.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

TEST(Slice, ComparesBytesAndLength)
{
    EXPECT_TRUE(slice_eq(slice_make(nullptr, 0), slice_str("")));
    EXPECT_TRUE(slice_eq_str(slice_make("abc", 2), "ab"));
    EXPECT_FALSE(slice_eq_str(slice_str("abc"), "ab"));
    EXPECT_FALSE(slice_eq_str(slice_str("ABC"), "abc"));
}

TEST(Slice, SubClampsToTheSlice)
{
    struct slice s = slice_str("abcdef");
    EXPECT_TRUE(slice_eq_str(slice_sub(s, 1, 3), "bc"));
    EXPECT_TRUE(slice_eq_str(slice_sub(s, 4, 99), "ef"));
    EXPECT_EQ(slice_sub(s, 5, 2).n, 0u);
    EXPECT_EQ(slice_sub(s, 99, 100).n, 0u);
    EXPECT_EQ(slice_sub(slice_make(nullptr, 0), 0, 4).n, 0u);
}

TEST(Slice, IgnoresCaseInAsciiOnly)
{
    EXPECT_TRUE(slice_ieq_str(slice_str("InBoX"), "iNbOx"));
    EXPECT_FALSE(slice_ieq_str(slice_str("inbo"), "inbox"));
    EXPECT_FALSE(slice_ieq_str(slice_str("inboxes"), "inbox"));
    EXPECT_FALSE(slice_ieq_str(slice_make("a\0b", 3), "a"));
    EXPECT_FALSE(slice_ieq_str(slice_make("a\0", 2), "a"));
    EXPECT_TRUE(slice_ieq_str(slice_str(""), ""));
    EXPECT_FALSE(slice_ieq_str(slice_str(""), "a"));
    EXPECT_TRUE(slice_ieq_str(slice_make(nullptr, 0), nullptr));
    EXPECT_FALSE(slice_ieq_str(slice_str("a"), nullptr));
    EXPECT_FALSE(slice_ieq_str(slice_str("\xc3\x84"), "\xc3\xa4"));
    EXPECT_FALSE(slice_ieq_str(slice_str("@["), "`{"));
    EXPECT_TRUE(slice_istarts_with(slice_str("MAIL FROM:<x>"), "mail from:"));
    EXPECT_FALSE(slice_istarts_with(slice_str("MAI"), "mail"));
    EXPECT_TRUE(slice_istarts_with(slice_make(nullptr, 0), ""));
}

TEST(Slice, OrdersAsMemoryWithLengthAsTheTieBreaker)
{
    std::vector<std::string> words = {"", "a", "ab", "b", "\x7f", "\x80", "\xff", std::string("a\0", 2)};
    std::sort(words.begin(), words.end());
    for (size_t i = 0; i < words.size(); i++) {
        for (size_t k = 0; k < words.size(); k++) {
            int order =
                slice_cmp(slice_make(words[i].data(), words[i].size()), slice_make(words[k].data(), words[k].size()));
            EXPECT_EQ(i < k, order < 0);
            EXPECT_EQ(i == k, order == 0);
        }
    }
    EXPECT_EQ(slice_cmp(slice_make(nullptr, 0), slice_str("")), 0);
}

TEST(Slice, FindsTheFirstByteOrTheEnd)
{
    EXPECT_EQ(slice_find(slice_str("a:b:c"), ':'), 1u);
    EXPECT_EQ(slice_find(slice_str("abc"), ':'), 3u);
    EXPECT_EQ(slice_find(slice_make(nullptr, 0), ':'), 0u);
}

TEST(Slice, TrimsBlanksAtBothEnds)
{
    EXPECT_TRUE(slice_eq_str(slice_trim(slice_str(" \t a b\r\n")), "a b"));
    EXPECT_EQ(slice_trim(slice_str(" \r\n\t")).n, 0u);
    EXPECT_EQ(slice_trim(slice_make(nullptr, 0)).n, 0u);
    EXPECT_TRUE(slice_eq_str(slice_trim(slice_str("\va")), "\va"));
}

TEST(Slice, ReadsDecimalNumbersStrictly)
{
    uint64_t v = 77;
    EXPECT_EQ(slice_u64(slice_str("18446744073709551615"), &v), OK);
    EXPECT_EQ(v, UINT64_MAX);
    EXPECT_EQ(slice_u64(slice_str("007"), &v), OK);
    EXPECT_EQ(v, 7u);
    for (const char *bad : {"", "-1", "+1", " 1", "1 ", "0x10", "1a", "18446744073709551616", "99999999999999999999",
                            "184467440737095516150"}) {
        v = 77;
        EXPECT_EQ(slice_u64(slice_str(bad), &v), ERR_INVAL) << bad;
        EXPECT_EQ(v, 77u) << bad;
    }
}
