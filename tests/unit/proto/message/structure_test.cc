#include "tests/unit/proto/message/grammar.h"

namespace
{

/* BODYSTRUCTURE and, unless NULL, BODY of a message. */
void expect_structure(const std::string &m, const std::string &structure, const char *body = nullptr)
{
    std::string bytes = parse(m);
    expect_sound(bytes, m.size());
    Record rec(bytes);
    EXPECT_EQ(structure, rec.structure());
    if (body != nullptr) {
        EXPECT_EQ(body, rec.body());
    }
}

/* A sample; `text` is the start of the file's path below tests/data/mail. */
std::string sample(const std::string &path)
{
    std::string m = read_file(PB_TEST_DATA "/mail/" + path);
    EXPECT_FALSE(m.empty()) << path;
    return m;
}

} // namespace

TEST(Structure, OfAMessageWithoutMimeIsPlainText)
{
    expect_structure("Subject: x\r\n\r\none\r\ntwo\r\n",
                     "(\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 10 2 NIL NIL NIL NIL)",
                     "(\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 10 2)");
}

TEST(Structure, CountsTheOctetsThatAreStoredWhateverTheLineEnd)
{
    expect_structure("Subject: x\n\none\ntwo",
                     "(\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 7 1 NIL NIL NIL NIL)");
}

TEST(Structure, HoldsEveryFieldOfASinglePart)
{
    expect_structure(
        "Content-Type: Image/GIF (a picture); Name=\"a \\\"b\\\".gif\"; x=y\n"
        "Content-ID: <id@x>\n"
        "Content-Description: what\n it is\n"
        "Content-Transfer-Encoding: BASE64\n"
        "Content-MD5: Q2hlY2sgSW50ZWdyaXR5IQ==\n"
        "Content-Disposition: attachment; filename=a.gif;\n size=12\n"
        "Content-Language: en, de\n"
        "Content-Location: http://example.test/a.gif\n"
        "\n"
        "AAAA\n",
        "(\"Image\" \"GIF\" (\"Name\" \"a \\\"b\\\".gif\" \"x\" \"y\") \"<id@x>\" \"what it is\" \"BASE64\" 5 "
        "\"Q2hlY2sgSW50ZWdyaXR5IQ==\" (\"attachment\" (\"filename\" \"a.gif\" \"size\" \"12\")) "
        "(\"en\" \"de\") \"http://example.test/a.gif\")",
        "(\"Image\" \"GIF\" (\"Name\" \"a \\\"b\\\".gif\" \"x\" \"y\") \"<id@x>\" \"what it is\" \"BASE64\" 5)");
}

TEST(Structure, TakesASingleLanguageAsAString)
{
    expect_structure("Content-Language: fr\n\nx",
                     "(\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 1 0 NIL NIL \"fr\" NIL)");
}

TEST(Structure, OfAMultipartPutsTheParametersBehindTheSubtype)
{
    expect_structure("Content-Type: multipart/mixed; boundary=\"b\"; x=1\r\n"
                     "Content-Disposition: inline\r\n"
                     "\r\n"
                     "preamble\r\n"
                     "--b\r\n"
                     "\r\n"
                     "one\r\n"
                     "\r\n"
                     "--b\r\n"
                     "Content-Type: text/html; charset=UTF-8\r\n"
                     "\r\n"
                     "--b--\r\n"
                     "epilogue\r\n",
                     "((\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 5 1 NIL NIL NIL NIL)"
                     "(\"text\" \"html\" (\"charset\" \"UTF-8\") NIL NIL \"7bit\" 0 0 NIL NIL NIL NIL) "
                     "\"mixed\" (\"boundary\" \"b\" \"x\" \"1\") (\"inline\" NIL) NIL NIL)",
                     "((\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 5 1)"
                     "(\"text\" \"html\" (\"charset\" \"UTF-8\") NIL NIL \"7bit\" 0 0) \"mixed\")");
}

TEST(Structure, OfAnEncapsulatedMessageCarriesItsEnvelopeStructureAndLines)
{
    expect_structure(
        "Content-Type: multipart/mixed; boundary=b\n\n"
        "--b\n"
        "Content-Type: message/rfc822\n"
        "\n"
        "Subject: in\n"
        "From: a@b\n"
        "\n"
        "text\n"
        "more\n"
        "--b--\n",
        "((\"message\" \"rfc822\" NIL NIL NIL \"7bit\" 32 "
        "(NIL \"in\" ((NIL NIL \"a\" \"b\")) ((NIL NIL \"a\" \"b\")) ((NIL NIL \"a\" \"b\")) NIL NIL NIL NIL NIL) "
        "(\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 9 1 NIL NIL NIL NIL) 4 NIL NIL NIL NIL) "
        "\"mixed\" (\"boundary\" \"b\") NIL NIL NIL)");
}

TEST(Structure, LooksIntoMessageGlobalToo)
{
    expect_structure(
        "Content-Type: message/global\n\nSubject: \xc3\xa9\n\nx",
        "(\"message\" \"global\" NIL NIL NIL \"7bit\" 14 (NIL {2}\r\n\xc3\xa9 NIL NIL NIL NIL NIL NIL NIL NIL) "
        "(\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 1 0 NIL NIL NIL NIL) 2 NIL NIL NIL NIL)");
}

TEST(Structure, OfAnEncodedMessageIsBytes)
{
    expect_structure(
        "Content-Type: message/rfc822; name=x.eml\nContent-Transfer-Encoding: base64\n\nRnJvbTogeAoKeQo=\n",
        "(\"application\" \"octet-stream\" (\"name\" \"x.eml\") NIL NIL \"base64\" 17 NIL NIL NIL NIL)");
}

TEST(Structure, OfADigestDefaultsToMessages)
{
    expect_structure(
        "Content-Type: multipart/digest; boundary=d\n\n"
        "--d\n\nSubject: 1\n\nx\n"
        "--d\nContent-Type: text/plain\n\ny\n"
        "--d--\n",
        "((\"message\" \"rfc822\" NIL NIL NIL \"7bit\" 13 (NIL \"1\" NIL NIL NIL NIL NIL NIL NIL NIL) "
        "(\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 1 0 NIL NIL NIL NIL) 2 NIL NIL NIL NIL)"
        "(\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 1 0 NIL NIL NIL NIL) "
        "\"digest\" (\"boundary\" \"d\") NIL NIL NIL)");
}

TEST(Structure, PassesRfc2231ParametersAsFoundAndUsesThemForBoundaryAndCharset)
{
    std::string m =
        "Content-Type: multipart/mixed; boundary*0=\"one\"; boundary*1=two\n\n"
        "--onetwo\n"
        "Content-Type: text/plain; charset*=us-ascii'en'UTF-8; name*0*=utf-8''a%20; name*1=b\n\nx\n--onetwo--\n";
    expect_structure(
        m, "((\"text\" \"plain\" (\"charset*\" \"us-ascii'en'UTF-8\" \"name*0*\" \"utf-8''a%20\" \"name*1\" \"b\") "
           "NIL NIL \"7bit\" 1 0 NIL NIL NIL NIL) \"mixed\" "
           "(\"boundary*0\" \"one\" \"boundary*1\" \"two\") NIL NIL NIL)");
    Record rec(parse(m));
    EXPECT_STREQ("utf-8", rec.part(1).charset);
}

TEST(Structure, TakesTheFirstOfRepeatedParametersAndPiecesInOrderOnly)
{
    Record rec(parse("Content-Type: text/plain; charset=one; charset=two\n\n"));
    EXPECT_STREQ("one", rec.part(0).charset);
    Record pieces(
        parse("Content-Type: text/plain; charset*1=b; charset*0=a; charset*1=c; charset*x=d; charset2=e\n\n"));
    EXPECT_STREQ("ac", pieces.part(0).charset);
}

TEST(Structure, ReadsParametersLeniently)
{
    expect_structure(
        "Content-Type: text/x-note; charset=utf-8 (comment); name=my file.txt ; broken; =x; empty=; q=\"open\n\nx",
        "(\"text\" \"x-note\" (\"charset\" \"utf-8\" \"name\" \"my file.txt\" \"empty\" \"\" \"q\" \"open\") "
        "NIL NIL \"7bit\" 1 0 NIL NIL NIL NIL)");
}

TEST(Structure, UnderstandsParametersWithoutTheirSemicolon)
{
    Record rec(parse("Content-Type: multipart/mixed\n\tboundary=\"b\" x=y\n\n--b\n\nz\n--b--\n"));
    EXPECT_EQ("((\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 1 0 NIL NIL NIL NIL) \"mixed\" "
              "(\"boundary\" \"b\" \"x\" \"y\") NIL NIL NIL)",
              rec.structure());
}

TEST(Structure, FallsBackToPlainTextForABadType)
{
    const std::string plain = "(\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 1 0 NIL NIL NIL NIL)";
    expect_structure("Content-Type: text\n\nx", plain);
    expect_structure("Content-Type: /plain\n\nx", plain);
    expect_structure("Content-Type:\n\nx", plain);
    expect_structure("Content-Type: multipart/mixed\n\nx", plain);
    expect_structure("Content-Type: multipart/mixed; boundary=\"\"\n\nx", plain);
    expect_structure("Content-Type: multipart/mixed; boundary=\"" + std::string(256, 'b') + "\"\n\nx", plain);
}

TEST(Structure, OfRealMailWithAnAttachedMessage)
{
    expect_structure(
        sample("mail-parser/rfc/007.eml"),
        "((\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 1 0 NIL (\"inline\" NIL) NIL NIL)"
        "((((\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 1 0 NIL (\"inline\" NIL) NIL NIL)"
        "(\"image\" \"jpeg\" NIL NIL NIL \"7bit\" 1 NIL (\"inline\" NIL) NIL NIL)"
        "(\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 1 0 NIL (\"inline\" NIL) NIL NIL) "
        "\"mixed\" (\"boundary\" \"4\") NIL NIL NIL)"
        "((\"text\" \"html\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 14 0 NIL NIL NIL NIL)"
        "(\"image\" \"jpeg\" NIL NIL NIL \"7bit\" 1 NIL NIL NIL NIL) \"related\" (\"boundary\" \"5\") NIL NIL NIL) "
        "\"alternative\" (\"boundary\" \"3\") NIL NIL NIL)"
        "(\"image\" \"jpeg\" NIL NIL NIL \"7bit\" 1 NIL (\"attachment\" NIL) NIL NIL)"
        "(\"application\" \"x-excel\" NIL NIL NIL \"7bit\" 1 NIL NIL NIL NIL)"
        "(\"message\" \"rfc822\" NIL NIL NIL \"7bit\" 13 (NIL \"J\" NIL NIL NIL NIL NIL NIL NIL NIL) "
        "(\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 1 0 NIL NIL NIL NIL) 2 NIL NIL NIL NIL) "
        "\"mixed\" (\"boundary\" \"2\") NIL NIL NIL)"
        "(\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 1 0 NIL (\"inline\" NIL) NIL NIL) "
        "\"mixed\" (\"boundary\" \"1\") NIL NIL NIL)");
}

TEST(Structure, OfRealMailWithSimilarBoundaries)
{
    Record rec(parse(sample("mikel-mail/mime_emails/email_with_similar_boundaries.eml")));
    EXPECT_EQ("(((\"text\" \"plain\" (\"charset\" \"utf-8\") NIL NIL \"8bit\" 6 1)"
              "(\"text\" \"html\" (\"charset\" \"utf-8\") NIL NIL \"8bit\" 244 6) \"alternative\")"
              "(\"application\" \"octetstream\" NIL \"<LOGO.png>\" NIL \"base64\" 6) \"mixed\")",
              rec.body());
}

TEST(Structure, OfRealMailThatNestsMessagesDirectly)
{
    Record rec(parse(sample("mail-parser/malformed/010.eml")));
    EXPECT_EQ("(\"message\" \"rfc822\" NIL NIL NIL \"7bit\" 58 (NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL) "
              "(\"message\" \"rfc822\" NIL NIL NIL \"7bit\" 28 (NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL) "
              "(\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 2 1) 3) 5)",
              rec.body());
}

TEST(Structure, OfARealBounceHasReportParts)
{
    Record rec(parse(sample("mikel-mail/multipart_report_emails/report_422.eml")));
    EXPECT_NE(std::string::npos, rec.body().find("\"delivery-status\""));
    EXPECT_FALSE(rec.r.has_attachment);
}

TEST(Structure, SaysWhetherThereIsAnAttachment)
{
    auto has = [](const std::string &m) { return Record(parse(m)).r.has_attachment; };
    EXPECT_FALSE(has("\nx"));
    EXPECT_FALSE(has("Content-Type: text/html\n\nx"));
    EXPECT_TRUE(has("Content-Type: application/pdf\n\nx"));
    EXPECT_TRUE(has("Content-Type: text/plain; name=a.txt\n\nx"));
    EXPECT_TRUE(has("Content-Disposition: attachment\n\nx"));
    EXPECT_FALSE(has("Content-Type: text/plain; name=a\nContent-Disposition: inline\n\nx"));
    EXPECT_TRUE(has("Content-Type: image/png\nContent-Disposition: inline; filename=a.png\n\nx"));
    EXPECT_FALSE(has("Content-Type: image/png\nContent-ID: <x>\nContent-Disposition: inline; filename=a.png\n\nx"));
    EXPECT_FALSE(
        has("Content-Type: multipart/related; boundary=b\n\n--b\nContent-Type: image/png\nContent-ID: <x>\n\n--b--\n"));
    EXPECT_FALSE(
        has("Content-Type: multipart/signed; boundary=b\n\n--b\n\nx\n--b\nContent-Type: application/pgp-signature; "
            "name=s.asc\n\n--b--\n"));
    EXPECT_TRUE(
        has("Content-Type: multipart/mixed; boundary=b\n\n--b\n\nx\n--b\nContent-Type: message/rfc822\n\n--b--\n"));
    EXPECT_TRUE(Record(parse(sample("mikel-mail/attachment_emails/attachment_pdf.eml"))).r.has_attachment);
}
