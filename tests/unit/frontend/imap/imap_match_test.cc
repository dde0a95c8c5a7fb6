#include "imap_fixture.h"

#include "frontend/imap/imap_match.h"

namespace
{

bool match(const std::string &pattern, const std::string &name)
{
    return imap_match(S(pattern), S(name));
}

TEST(ImapMatch, StarCrossesTheSeparatorAndPercentDoesNot)
{
    EXPECT_TRUE(match("*", "a/b/c"));
    EXPECT_TRUE(match("*", ""));
    EXPECT_FALSE(match("%", "a/b"));
    EXPECT_TRUE(match("%", "a"));
    EXPECT_TRUE(match("a/%", "a/b"));
    EXPECT_FALSE(match("a/%", "a/b/c"));
    EXPECT_FALSE(match("a/%", "a"));
    EXPECT_TRUE(match("%/%", "a/b"));
    EXPECT_TRUE(match("a*", "a/b/c"));
    EXPECT_TRUE(match("*c", "a/b/c"));
    EXPECT_TRUE(match("%b*", "ab/c"));
    EXPECT_FALSE(match("a", "A"));
    EXPECT_FALSE(match("", "a"));
    EXPECT_TRUE(match("", ""));
}

TEST(ImapMatch, InboxHasNoCase)
{
    EXPECT_TRUE(match("inbox", "INBOX"));
    EXPECT_TRUE(match("InB%", "INBOX"));
    EXPECT_TRUE(match("inbox/*", "INBOX/a"));
    EXPECT_FALSE(match("inbox/A", "INBOX/a"));
    EXPECT_FALSE(match("inboxes", "INBOXES"));
}

TEST(ImapMatch, ManyWildcardsTakeNoLongTime)
{
    std::string pattern;
    for (int i = 0; i < 500; i++) {
        pattern += i % 2 ? "*a" : "%a";
    }
    EXPECT_FALSE(match(pattern + "b", std::string(4000, 'a')));
    EXPECT_TRUE(match(pattern, std::string(4000, 'a')));
    EXPECT_FALSE(match(std::string(IMAP_PATTERN_BYTES_MAX + 1, '*'), "a"));
}

/* The obvious recursion, exponential but right. */
bool naive(const char *p, const char *n)
{
    if (*p == 0) {
        return *n == 0;
    }
    if (*p == '*' || *p == '%') {
        return naive(p + 1, n) || (*n != 0 && (*p == '*' || *n != '/') && naive(p, n + 1));
    }
    return *p == *n && naive(p + 1, n + 1);
}

TEST(ImapMatch, AgreesWithTheObviousRecursion)
{
    const char letters[] = "ab/*%";
    for (unsigned p = 0; p < 5 * 5 * 5 * 5 * 5; p++) {
        std::string pattern;
        for (unsigned v = p, i = 0; i < 5; i++, v /= 5) {
            pattern += letters[v % 5];
        }
        for (unsigned n = 0; n < 3 * 3 * 3 * 3; n++) {
            std::string name;
            for (unsigned v = n, i = 0; i < 4; i++, v /= 3) {
                name += letters[v % 3];
            }
            ASSERT_EQ(naive(pattern.c_str(), name.c_str()), match(pattern, name)) << pattern << " " << name;
        }
    }
}

} // namespace
