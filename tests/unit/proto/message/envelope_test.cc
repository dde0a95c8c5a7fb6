#include "tests/unit/proto/message/grammar.h"

#include <memory>

#include "proto/message/address.h"

namespace
{

std::string envelope(const std::string &header)
{
    std::string bytes = parse(header + "\n");
    expect_sound(bytes, header.size() + 1);
    return Record(bytes).envelope();
}

/* The address list that a From: of this value gives. */
std::string from(const std::string &value)
{
    std::string e = envelope("From: " + value + "\n");
    std::string head = "(NIL NIL ";
    EXPECT_EQ(head, e.substr(0, head.size()));
    std::string list =
        e.substr(head.size(), (e.size() - head.size() - std::string(" NIL NIL NIL NIL NIL)").size() - 2) / 3);
    EXPECT_EQ("(NIL NIL " + list + " " + list + " " + list + " NIL NIL NIL NIL NIL)", e);
    return list;
}

} // namespace

TEST(Envelope, IsAsInTheExampleOfRfc3501)
{
    EXPECT_EQ("(\"Wed, 17 Jul 1996 02:23:25 -0700 (PDT)\" \"IMAP4rev1 WG mtg summary and minutes\" "
              "((\"Terry Gray\" NIL \"gray\" \"cac.washington.edu\")) "
              "((\"Terry Gray\" NIL \"gray\" \"cac.washington.edu\")) "
              "((\"Terry Gray\" NIL \"gray\" \"cac.washington.edu\")) "
              "((NIL NIL \"imap\" \"cac.washington.edu\")) "
              "((NIL NIL \"minutes\" \"CNRI.Reston.VA.US\")"
              "(\"John Klensin\" NIL \"KLENSIN\" \"MIT.EDU\")) NIL NIL "
              "\"<B27397-0100000@cac.washington.edu>\")",
              envelope("Date: Wed, 17 Jul 1996 02:23:25 -0700 (PDT)\n"
                       "From: Terry Gray <gray@cac.washington.edu>\n"
                       "Subject: IMAP4rev1 WG mtg summary and minutes\n"
                       "To: imap@cac.washington.edu\n"
                       "cc: minutes@CNRI.Reston.VA.US, John Klensin <KLENSIN@MIT.EDU>\n"
                       "Message-Id: <B27397-0100000@cac.washington.edu>\n"
                       "MIME-Version: 1.0\n"
                       "Content-Type: TEXT/PLAIN; CHARSET=US-ASCII\n"));
}

TEST(Envelope, IsAllNilForAnEmptyMessage)
{
    std::string nothing = parse("");
    expect_sound(nothing, 0);
    EXPECT_EQ("(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)", Record(nothing).envelope());
    EXPECT_EQ("(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)", envelope("X: y\n"));
}

TEST(Envelope, TellsEmptyFieldsFromAbsentOnes)
{
    EXPECT_EQ("(\"\" \"\" NIL NIL NIL NIL NIL NIL \"\" \"\")",
              envelope("Date:\nSubject: \nFrom:\nTo: \nIn-Reply-To:\nMessage-ID:  \n"));
}

TEST(Envelope, KeepsSenderAndReplyToWhenGiven)
{
    EXPECT_EQ("(NIL NIL ((NIL NIL \"f\" \"x\")) ((NIL NIL \"s\" \"x\")) ((NIL NIL \"r\" \"x\")) NIL NIL NIL NIL NIL)",
              envelope("Reply-To: r@x\nFrom: f@x\nSender: s@x\n"));
    EXPECT_EQ("(NIL NIL ((NIL NIL \"f\" \"x\")) ((NIL NIL \"f\" \"x\")) ((NIL NIL \"f\" \"x\")) NIL NIL NIL NIL NIL)",
              envelope("Reply-To:\nFrom: f@x\nSender: (nobody)\n"));
}

TEST(Envelope, UnfoldsStrings)
{
    EXPECT_EQ("(NIL \"one two\tthree\" NIL NIL NIL NIL NIL NIL NIL NIL)", envelope("Subject: one\r\n two\n\tthree\n"));
    EXPECT_EQ("(NIL \"a \\\"b\\\" \\\\c\" NIL NIL NIL NIL NIL NIL NIL NIL)", envelope("Subject: a \"b\" \\c\n"));
}

TEST(Envelope, SendsEightBitAndCrAsLiteralsAndNulAsAQuestionMark)
{
    EXPECT_EQ("(NIL {6}\r\ncaf\xc3\xa9! NIL NIL NIL NIL NIL NIL NIL NIL)", envelope("Subject: caf\xc3\xa9!\n"));
    EXPECT_EQ("(NIL {5}\r\na\rb c NIL NIL NIL NIL NIL NIL NIL NIL)", envelope("Subject: a\rb\n c\n"));
    EXPECT_EQ("(NIL \"a?b\" NIL NIL NIL NIL NIL NIL NIL NIL)", envelope(std::string("Subject: a\0b\n", 13)));
    EXPECT_EQ("((NIL NIL {3}\r\n\xc3\xa9z {4}\r\n\xc3\xa9.x))", from("<\xc3\xa9z@\xc3\xa9.x>"));
}

TEST(Envelope, LeavesEncodedWordsAsTheyAre)
{
    EXPECT_EQ("((\"=?ISO-8859-1?Q?Andr=E9?= Pirard\" NIL \"PIRARD\" \"vm1.ulg.ac.be\"))",
              from("=?ISO-8859-1?Q?Andr=E9?= Pirard <PIRARD@vm1.ulg.ac.be>"));
}

TEST(Envelope, ReadsAddressesAsPeopleWriteThem)
{
    EXPECT_EQ("((NIL NIL \"a\" \"b.c\"))", from("a@b.c"));
    EXPECT_EQ("((NIL NIL \"a\" \"b.c\"))", from("<a@b.c>"));
    EXPECT_EQ("((NIL NIL \"a.b\" \"c.d\"))", from(" a . b @ c . d "));
    EXPECT_EQ("((\"A B\" NIL \"a\" \"b\"))", from("a@b (A B)"));
    EXPECT_EQ("((\"A (x) B\" NIL \"a\" \"b\"))", from("a@b (A \\(x\\) B)"));
    EXPECT_EQ("((\"A, B\" NIL \"a\" \"b\"))", from("\"A, B\" <a@b>"));
    EXPECT_EQ("((\"A \\\"Q\\\" B\" NIL \"a\" \"b\"))", from("\"A \\\"Q\\\" B\" <a@b>"));
    EXPECT_EQ("((\"Dr. A. B.\" NIL \"a\" \"b\"))", from("Dr. A. B. <a@b>"));
    EXPECT_EQ("((\"a@b\" NIL \"c\" \"d\"))", from("a@b <c@d>"));
    EXPECT_EQ("((NIL NIL \"two words\" \"b\"))", from("\"two words\"@b"));
    EXPECT_EQ("((NIL NIL \"a\" \"[192.0.2.1]\"))", from("a@[192.0.2.1]"));
    EXPECT_EQ("((\"N\" \"@x,@y\" \"a\" \"b\"))", from("N <@x,@y:a@b>"));
    EXPECT_EQ("((NIL NIL \"a\" \"b\")(NIL NIL \"c\" \"d\")(NIL NIL \"e\" \"f\"))", from("a@b,, c@d;\n e@f,"));
    EXPECT_EQ("((\"one\" NIL \"a\" \"b\")(\"two\" NIL \"c\" \"d\"))", from("one <a@b> junk, two <c@d"));
}

TEST(Envelope, NamesWhatIsMissing)
{
    EXPECT_EQ("((NIL NIL \"John Doe\" \"MISSING_DOMAIN\"))", from("John Doe"));
    EXPECT_EQ("((NIL NIL \"MISSING_MAILBOX\" \"b\"))", from("@b"));
    EXPECT_EQ("((\"N\" NIL \"MISSING_MAILBOX\" \"MISSING_DOMAIN\"))", from("N <>"));
}

TEST(Envelope, WritesGroups)
{
    EXPECT_EQ("((NIL NIL \"A Group\" NIL)(\"Ed Jones\" NIL \"joe\" \"where.test\")(NIL NIL \"john\" \"one.test\")"
              "(NIL NIL NIL NIL)(NIL NIL \"x\" \"y\"))",
              from("A Group:Ed Jones <joe@where.test>,john@one.test;, x@y"));
    EXPECT_EQ("((NIL NIL \"undisclosed-recipients\" NIL)(NIL NIL NIL NIL))", from("undisclosed-recipients:;"));
    EXPECT_EQ("((NIL NIL \"open\" NIL)(NIL NIL \"a\" \"b\")(NIL NIL NIL NIL))", from("open: a@b"));
    EXPECT_EQ("((NIL NIL \"\" NIL)(NIL NIL \"a\" \"b\")(NIL NIL NIL NIL))", from(": a@b"));
}

TEST(Envelope, AddsUpRepeatedRecipientFieldsAndTakesTheFirstOfOthers)
{
    EXPECT_EQ("(NIL \"1\" ((NIL NIL \"f\" \"1\")) ((NIL NIL \"f\" \"1\")) ((NIL NIL \"f\" \"1\")) "
              "((NIL NIL \"a\" \"1\")(NIL NIL \"b\" \"2\")) NIL NIL NIL NIL)",
              envelope("Subject: 1\nSubject: 2\nFrom: f@1\nFrom: f@2\nTo: a@1\nTo: b@2\n"));
}

TEST(Envelope, LeavesOutAddressesPastItsShareAndStaysWellFormed)
{
    std::string to = "To: Group:";
    for (int i = 0; i < 3000; i++) {
        to += "Somebody With A Name <user" + std::to_string(i) + "@example.test>,\n ";
    }
    std::string m = to + ";\nCc: c@d\nSubject: " + std::string(5000, '"') + "\nMessage-ID: <x@y>\n\n";
    std::string bytes = parse(m);
    expect_sound(bytes, m.size());
    Record rec(bytes);
    EXPECT_LT(rec.envelope().size(), 8192u);
    EXPECT_GT(rec.envelope().size(), 3000u);
    EXPECT_NE(std::string::npos, rec.envelope().find("(NIL NIL NIL NIL)) ((NIL NIL \"c\" \"d\")) NIL NIL \"<x@y>\")"));
    EXPECT_NE(0u, rec.r.headers_cut);
}

TEST(Envelope, KeepsAListWithinItsShareAtEveryShare)
{
    auto scratch = std::make_unique<msg_address>();
    for (const char *value : {"G: aa@bb, cc@dd, Name <ee@ff>;, gg@hh", "aa@bb, cc@dd, Name <ee@ff>", "G: aa@bb"}) {
        for (size_t max = 3; max < 200; max++) {
            Buf out;
            msg_out o = msg_out_make(&out.b);
            msg_address_list list;
            msg_address_list_begin(&list, &o, scratch.get(), max);
            msg_address_list_add(&list, slice_str(value));
            msg_address_list_end(&list);
            EXPECT_EQ(OK, o.err);
            EXPECT_LE(out.b.len, max);
            std::string text = "(NIL NIL " + out.str() + " NIL NIL NIL NIL NIL NIL NIL)";
            EXPECT_TRUE(Grammar(text).envelope_only()) << text;
        }
    }
}
