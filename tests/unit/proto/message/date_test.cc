#include "tests/unit/proto/message/parse.h"

#include <ctime>

namespace
{

/* Seconds, or -1 for an error. */
int64_t date(const std::string &s, int16_t *zone = nullptr)
{
    int64_t at = 0;
    int16_t z = 0;
    std::vector<char> copy(s.begin(), s.end());
    if (msg_date_parse_zone(slice_make(copy.data(), copy.size()), &at, &z) != OK) {
        return -1;
    }
    if (zone != nullptr) {
        *zone = z;
    }
    return at;
}

} // namespace

TEST(Date, ReadsTheFormOfRfc5322)
{
    int16_t zone = 0;
    EXPECT_EQ(880127706, date("Fri, 21 Nov 1997 09:55:06 -0600", &zone));
    EXPECT_EQ(-360, zone);
    EXPECT_EQ(880127706, date("21 Nov 1997 09:55:06 -0600"));
    EXPECT_EQ(880127700, date(" 21 Nov 1997 09:55 -0600 "));
    EXPECT_EQ(0, date("Thu, 1 Jan 1970 00:00:00 +0000"));
    EXPECT_EQ(-27723480, date("Thu,\r\n 13\r\n  Feb\r\n 1969\r\n 23:32\r\n -0330 (Newfoundland Time)"));
    EXPECT_EQ(951782400, date("Tue, 29 Feb 2000 00:00:00 GMT"));
}

TEST(Date, ReadsObsoleteAndCommonForms)
{
    EXPECT_EQ(880127706, date("21 Nov 97 09:55:06 CST"));
    EXPECT_EQ(880106106, date("Fri, 21 Nov 97 09:55:06"));
    EXPECT_EQ(880106106, date("Fri Nov 21 09:55:06 1997"));
    EXPECT_EQ(880106106, date("Friday, 21-November-1997 09:55:06 UT"));
    EXPECT_EQ(880106106, date("1997-11-21T09:55:06Z"));
    EXPECT_EQ(880106106, date("1997-11-21T10:55:06.123+01:00"));
    EXPECT_EQ(880106106, date("Nov 21, 1997 9:55:06 AM"));
    EXPECT_EQ(880149306, date("Nov 21, 1997 9:55:06 PM"));
    EXPECT_EQ(880106106, date("21 Nov 1997 10:55:06 GMT+0100"));
    EXPECT_EQ(880106106, date("21 Nov 97 01:55:06 PST (Pacific)"));
    EXPECT_EQ(880106106, date("21 Nov 097 09:55:06 +0000"));
    EXPECT_EQ(1700559306, date("21 Nov 23 09:35:06 +0000"));
}

TEST(Date, RefusesWhatIsNoDate)
{
    for (const char *s :
         {"", "soon", "Nov", "21 Nov", "32 Nov 1997 00:00:00 +0000", "30 Feb 2001 10:00", "0 Nov 1997",
          "21 Nov 1997 25:00:00 +0000", "21 Nov 1997 10:60:00 +0000", "1997", "(((", "21 Nov 999999999999"}) {
        EXPECT_EQ(-1, date(s)) << s;
    }
}

TEST(Date, NeverReadsOutsideOfAnyPrefix)
{
    std::string s = "Fri, 21 Nov 1997 09:55:06.25 -06:30 (x \\) y) PM";
    for (size_t n = 0; n <= s.size(); n++) {
        (void)date(s.substr(0, n));
    }
}

TEST(Date, LeavesItsOutputsAloneOnFailure)
{
    int64_t at = 42;
    EXPECT_EQ(ERR_INVAL, msg_date_parse(slice_str("never"), &at));
    EXPECT_EQ(42, at);
}

TEST(Date, FormatsAndReadsBack)
{
    char text[40];
    msg_date_format(1795246200, text);
    EXPECT_STREQ("Sat, 21 Nov 2026 07:30:00 +0000", text);
    msg_date_format(0, text);
    EXPECT_STREQ("Thu, 01 Jan 1970 00:00:00 +0000", text);
    for (int64_t s = -62135596800 + 86400; s < 253402300799; s += 86400ll * 13 + 7919) {
        msg_date_format(s, text);
        int64_t back = 0;
        ASSERT_EQ(OK, msg_date_parse(slice_str(text), &back)) << text;
        ASSERT_EQ(s, back) << text;
    }
}

TEST(Date, AgreesWithTheSystemOnWeekDays)
{
    for (time_t s = -3000000000; s < 5000000000; s += 86400 * 3 + 4321) {
        char mine[40];
        char theirs[40];
        struct tm tm;
        gmtime_r(&s, &tm);
        strftime(theirs, sizeof(theirs), "%a, %d %b %Y %H:%M:%S +0000", &tm);
        msg_date_format(s, mine);
        ASSERT_STREQ(theirs, mine);
    }
}

TEST(Date, FormatsTheEndsOfTimeWithinItsBuffer)
{
    char text[40];
    for (int64_t s : {INT64_MIN, INT64_MAX, int64_t{-62167219200}, int64_t{253402300800}}) {
        msg_date_format(s, text);
        EXPECT_EQ(31u, strlen(text)) << text;
    }
}
