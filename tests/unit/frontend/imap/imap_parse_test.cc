#include "imap_fixture.h"

#include "frontend/imap/imap_date.h"
#include "proto/rpc/flags.h"

namespace
{

class ImapParse : public ImapTest
{
  protected:
    std::string astring(const std::string &text)
    {
        imap_cursor c = cursor(text);
        slice s;
        if (!imap_parse_astring(&c, &s)) {
            return std::string(c.more ? "more: " : "bad: ") + c.reason;
        }
        EXPECT_EQ(c.end, c.p);
        return str(s);
    }
    std::string mailbox(const std::string &text)
    {
        imap_cursor c = cursor(text);
        char *name;
        return imap_parse_mailbox(&c, &name) ? name : std::string("bad: ") + c.reason;
    }
    std::string set(const std::string &text)
    {
        imap_cursor c = cursor(text);
        imap_set s;
        if (!imap_parse_set(&c, &s) || c.p != c.end) {
            return "bad";
        }
        std::string out;
        for (size_t i = 0; i < s.n; i++) {
            out += (i > 0 ? "," : "") + std::to_string(s.ranges[i].first) + ":" + std::to_string(s.ranges[i].last);
        }
        return out + (s.star ? " star" : "");
    }
};

TEST_F(ImapParse, AStringsComeInThreeForms)
{
    EXPECT_EQ("abc]d+[", astring("abc]d+["));
    EXPECT_EQ("a b", astring("\"a b\""));
    EXPECT_EQ("a\"b\\c", astring("\"a\\\"b\\\\c\""));
    EXPECT_EQ("", astring("\"\""));
    EXPECT_EQ("a\r\nb", astring("{4}\r\na\r\nb"));
    EXPECT_EQ(std::string("a\0", 2), astring(std::string("{2+}\r\na\0", 8)));
    EXPECT_EQ("", astring("{0}\r\n"));
    EXPECT_EQ("\xc3\xa4", astring("\"\xc3\xa4\""));
}

TEST_F(ImapParse, BadStringsAreRefused)
{
    for (const char *text :
         {"", "\"", "\"abc", "\"a\\b\"", "\"a\r\nb\"", "\"\\", "{3}", "{3} \r\nabc", "{x}\r\n", "(a", "%"}) {
        EXPECT_EQ("bad: ", astring(text).substr(0, 5)) << text;
    }
    EXPECT_EQ("bad: ", astring(std::string("\"a\0\"", 4)).substr(0, 5));
}

TEST_F(ImapParse, ALiteralThatHasNotComeIsNoError)
{
    EXPECT_EQ("more: Literal is incomplete", astring("{3}\r\nab"));
    EXPECT_EQ("more: Literal is incomplete", astring("{3}\r\n"));
}

TEST_F(ImapParse, MailboxNamesAreDecodedAndInboxIsFolded)
{
    EXPECT_EQ("INBOX", mailbox("inbox"));
    EXPECT_EQ("INBOX", mailbox("\"InBoX\""));
    EXPECT_EQ("INBOX/sub", mailbox("iNbox/sub"));
    EXPECT_EQ("inboxes", mailbox("inboxes"));
    EXPECT_EQ("Entw\xc3\xbcrfe", mailbox("Entw&APw-rfe"));
    EXPECT_EQ("a/b", mailbox("a/b/"));
    EXPECT_EQ("/", mailbox("/"));
    EXPECT_EQ("R&D", mailbox("R&-D"));
    EXPECT_EQ(IMAP_NO_NAME, mailbox("R&D"));
    EXPECT_EQ(IMAP_NO_NAME, mailbox("\"\xc3\xbc\""));
    EXPECT_EQ(IMAP_NO_NAME, mailbox("\"\""));
    EXPECT_EQ("bad: Mailbox name is too long", mailbox("\"" + std::string(5000, 'a') + "\""));
}

TEST_F(ImapParse, SequenceSetsKeepTheirRangesInOrder)
{
    EXPECT_EQ("1:1", set("1"));
    EXPECT_EQ("1:3,5:5", set("3:1,5"));
    EXPECT_EQ("0:0 star", set("*"));
    EXPECT_EQ("4:0 star", set("4:*"));
    EXPECT_EQ("4:0 star", set("*:4"));
    EXPECT_EQ("4294967295:4294967295", set("4294967295"));
    for (const char *text : {"", "0", "1:", ":1", "1,", ",1", "4294967296", "1:0", "a", "1 2", "1::2", "-1"}) {
        EXPECT_EQ("bad", set(text)) << text;
    }
}

TEST_F(ImapParse, ASetOfTooManyRangesIsRefused)
{
    std::string text = "1";
    for (uint32_t i = 0; i < imap_limits_default.set_ranges_max; i++) {
        text += ",1";
    }
    EXPECT_EQ("bad", set(text));
}

TEST_F(ImapParse, FlagsAreBitsAndKeywordsAreStrings)
{
    imap_cursor c = cursor("(\\Seen \\deleted $Forwarded work WORK \\Seen)");
    imap_flags f;
    ASSERT_TRUE(imap_parse_flag_list(&c, &f));
    EXPECT_EQ(FLAG_SEEN | FLAG_DELETED, f.system);
    ASSERT_EQ(2u, f.n_keywords);
    EXPECT_STREQ("$Forwarded", f.keywords[0]);
    EXPECT_STREQ("work", f.keywords[1]);
    c = cursor("()");
    ASSERT_TRUE(imap_parse_flag_list(&c, &f));
    EXPECT_EQ(0u, f.system);
    EXPECT_EQ(0u, f.n_keywords);
    c = cursor("\\Answered \\Flagged");
    ASSERT_TRUE(imap_parse_flags(&c, &f));
    EXPECT_EQ(FLAG_ANSWERED | FLAG_FLAGGED, f.system);
}

TEST_F(ImapParse, RecentAndUnknownSystemFlagsAreRefused)
{
    imap_flags f;
    for (const char *text : {"(\\Recent)", "(\\Foo)", "(\\)", "(a", "(a  b)", "(\\*)", "(a,(b))"}) {
        imap_cursor c = cursor(text);
        EXPECT_FALSE(imap_parse_flag_list(&c, &f)) << text;
        EXPECT_NE(nullptr, c.reason);
    }
}

TEST_F(ImapParse, MoreKeywordsThanAMailboxHoldsAreRefused)
{
    std::string text = "(";
    for (int i = 0; i <= FLAG_KEYWORDS_MAX; i++) {
        text += (i > 0 ? " k" : "k") + std::to_string(i);
    }
    imap_cursor c = cursor(text + ")");
    imap_flags f;
    EXPECT_FALSE(imap_parse_flag_list(&c, &f));
}

TEST_F(ImapParse, DatesAreDaysInUtc)
{
    int64_t s;
    imap_cursor c = cursor("1-Feb-1994");
    ASSERT_TRUE(imap_parse_date(&c, &s));
    EXPECT_EQ(760060800, s);
    c = cursor("\"29-feb-2000\"");
    ASSERT_TRUE(imap_parse_date(&c, &s));
    EXPECT_EQ(951782400, s);
    for (const char *text : {"29-Feb-1999", "0-Jan-2000", "32-Jan-2000", "31-Apr-2000", "1-Foo-2000", "1-Jan-20",
                             "1 Jan 2000", "\"1-Jan-2000", "", "1-Jan"}) {
        c = cursor(text);
        EXPECT_FALSE(imap_parse_date(&c, &s)) << text;
    }
}

TEST_F(ImapParse, DateTimesHaveAZone)
{
    int64_t s;
    imap_cursor c = cursor("\"17-Jul-1996 02:44:25 -0700\"");
    ASSERT_TRUE(imap_parse_date_time(&c, &s));
    EXPECT_EQ(837596665, s);
    c = cursor("\" 1-Jan-1970 00:00:00 +0000\"");
    ASSERT_TRUE(imap_parse_date_time(&c, &s));
    EXPECT_EQ(0, s);
    for (const char *text :
         {"17-Jul-1996 02:44:25 -0700", "\"17-Jul-1996 24:00:00 +0000\"", "\"17-Jul-1996 02:60:25 +0000\"",
          "\"17-Jul-1996 02:44:25\"", "\"17-Jul-1996 02:44:25 0700\"", "\"17-Jul-1996 02:44:25 +0760\""}) {
        c = cursor(text);
        EXPECT_FALSE(imap_parse_date_time(&c, &s)) << text;
    }
}

std::string date_time(int64_t s)
{
    uint8_t out[IMAP_DATE_TIME_BYTES];
    imap_date_time_put(out, s);
    return std::string(reinterpret_cast<char *>(out), sizeof(out));
}

TEST_F(ImapParse, InternaldateIsWrittenInUtc)
{
    EXPECT_EQ("\"17-Jul-1996 09:44:25 +0000\"", date_time(837596665));
    EXPECT_EQ("\" 1-Jan-1970 00:00:00 +0000\"", date_time(0));
    EXPECT_EQ("\"31-Dec-1969 23:59:59 +0000\"", date_time(-1));
    EXPECT_EQ("\"29-Feb-2000 00:00:00 +0000\"", date_time(951782400));
    EXPECT_EQ("\"31-Dec-9999 23:59:59 +0000\"", date_time(INT64_MAX));
    EXPECT_EQ("\" 1-Jan-0000 00:00:00 +0000\"", date_time(INT64_MIN));
}

TEST_F(ImapParse, EveryDayIsReadBackAsItWasWritten)
{
    for (int64_t day = -1000; day < 60000; day += 7) {
        std::string text = date_time(day * 86400 + day % 86400);
        imap_cursor c = cursor(text);
        int64_t s;
        ASSERT_TRUE(imap_parse_date_time(&c, &s)) << text;
        ASSERT_EQ(day * 86400 + day % 86400, s) << text;
    }
}

TEST_F(ImapParse, NumbersAreBounded)
{
    uint32_t v;
    uint64_t v63;
    imap_cursor c = cursor("4294967295");
    EXPECT_TRUE(imap_parse_number(&c, &v));
    c = cursor("4294967296");
    EXPECT_FALSE(imap_parse_number(&c, &v));
    c = cursor("0");
    EXPECT_FALSE(imap_parse_nz_number(&c, &v));
    c = cursor("9223372036854775807");
    EXPECT_TRUE(imap_parse_number63(&c, &v63));
    c = cursor("9223372036854775808");
    EXPECT_FALSE(imap_parse_number63(&c, &v63));
}

} // namespace
