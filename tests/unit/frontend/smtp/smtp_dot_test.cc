#include "frontend/smtp/smtp_dot.h"

#include <gtest/gtest.h>

#include <string>

namespace
{

struct Result {
    std::string content;
    std::string rest;
    bool ended;
    bool bare;
    bool operator==(const Result &o) const
    {
        return content == o.content && rest == o.rest && ended == o.ended && bare == o.bare;
    }
};

void PrintTo(const Result &r, std::ostream *os)
{
    *os << testing::PrintToString(r.content) << " rest " << testing::PrintToString(r.rest) << " ended " << r.ended
        << " bare " << r.bare;
}

Result feed(const std::string &in, size_t a, size_t b, smtp_bare policy)
{
    smtp_dot d = {};
    d.policy = policy;
    Result r = {};
    buf out;
    buf_init(&out, 1 << 20);
    const size_t cuts[] = {0, a, b, in.size()};
    size_t used_in_all = 0;
    for (int i = 0; i < 3 && !smtp_dot_ended(&d); i++) {
        size_t used = 0;
        buf_reset(&out);
        EXPECT_EQ(smtp_dot_feed(&d, slice_make(in.data() + cuts[i], cuts[i + 1] - cuts[i]), &out, &used), OK);
        EXPECT_LE(out.len, SMTP_DOT_OUT_BYTES(cuts[i + 1] - cuts[i]));
        slice s = buf_slice(&out);
        r.content.append(reinterpret_cast<const char *>(s.p), s.n);
        used_in_all += used;
    }
    buf_fini(&out);
    r.rest = in.substr(used_in_all);
    r.ended = smtp_dot_ended(&d);
    r.bare = d.bare;
    return r;
}

void expect_at_every_split(const std::string &in, smtp_bare policy, const Result &want)
{
    for (size_t a = 0; a <= in.size(); a++) {
        for (size_t b = a; b <= in.size(); b++) {
            ASSERT_EQ(feed(in, a, b, policy), want) << testing::PrintToString(in) << " cut at " << a << ", " << b;
        }
    }
}

} // namespace

TEST(SmtpDot, PlainMessagesEndAtTheDotAndLeaveWhatFollows)
{
    expect_at_every_split(".\r\nQUIT\r\n", SMTP_BARE_KEEP, {"", "QUIT\r\n", true, false});
    expect_at_every_split("a\r\n.\r\nMAIL", SMTP_BARE_KEEP, {"a\r\n", "MAIL", true, false});
    expect_at_every_split("a\r\n\r\nb\r\n.\r\n", SMTP_BARE_KEEP, {"a\r\n\r\nb\r\n", "", true, false});
    expect_at_every_split("a\r\n.", SMTP_BARE_KEEP, {"a\r\n", "", false, false});
}

TEST(SmtpDot, OneDotIsTakenFromLinesThatBeginWithOne)
{
    expect_at_every_split("..\r\n...\r\n.a\r\nb.\r\n..c\r\n.\r\n", SMTP_BARE_KEEP,
                          {".\r\n..\r\na\r\nb.\r\n.c\r\n", "", true, false});
}

/* Each is what some server has taken for the end of the data. */
TEST(SmtpDot, NothingButCrLfDotCrLfEndsTheData)
{
    static const char *const variants[] = {
        "\n.\n",      "\n.\r\n",     "\r\n.\n",     "\r.\r", "\r.\r\n",     "\r\n.\r",    "\n\n.\r\n", "\r\r.\r\r",
        "\r\n..\r\n", "\r\n.\r\r\n", "\r\n\r.\r\n", "\n.\r", "\r\n.\n\r\n", "\r\n. \r\n", "\r\r\n.\n", "\n\r.\r\n",
    };
    for (const char *v : variants) {
        for (smtp_bare policy : {SMTP_BARE_REJECT, SMTP_BARE_NORMALIZE, SMTP_BARE_KEEP}) {
            const std::string in = std::string("body") + v + "MAIL FROM:<smuggled@x>\r\n.\r\nrest";
            for (size_t a = 0; a <= in.size(); a++) {
                Result r = feed(in, a, in.size(), policy);
                ASSERT_TRUE(r.ended);
                ASSERT_EQ(r.rest, "rest") << testing::PrintToString(in);
                ASSERT_NE(r.content.find("smuggled"), std::string::npos);
            }
        }
    }
    using namespace std::string_literals;
    const std::string nul = "a\r\n.\0\r\nb\r\n.\r\n"s;
    expect_at_every_split(nul, SMTP_BARE_KEEP, {"a\r\n\0\r\nb\r\n"s, "", true, false});
}

TEST(SmtpDot, BareLineEndsAreKeptReportedOrNormalized)
{
    const std::string in = "a\nb\rc\r\r\nd\r\n\n\r\n.\r\n";
    expect_at_every_split(in, SMTP_BARE_KEEP, {"a\nb\rc\r\r\nd\r\n\n\r\n", "", true, true});
    expect_at_every_split(in, SMTP_BARE_REJECT, {"a\nb\rc\r\r\nd\r\n\n\r\n", "", true, true});
    expect_at_every_split(in, SMTP_BARE_NORMALIZE, {"a\r\nb c \r\nd\r\n\r\n\r\n", "", true, true});
}

TEST(SmtpDot, DotsBehindABareLineEndAreContent)
{
    expect_at_every_split("a\n..b\r\n.\r\n", SMTP_BARE_KEEP, {"a\n..b\r\n", "", true, true});
    expect_at_every_split("a\n.\r\nb\r\n.\r\n", SMTP_BARE_NORMALIZE, {"a\r\n.\r\nb\r\n", "", true, true});
    expect_at_every_split(".\ra\r\n.\r\n", SMTP_BARE_KEEP, {"\ra\r\n", "", true, true});
}
