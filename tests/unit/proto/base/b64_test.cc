#include "proto/base/b64.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

#include "proto/base/mem.h"

namespace
{

struct slice of(const std::string &s)
{
    return slice_make(s.data(), s.size());
}

std::string text(const struct buf *b)
{
    struct slice s = buf_slice(b);
    return s.n == 0 ? std::string() : std::string(reinterpret_cast<const char *>(s.p), s.n);
}

enum err decode(const std::string &in, std::string *out)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    enum err e = b64_decode(&b, of(in));
    *out = text(&b);
    EXPECT_TRUE(e == OK || out->empty());
    buf_fini(&b);
    return e;
}

std::string encode(const std::string &in)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    EXPECT_EQ(b64_encode(&b, of(in)), OK);
    std::string out = text(&b);
    buf_fini(&b);
    return out;
}

} // namespace

TEST(B64, MatchesTheVectorsOfRfc4648)
{
    const char *vectors[][2] = {{"", ""},
                                {"f", "Zg=="},
                                {"fo", "Zm8="},
                                {"foo", "Zm9v"},
                                {"foob", "Zm9vYg=="},
                                {"fooba", "Zm9vYmE="},
                                {"foobar", "Zm9vYmFy"}};
    for (auto &v : vectors) {
        std::string back;
        EXPECT_EQ(encode(v[0]), v[1]);
        EXPECT_EQ(decode(v[1], &back), OK);
        EXPECT_EQ(back, v[0]);
    }
}

TEST(B64, RoundTripsEveryLength)
{
    std::mt19937 random(1);
    for (size_t n = 0; n < 200; n++) {
        std::string in(n, '\0');
        for (auto &c : in) {
            c = static_cast<char>(random());
        }
        std::string back;
        ASSERT_EQ(decode(encode(in), &back), OK);
        ASSERT_EQ(back, in);
    }
}

TEST(B64, WhatDecodesIsExactlyWhatEncodes)
{
    /* Every accepted text is canonical: all four-character texts over an alphabet with the traps in it. */
    const std::string alphabet = "AQgw/+=_- \n9";
    std::string in(4, 'A');
    int accepted = 0;
    for (char a : alphabet) {
        for (char b : alphabet) {
            for (char c : alphabet) {
                for (char d : alphabet) {
                    std::string out;
                    in = {a, b, c, d};
                    enum err e = decode(in, &out);
                    ASSERT_TRUE(e == OK || e == ERR_INVAL);
                    if (e == OK) {
                        ASSERT_EQ(encode(out), in);
                        accepted++;
                    }
                }
            }
        }
    }
    EXPECT_GT(accepted, 7 * 7 * 7 * 7);
}

TEST(B64, RefusesWhatIsNotCanonical)
{
    std::string out;
    for (const char *bad :
         {"Z",    "Zg",   "Zg=",  "Zm9vZg",   "=",    "==",   "===",  "====", "Zg==Zg==", "Zm8=Zm8=", "Zh==",
          "Zm9=", "Zg=A", "Z===", "Zm9v\r\n", "Zm 9", "Zm9-", "Zm9_", " Zm9", "Zm9\xff",  "Zg==\n"}) {
        EXPECT_EQ(decode(bad, &out), ERR_INVAL) << bad;
    }
    EXPECT_EQ(decode(std::string("Zm\0v", 4), &out), ERR_INVAL);
}

TEST(B64, RespectsTheLimitAndMemory)
{
    struct buf b;
    buf_init(&b, 7);
    EXPECT_EQ(b64_encode(&b, slice_str("abcdef")), ERR_LIMIT);
    EXPECT_EQ(b64_encode(&b, slice_make("", SIZE_MAX - 1)), ERR_LIMIT);
    EXPECT_EQ(b64_decode(&b, slice_str("Zm9vYmFyZm9v")), ERR_LIMIT);
    EXPECT_EQ(b.len, 0u);
    mem_fail_nth(1);
    EXPECT_EQ(b64_encode(&b, slice_str("abc")), ERR_NOMEM);
    mem_fail_nth(1);
    EXPECT_EQ(b64_decode(&b, slice_str("Zm9v")), ERR_NOMEM);
    mem_fail_nth(0);
    ASSERT_EQ(b64_decode(&b, slice_str("Zm9v")), OK);
    EXPECT_EQ(b64_decode(&b, slice_str("Z*==")), ERR_INVAL);
    EXPECT_EQ(text(&b), "foo");
    buf_fini(&b);
}
