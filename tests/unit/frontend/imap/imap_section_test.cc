#include "imap_fixture.h"

#include "frontend/imap/imap_section.h"
#include "proto/rpc/flags.h"

namespace
{

const char message[] = "From: a@example.test\r\n"
                       "Subject: one\r\n"
                       "Content-Type: multipart/mixed; boundary=b\r\n"
                       "\r\n"
                       "preamble\r\n"
                       "--b\r\n"
                       "Content-Type: text/plain\r\n"
                       "\r\n"
                       "first\r\n"
                       "--b\r\n"
                       "Content-Type: message/rfc822\r\n"
                       "\r\n"
                       "Subject: inner\r\n"
                       "\r\n"
                       "inner text\r\n"
                       "--b--\r\n";

class ImapSection : public ImapTest
{
  protected:
    bool parse(const std::string &text, imap_fetch_arg *arg)
    {
        *arg = {};
        imap_cursor c = cursor(text);
        return imap_parse_section(&c, arg) && c.p == c.end;
    }
    std::string label(const std::string &text)
    {
        imap_fetch_arg arg;
        return parse(text, &arg) ? str(arg.label) : "bad";
    }
    std::string content(const std::string &text, const std::string &mail)
    {
        imap_fetch_arg arg;
        msg_parser *p;
        buf record;
        msg_record r;
        imap_byte_range range;
        EXPECT_TRUE(parse(text, &arg)) << text;
        buf_init(&record, 1 << 16);
        EXPECT_EQ(OK, msg_parser_new(&msg_limits_default, &p));
        EXPECT_EQ(OK, msg_parser_feed(p, S(mail)));
        EXPECT_EQ(OK, msg_parser_finish(p, &record));
        EXPECT_EQ(OK, msg_record_decode(buf_slice(&record), &r));
        enum err e = imap_section_find(arg.section, &r, &range);
        if (e == OK) {
            range = imap_section_clip(arg.section, range);
        }
        msg_parser_free(p);
        buf_fini(&record);
        return e == OK ? mail.substr(range.from, range.length) : err_name(e);
    }
};

TEST_F(ImapSection, LabelsAreWhatTheClientAskedFor)
{
    EXPECT_EQ("BODY[]", label("[]"));
    EXPECT_EQ("BODY[HEADER]", label("[header]"));
    EXPECT_EQ("BODY[1.2.MIME]", label("[1.2.mime]"));
    EXPECT_EQ("BODY[TEXT]<10>", label("[TEXT]<10.20>"));
    EXPECT_EQ("BODY[HEADER.FIELDS (From to)]", label("[HEADER.FIELDS (From to)]"));
    EXPECT_EQ("BODY[HEADER.FIELDS (From {3}\r\na b)]", label("[HEADER.FIELDS (From \"a b\")]"));
    EXPECT_EQ("BODY[3.HEADER.FIELDS.NOT (X)]<0>", label("[3.HEADER.FIELDS.NOT (X)]<0.1>"));
}

TEST_F(ImapSection, BadSectionsAreRefused)
{
    for (const char *text : {"",
                             "[",
                             "[1",
                             "[1.]",
                             "[.1]",
                             "[0]",
                             "[MIME]",
                             "[FOO]",
                             "[1.FOO]",
                             "[HEADER.FIELDS]",
                             "[HEADER.FIELDS ()]",
                             "[HEADER.FIELDS (a]",
                             "[HEADER.1]",
                             "[]<",
                             "[]<1>",
                             "[]<1.0>",
                             "[]<1.2",
                             "[1HEADER]",
                             "[4294967296]",
                             "[HEADER.FIELDSX (a)]"}) {
        EXPECT_EQ("bad", label(text)) << text;
    }
    std::string deep = "[1";
    for (int i = 0; i < IMAP_SECTION_DEPTH_MAX; i++) {
        deep += ".1";
    }
    EXPECT_EQ("bad", label(deep + "]"));
}

TEST_F(ImapSection, SectionsAreByteRangesOfTheMessage)
{
    std::string m(message);
    EXPECT_EQ(m, content("[]", m));
    EXPECT_EQ(m.substr(0, m.find("preamble")), content("[HEADER]", m));
    EXPECT_EQ(m.substr(m.find("preamble")), content("[TEXT]", m));
    EXPECT_EQ("first", content("[1]", m));
    EXPECT_EQ("Content-Type: text/plain\r\n\r\n", content("[1.MIME]", m));
    EXPECT_EQ("Subject: inner\r\n\r\ninner text", content("[2]", m));
    EXPECT_EQ("Subject: inner\r\n\r\n", content("[2.HEADER]", m));
    EXPECT_EQ("inner text", content("[2.TEXT]", m));
    EXPECT_EQ("inner text", content("[2.1]", m));
    EXPECT_EQ("ERR_NOTFOUND", content("[3]", m));
    EXPECT_EQ("ERR_NOTFOUND", content("[1.HEADER]", m));
    EXPECT_EQ("ERR_NOTFOUND", content("[1.2]", m));
}

TEST_F(ImapSection, PartialsAreClipped)
{
    std::string m(message);
    EXPECT_EQ("irs", content("[1]<1.3>", m));
    EXPECT_EQ("rst", content("[1]<2.100>", m));
    EXPECT_EQ("", content("[1]<5.1>", m));
    EXPECT_EQ("", content("[1]<4294967295.4294967295>", m));
}

TEST_F(ImapSection, TheOnlyPartOfASimpleMessageIsItsBody)
{
    std::string m = "Subject: x\r\n\r\nbody\r\n";
    EXPECT_EQ("body\r\n", content("[1]", m));
    EXPECT_EQ("ERR_NOTFOUND", content("[2]", m));
    EXPECT_EQ("ERR_NOTFOUND", content("[1.TEXT]", m));
}

TEST_F(ImapSection, OnlyTheWholeMessageNeedsNoRecord)
{
    imap_fetch_arg arg;
    ASSERT_TRUE(parse("[]<0.5>", &arg));
    EXPECT_EQ(FETCH_COL_SIZE, arg.columns);
    ASSERT_TRUE(parse("[HEADER]", &arg));
    EXPECT_EQ(FETCH_COL_RECORD, arg.columns);
}

} // namespace
