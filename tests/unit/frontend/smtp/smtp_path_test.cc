#include "frontend/smtp/smtp_path.h"

#include <gtest/gtest.h>

#include <string>

namespace
{

slice view(const std::string &s)
{
    return slice_make(s.data(), s.size());
}

err parse(const std::string &text, bool allow_null, smtp_path *out)
{
    slice rest;
    return smtp_path_parse(view(text), allow_null, out, &rest);
}

void expect_path(const std::string &text, const std::string &mailbox, const std::string &lookup)
{
    smtp_path p;
    ASSERT_EQ(parse(text, true, &p), OK) << text;
    EXPECT_EQ(p.mailbox, mailbox) << text;
    EXPECT_EQ(p.lookup, lookup) << text;
}

} // namespace

TEST(SmtpPath, AcceptsWhatTheGrammarAllows)
{
    expect_path("<a@b>", "a@b", "a@b");
    expect_path("<alice@example.test>", "alice@example.test", "alice@example.test");
    expect_path(" <alice@example.test>", "alice@example.test", "alice@example.test");
    expect_path("<a.b+c!#$%&'*-/=?^_`{|}~@x-y.example>", "a.b+c!#$%&'*-/=?^_`{|}~@x-y.example",
                "a.b+c!#$%&'*-/=?^_`{|}~@x-y.example");
    expect_path("<\"a b\"@c.d>", "\"a b\"@c.d", "a b@c.d");
    expect_path("<\"a\\\"b\\\\c\"@d>", "\"a\\\"b\\\\c\"@d", "a\"b\\c@d");
    expect_path("<\"\"@d>", "\"\"@d", "@d");
    expect_path("<\"<>@,:\"@d>", "\"<>@,:\"@d", "<>@,:@d");
    expect_path("<@one.test,@two.test:a@b.test>", "a@b.test", "a@b.test");
    expect_path("<@[192.0.2.1]:a@b.test>", "a@b.test", "a@b.test");
    expect_path("<a@[192.0.2.1]>", "a@[192.0.2.1]", "a@[192.0.2.1]");
    expect_path("<a@[IPv6:2001:db8::1]>", "a@[IPv6:2001:db8::1]", "a@[IPv6:2001:db8::1]");
    expect_path("<m\xc3\xbcller@b\xc3\xbc"
                "cher.test>",
                "m\xc3\xbcller@b\xc3\xbc"
                "cher.test",
                "m\xc3\xbcller@b\xc3\xbc"
                "cher.test");
    expect_path("<a@_x.test>", "a@_x.test", "a@_x.test");
}

TEST(SmtpPath, RefusesWhatItDoesNot)
{
    static const char *const bad[] = {
        "",
        "a@b",
        "<a@b",
        "<a>",
        "<@b>",
        "<a@>",
        "<.a@b>",
        "<a.@b>",
        "<a..b@c>",
        "<a b@c>",
        "<a@b c>",
        "<a@-b>",
        "<a@b->",
        "<a@b.>",
        "<a@.b>",
        "<a@b..c>",
        "<\"a@b>",
        "<\"a\"b@c>",
        "<a\"b\"@c>",
        "<\"a\nb\"@c>",
        "<a@[1.2.3]>",
        "<a@[1.2.3.400]>",
        "<a@[IPv6:x]>",
        "<a@[x:y]>",
        "<a@[]>",
        "<a@[1.2.3.4>",
        "<@a@b>",
        "<@a:>",
        "<@a,:b@c>",
        "<@a,b:c@d>",
        "<a@b@c>",
        "<a@b>>x",
        "<(a)@b>",
        "<a@b\x7f>",
        "<\x80@b>",
        "<\xe0\x80\xaf@b>",
        "<\xf0\x80\x80\xaf@b>",
        "<\xc0\xaf@b>",
        "<\xed\xa0\x80@b>",
        "<\xf5\x80\x80\x80@b>",
        "<a@\xc3>",
        "<\"\\\xc3\xbc\"@b>",
    };
    for (const char *text : bad) {
        smtp_path p;
        slice rest;
        err e = smtp_path_parse(view(text), true, &p, &rest);
        EXPECT_TRUE(e != OK || rest.n > 0) << text;
    }
}

TEST(SmtpPath, TheNullPathIsForSendersAndPostmasterForRecipients)
{
    smtp_path p;
    EXPECT_EQ(parse("<>", true, &p), OK);
    EXPECT_TRUE(p.null);
    EXPECT_STREQ(p.mailbox, "");
    EXPECT_EQ(parse("<>", false, &p), ERR_INVAL);
    EXPECT_EQ(parse("<Postmaster>", false, &p), OK);
    EXPECT_TRUE(p.bare);
    EXPECT_STREQ(p.lookup, "Postmaster");
    EXPECT_EQ(parse("<Postmaster>", true, &p), ERR_INVAL);
    EXPECT_EQ(parse("<alice>", false, &p), ERR_INVAL);
}

TEST(SmtpPath, KnowsWhenItNeedsSmtputf8)
{
    smtp_path p;
    ASSERT_EQ(parse("<a@b>", true, &p), OK);
    EXPECT_FALSE(p.utf8);
    ASSERT_EQ(parse("<\xc3\xbc@b>", true, &p), OK);
    EXPECT_TRUE(p.utf8);
    ASSERT_EQ(parse("<\"\xc3\xbc\"@b>", true, &p), OK);
    EXPECT_TRUE(p.utf8);
    ASSERT_EQ(parse("<a@\xc3\xbc>", true, &p), OK);
    EXPECT_TRUE(p.utf8);
}

TEST(SmtpPath, LengthsAreBounded)
{
    smtp_path p;
    EXPECT_EQ(parse("<" + std::string(255, 'a') + "@b>", true, &p), OK);
    EXPECT_EQ(parse("<" + std::string(256, 'a') + "@b>", true, &p), ERR_LIMIT);
    EXPECT_EQ(parse("<" + std::string(100000, 'a') + "@b>", true, &p), ERR_LIMIT);
    EXPECT_EQ(parse("<a@" + std::string(63, 'a') + ".b>", true, &p), OK);
    EXPECT_EQ(parse("<a@" + std::string(64, 'a') + ".b>", true, &p), ERR_INVAL);
    std::string domain;
    for (int i = 0; i < 128; i++) {
        domain += i == 0 ? "a" : ".a";
    }
    EXPECT_EQ(parse("<a@" + domain + ">", true, &p), OK);
    EXPECT_EQ(parse("<a@" + domain + ".b>", true, &p), ERR_LIMIT);
    std::string quoted;
    for (int i = 0; i < 255; i++) {
        quoted += "\\a";
    }
    EXPECT_EQ(parse("<\"" + quoted + "\"@" + domain + ">", true, &p), OK) << "the longest of all fits its array";
    EXPECT_EQ(parse("<\"" + quoted + "\\a\"@b>", true, &p), ERR_LIMIT);
}

/* A truncated path is never read past its end and never valid. */
TEST(SmtpPath, EveryPrefixIsRefused)
{
    for (const std::string whole : {"<@a,@[IPv6:::1]:\"q\\\"\xc3\xbc\"@[192.0.2.1]>", "<a.b@c.d>"}) {
        for (size_t n = 0; n < whole.size(); n++) {
            smtp_path p;
            std::string exact = whole.substr(0, n);
            exact.shrink_to_fit();
            EXPECT_NE(parse(exact, true, &p), OK) << exact;
        }
    }
}

TEST(SmtpParam, KeywordsAndValuesAreSplitOff)
{
    std::string text = " SIZE=100  BODY=8BITMIME SMTPUTF8 X-a=b";
    slice rest = view(text);
    slice k;
    slice v;
    std::string seen;
    while (smtp_param_next(&rest, &k, &v) == OK) {
        seen += std::string(reinterpret_cast<const char *>(k.p), k.n) + "|" +
                (v.p == nullptr ? "-" : std::string(reinterpret_cast<const char *>(v.p), v.n)) + ";";
    }
    EXPECT_EQ(seen, "SIZE|100;BODY|8BITMIME;SMTPUTF8|-;X-a|b;");
}

TEST(SmtpParam, BadGrammarIsRefused)
{
    for (const char *text : {"SIZE=1", " =1", " SIZE=", " -A=1", " A=b=c", " A_B", " A=\x01"}) {
        slice rest = view(text);
        std::string keep = text;
        rest = view(keep);
        slice k;
        slice v;
        EXPECT_EQ(smtp_param_next(&rest, &k, &v), ERR_INVAL) << text;
    }
    std::string spaces = "   ";
    slice rest = view(spaces);
    slice k;
    slice v;
    EXPECT_EQ(smtp_param_next(&rest, &k, &v), ERR_NOTFOUND);
}

TEST(SmtpDomain, GreetingNames)
{
    for (const char *good : {"localhost", "mx.example.test", "[192.0.2.1]", "[IPv6:::1]", "my_host", "x--y"}) {
        EXPECT_TRUE(smtp_domain_valid(slice_str(good))) << good;
    }
    for (const char *bad : {"", "a b", "a..b", ".", "-", "[1.2.3.4", "[1.2.3.4]x", "a@b", "<a>"}) {
        EXPECT_FALSE(smtp_domain_valid(slice_str(bad))) << bad;
    }
}
