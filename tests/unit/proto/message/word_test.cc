#include "tests/unit/proto/message/parse.h"

#include "proto/base/mem.h"

namespace
{

std::string word(const std::string &value)
{
    std::vector<char> copy(value.begin(), value.end());
    Buf out;
    EXPECT_EQ(OK, msg_header_decode(slice_make(copy.data(), copy.size()), &out.b));
    return out.str();
}

std::string fold(const std::string &s)
{
    std::vector<char> copy(s.begin(), s.end());
    Buf out;
    EXPECT_EQ(OK, msg_casemap(slice_make(copy.data(), copy.size()), &out.b));
    return out.str();
}

} // namespace

TEST(Word, DecodesTheExamplesOfRfc2047)
{
    EXPECT_EQ("a", word("=?ISO-8859-1?Q?a?="));
    EXPECT_EQ("a b", word("=?ISO-8859-1?Q?a?= b"));
    EXPECT_EQ("ab", word("=?ISO-8859-1?Q?a?= =?ISO-8859-1?Q?b?="));
    EXPECT_EQ("ab", word("=?ISO-8859-1?Q?a?=\r\n    =?ISO-8859-1?Q?b?="));
    EXPECT_EQ("a b", word("=?ISO-8859-1?Q?a_b?="));
    EXPECT_EQ("a b", word("=?ISO-8859-1?Q?a?= =?ISO-8859-2?Q?_b?="));
    EXPECT_EQ("If you can read this you understand the example.",
              word("=?ISO-8859-1?B?SWYgeW91IGNhbiByZWFkIHRoaXMgeW8=?=\r\n"
                   " =?ISO-8859-2?B?dSB1bmRlcnN0YW5kIHRoZSBleGFtcGxlLg==?="));
    EXPECT_EQ("Keld J\xc3\xb8rn Simonsen <keld@dkuug.dk>",
              word("=?ISO-8859-1?Q?Keld_J=F8rn_Simonsen?= <keld@dkuug.dk>"));
}

TEST(Word, JoinsCharactersThatMailersCutInTwo)
{
    EXPECT_EQ("\xe2\x82\xac", word("=?utf-8?q?=E2=82?= =?utf-8?q?=AC?="));
    EXPECT_EQ("\xe2\x82\xac", word("=?UTF-8?B?4oI=?=\n =?utf-8?b?rA==?="));
    EXPECT_EQ("\xef\xbf\xbd x", word("=?utf-8?q?=E2=82?= x"));
    EXPECT_EQ("\xe3\x81\x82\xe3\x81\x82", word("=?iso-2022-jp?B?GyRCJCIbKEI=?= =?ISO-2022-JP?B?GyRCJCIbKEI=?="));
}

TEST(Word, IgnoresTheLanguageAndReadsUnknownCharsetsAsUtf8)
{
    EXPECT_EQ("a", word("=?US-ASCII*EN?Q?a?="));
    EXPECT_EQ("\xc3\xa9", word("=?none?Q?=C3=A9?="));
    EXPECT_EQ("\xef\xbf\xbd", word("=?iso-2022-cn-ext?Q?=FF?="));
}

TEST(Word, LeavesWhatIsNoEncodedWord)
{
    for (const char *s : {"", "plain", "=?", "=??q?a?=", "=?utf-8?x?a?=", "=?utf-8?q?a", "=?utf-8?q?a?",
                          "=?utf-8?qq?a?=", "=?utf-8?q", "a=?b", "?=", "=?a?b?c", "= ?utf-8?q?a?="}) {
        EXPECT_EQ(s, word(s));
    }
    EXPECT_EQ("", word("=?utf-8?q?\?="));
}

TEST(Word, DecodesInTheMiddleOfTextAndQuotes)
{
    EXPECT_EQ("x\xc3\xa9y \"\xc3\xa9\" z", word("x=?utf-8?q?=C3=A9?=y \"=?utf-8?q?=C3=A9?=\" z"));
    EXPECT_EQ("=\xc3\xa9", word("==?utf-8?q?=C3=A9?="));
    EXPECT_EQ("a  b", word("a  b"));
}

TEST(Word, UnfoldsAndMakesBadBytesReplacements)
{
    EXPECT_EQ("one two\tthree", word("one\r\n two\n\tthree"));
    EXPECT_EQ("caf\xc3\xa9 \xef\xbf\xbd", word("caf\xc3\xa9 \xe9"));
    EXPECT_EQ("a\rb", word("a\rb"));
}

TEST(Word, NeverReadsOutsideOfAnyPrefix)
{
    std::string s = "x =?utf-8*en?Q?=C3=A9_=?= =?koi8-r?B?8NLJ?= y =?a?b?";
    for (size_t n = 0; n <= s.size(); n++) {
        (void)word(s.substr(0, n));
        (void)word(s.substr(n));
    }
}

TEST(Word, FailsCleanlyAtEveryAllocation)
{
    bool fired = true;
    for (uint64_t nth = 1; fired; nth++) {
        ASSERT_LT(nth, 100u);
        Buf out;
        ASSERT_EQ(OK, buf_append_str(&out.b, "kept "));
        mem_fail_nth(nth);
        err e = msg_header_decode(
            slice_str("x =?utf-8?q?y?= =?koi8-r?B?8NLJ?= and text that makes the buffer grow again and again"), &out.b);
        fired = mem_fail_fired() != 0;
        mem_fail_nth(0);
        EXPECT_EQ(fired ? ERR_NOMEM : OK, e);
        if (fired) {
            EXPECT_EQ("kept ", out.str());
        }
    }
}

TEST(Casemap, MakesCaseAndCompositionEqual)
{
    EXPECT_EQ("HELLO, 1", fold("Hello, 1"));
    EXPECT_EQ(fold("\xc3\x89t\xc3\xa9"), fold("\xc3\xa9T\xc3\x89"));
    EXPECT_EQ(fold("\xc3\xa9"), fold("e\xcc\x81"));
    EXPECT_EQ(fold("\xd0\x9f\xd1\x80"), fold("\xd0\xbf\xd0\xa0"));
    EXPECT_EQ(fold("\xef\xac\x81"), fold("fi") == "FI" ? fold("\xef\xac\x81") : "");
    EXPECT_EQ(fold("\xc7\x86"), fold("\xc7\x84"));
    EXPECT_NE(fold("a"), fold("b"));
    EXPECT_EQ("", fold(""));
}

TEST(Casemap, TakesAnyBytes)
{
    EXPECT_EQ("A\xef\xbf\xbd"
              "B",
              fold("a\xff"
                   "b"));
    std::string all;
    for (int i = 0; i < 4000; i++) {
        all += static_cast<char>(i * 7);
    }
    EXPECT_GT(fold(all).size(), 4000u);
    /* The longest decomposition there is, many times: U+FDFA. */
    std::string longest;
    for (int i = 0; i < 1000; i++) {
        longest += "\xef\xb7\xba";
    }
    EXPECT_EQ(1000u * 33, fold(longest).size());
    Buf out(3);
    EXPECT_EQ(ERR_LIMIT, msg_casemap(slice_str("abcd"), &out.b));
    EXPECT_EQ("", out.str());
}
