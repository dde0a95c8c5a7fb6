#include "tests/unit/proto/message/grammar.h"

#include <time.h>

namespace
{

constexpr size_t record_max = 32 * 1024;

/* Parses in pieces of 16 KiB as a connection would; fails when it is not linear by a wide margin. */
std::string parse_bounded(const std::string &m, double seconds_max = 2.0)
{
    std::vector<size_t> cuts;
    for (size_t at = 16384; at < m.size(); at += 16384) {
        cuts.push_back(at);
    }
    clock_t from = clock(); /* the processor's time: the machine may be busy with other things */
    std::string bytes = parse_at(m, cuts);
    EXPECT_LT(static_cast<double>(clock() - from) / CLOCKS_PER_SEC, seconds_max);
    EXPECT_LE(bytes.size(), record_max);
    expect_sound(bytes, m.size());
    return bytes;
}

std::string body(const std::string &m)
{
    std::string bytes = parse(m);
    expect_sound(bytes, m.size());
    EXPECT_EQ(bytes, parse_bytewise(m));
    return Record(bytes).body();
}

std::string text(size_t octets, size_t lines)
{
    return "(\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" " + std::to_string(octets) + " " +
           std::to_string(lines) + ")";
}

const std::string mixed = "Content-Type: multipart/mixed; boundary=b\n\n";

} // namespace

TEST(Torture, AnUnterminatedMultipartEndsWithTheMessage)
{
    EXPECT_EQ("(" + text(1, 0) + text(2, 1) + " \"mixed\")", body(mixed + "--b\n\nx\n--b\n\ny\n"));
}

TEST(Torture, AMultipartWithoutItsBoundaryHasAnEmptyPart)
{
    EXPECT_EQ("(" + text(0, 0) + " \"mixed\")", body(mixed + "just text\n"));
    EXPECT_EQ("(" + text(0, 0) + " \"mixed\")", body(mixed));
    EXPECT_EQ("(" + text(0, 0) + " \"mixed\")", body("Content-Type: multipart/mixed; boundary=b"));
    EXPECT_EQ("(" + text(0, 0) + " \"mixed\")", body(mixed + "--b--\n"));
}

TEST(Torture, ABoundaryAtTheVeryStartOrEndCounts)
{
    EXPECT_EQ("(" + text(0, 0) + " \"mixed\")", body(mixed + "--b"));
    EXPECT_EQ("(" + text(1, 0) + " \"mixed\")", body(mixed + "--b\n\nx\n--b--"));
    EXPECT_EQ("(" + text(1, 0) + text(0, 0) + " \"mixed\")", body(mixed + "--b\n\nx\n--b"));
}

TEST(Torture, ABoundaryThatIsAPrefixOfAnotherIsNotTakenForIt)
{
    std::string m = "Content-Type: multipart/mixed; boundary=ab\n\n"
                    "--ab\nContent-Type: multipart/mixed; boundary=abc\n\n--abc\n\nx\n--abc\n\ny\n--abc--\n"
                    "--ab\n\nz\n--abc\n--ab-- \t\n--ab\n";
    EXPECT_EQ("((" + text(1, 0) + text(1, 0) + " \"mixed\")" + text(7, 1) + " \"mixed\")", body(m));
}

TEST(Torture, TheInnermostOfTwoEqualBoundariesCounts)
{
    std::string m = mixed + "--b\n" + mixed + "--b\n\nx\n--b--\n--b\n\ny\n--b--\n";
    EXPECT_EQ("((" + text(1, 0) + " \"mixed\")" + text(1, 0) + " \"mixed\")", body(m));
}

TEST(Torture, AnOuterDelimiterEndsEverythingInside)
{
    std::string m = "Content-Type: multipart/mixed; boundary=o\n\n--o\nContent-Type: message/rfc822\n\n"
                    "Content-Type: multipart/mixed; boundary=i\n\n--i\n\nx\n--o\n\ny\n--o--\n";
    EXPECT_EQ("((\"message\" \"rfc822\" NIL NIL NIL \"7bit\" 49 (NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL) (" +
                  text(1, 0) + " \"mixed\") 4)" + text(1, 0) + " \"mixed\")",
              body(m));
}

TEST(Torture, AHeaderWithoutABodyIsAMessage)
{
    EXPECT_EQ(text(0, 0), body("Subject: x"));
    EXPECT_EQ(text(0, 0), body("Subject: x\r\n"));
    EXPECT_EQ(text(0, 0), body("Subject: x\r\n\r\n"));
    EXPECT_EQ(text(0, 0), body("\r\n"));
    EXPECT_EQ(text(0, 0), body(""));
    EXPECT_EQ(text(1, 0), body("\nx"));
}

TEST(Torture, APartHeaderThatADelimiterCutsOffIsAPartWithoutABody)
{
    EXPECT_EQ("((\"image\" \"gif\" NIL NIL NIL \"7bit\" 0)" + text(1, 0) + " \"mixed\")",
              body(mixed + "--b\nContent-Type: image/gif\n--b\n\nx\n--b--\n"));
    std::string message = "(\"message\" \"rfc822\" NIL NIL NIL \"7bit\" ";
    EXPECT_EQ("(" + message + "0 (NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL) " + text(0, 0) + " 0) \"mixed\")",
              body(mixed + "--b\nContent-Type: message/rfc822\n--b--\n"));
    EXPECT_EQ("(" + message + "11 (NIL \"x\" NIL NIL NIL NIL NIL NIL NIL NIL) " + text(0, 0) + " 1) \"mixed\")",
              body(mixed + "--b\nContent-Type: message/rfc822\n\nSubject: x\n--b--\n"));
    EXPECT_EQ("(" + message + "12 (NIL \"x\" NIL NIL NIL NIL NIL NIL NIL NIL) " + text(0, 0) + " 2) \"mixed\")",
              body(mixed + "--b\nContent-Type: message/rfc822\n\nSubject: x\n\n--b--\n"));
}

TEST(Torture, LinesThatAreNoFieldsDoNotEndTheHeader)
{
    Record rec(parse("From someone Mon Jan 1\n>From: x\n no\nSubject : y\n: z\n\nbody"));
    EXPECT_EQ("(NIL \"y\" NIL NIL NIL NIL NIL NIL NIL NIL)", rec.envelope());
    EXPECT_EQ(4u, rec.part(0).body_bytes);
}

TEST(Torture, MixedLineEndsAndBareCrsAreKeptApart)
{
    EXPECT_EQ("(" + text(3, 0) + text(2, 1) + " \"mixed\")",
              body("Content-Type: multipart/mixed; boundary=b\r\n\n--b\r\n\nx\r\r\r\n--b\r\r\n\r\n\ny\r\n--b--\r\n"));
}

TEST(Torture, NulBytesAreBytes)
{
    static const char raw[] = "Subject: a\0b\nX\0: y\nContent-Type: text/plain; name=\"\0\"\n\n\0\0\n\0";
    std::string m(raw, sizeof(raw) - 1);
    std::string bytes = parse(m);
    expect_sound(bytes, m.size());
    EXPECT_EQ(bytes, parse_bytewise(m));
}

TEST(Torture, AMegabyteHeaderLineIsReadUpToTheLimit)
{
    std::string m = "Subject: " + std::string(1 << 20, 'x') + "\nFrom: a@b\n\nbody\n";
    Record rec(parse_bounded(m));
    EXPECT_EQ(m.size() - 5, rec.r.header_bytes);
    EXPECT_EQ(5u, rec.part(0).body_bytes);
    slice from = slice_str("from");
    EXPECT_FALSE(msg_headers_cached(&rec.r, &from, 1));
}

TEST(Torture, AMegabyteOfHeaderFieldsIsReadUpToTheLimit)
{
    std::string m = "Subject: first\n";
    while (m.size() < (1u << 20)) {
        m += "To: somebody@example.test\nX-Filler: y\n";
    }
    Record rec(parse_bounded(m + "Cc: last@x\n\nbody"));
    EXPECT_NE(std::string::npos, rec.envelope().find("\"first\""));
    EXPECT_EQ(std::string::npos, rec.envelope().find("last"));
    EXPECT_EQ(m.size() + 12, rec.r.header_bytes);
}

TEST(Torture, AFieldThatTheLimitCutsIsNotTakenForWhole)
{
    msg_limits limits = msg_limits_default;
    limits.header_bytes_max = 1024;
    std::string m = "From: a@b\n" + std::string("X: ") + std::string(1000, 'x') + "\nTo: one@example.test\n\nbody";
    std::string whole = parse(m, limits);
    EXPECT_EQ("(NIL NIL ((NIL NIL \"a\" \"b\")) ((NIL NIL \"a\" \"b\")) ((NIL NIL \"a\" \"b\")) NIL NIL NIL NIL NIL)",
              Record(whole).envelope());
    EXPECT_EQ(whole, parse_bytewise(m, limits));
}

TEST(Torture, AHundredThousandPartsAreCountedUpToTheLimit)
{
    std::string m = mixed;
    for (int i = 0; i < 100000; i++) {
        m += "--b\n\nx\n";
    }
    Record rec(parse_bounded(m + "--b--\n"));
    EXPECT_GT(rec.r.n_parts, 100u);
    EXPECT_LE(rec.r.n_parts, 1000u);
    /* The last part that counts has the rest. */
    EXPECT_GT(rec.part(rec.r.n_parts - 1).body_bytes, 600000u);
    EXPECT_EQ(m.size() - mixed.size() + 6, rec.part(0).body_bytes);
}

TEST(Torture, PartsAreLimitedByNumberToo)
{
    msg_limits limits = msg_limits_default;
    limits.parts_max = 3;
    std::string m = mixed + "--b\n\n1\n--b\n\n2\n--b\n\n3\n--b--\nend\n";
    std::string bytes = parse(m, limits);
    expect_sound(bytes, m.size());
    EXPECT_EQ("(" + text(1, 0) + text(8, 3) + " \"mixed\")", Record(bytes).body());
    limits.parts_max = 1;
    EXPECT_EQ("(\"application\" \"octet-stream\" NIL NIL NIL \"7bit\" 31)", Record(parse(m, limits)).body());
}

TEST(Torture, NestingTenThousandDeepStopsAtTheLimit)
{
    std::string m;
    for (int i = 0; i < 10000; i++) {
        std::string b = "b" + std::to_string(i);
        m += "Content-Type: multipart/mixed; boundary=" + b + "\n\n--" + b + "\n";
    }
    m += "\ntext\n";
    for (int i = 9999; i >= 0; i--) {
        m += "--b" + std::to_string(i) + "--\n";
    }
    Record rec(parse_bounded(m));
    EXPECT_EQ(65u, rec.r.n_parts);
    EXPECT_TRUE(rec.r.structure_cut);
    EXPECT_NE(std::string::npos, rec.body().find("((\"application\" \"octet-stream\" NIL NIL NIL \"7bit\" "));
}

TEST(Torture, MessagesTenThousandDeepStopAtTheLimit)
{
    std::string m;
    for (int i = 0; i < 10000; i++) {
        m += "Content-Type: message/rfc822\nFrom: a@b\n\n";
    }
    Record rec(parse_bounded(m + "\nend"));
    EXPECT_GT(rec.r.n_parts, 10u);
    EXPECT_LE(rec.r.n_parts, 65u);
    EXPECT_TRUE(rec.r.structure_cut);
}

TEST(Torture, AllLevelsOfADeepHeaderEndWithOneDelimiter)
{
    std::string m = mixed + "--b\n";
    for (int i = 0; i < 40; i++) {
        m += "Content-Type: message/rfc822\n\n";
    }
    m += "Subject: cut\n--b\n\nnext\n--b--\n";
    std::string bytes = parse_bounded(m);
    EXPECT_EQ(bytes, parse_bytewise(m));
}

TEST(Torture, AFloodOfParametersDoesNotFillTheRecord)
{
    std::string m = "Content-Type: text/plain";
    for (int i = 0; i < 20000; i++) {
        m += "; p" + std::to_string(i) + "=\"" + std::string(5, '"') + "\"";
    }
    Record rec(parse_bounded(m + "\n\nx"));
    EXPECT_EQ(1u, rec.r.n_parts);
    std::string big = "Content-Type: text/plain";
    for (int i = 0; i < 60; i++) {
        big += "; p" + std::to_string(i) + "=" + std::string(900, 'v');
    }
    Record cut(parse_bounded(big + "\n\nx"));
    EXPECT_TRUE(cut.r.structure_cut);
}

TEST(Torture, AFloodOfEncodedWordsIsLinear)
{
    for (const char *word :
         {"=?utf-8?q?a?= ", "=?iso-2022-jp?B?GyRCJCIbKEI=?= ", "=?", "=?x?q?", "?=", "=?a?b?\?=", "=", "=?a?q?=?"}) {
        std::string m = "Subject: ";
        while (m.size() < 250000) {
            m += word;
        }
        parse_bounded(m + "\n\nx");
        Buf out;
        clock_t from = clock();
        ASSERT_EQ(OK, msg_header_decode(to_slice(m), &out.b));
        double took = static_cast<double>(clock() - from) / CLOCKS_PER_SEC;
        EXPECT_LT(took, 2.0) << word;
    }
}

TEST(Torture, FloodsOfPunctuationAreLinear)
{
    for (const char *piece : {"(",     ")",      "\"",   "<",       ">",   "[",      "@",   ":",   ";",
                              ",",     "\\",     "<@",   "a:",      "(\\", "\"\\",   ";(",  ";a(", ";a=(",
                              ";a=b(", ";a=b c", "a=b ", "a=\"b\"", "(a",  "<a@b>,", "\xff"}) {
        std::string value;
        while (value.size() < 250000) {
            value += piece;
        }
        SCOPED_TRACE(piece);
        parse_bounded("From: " + value + "\nTo: " + value + "\nDate: " + value + "\nReferences: " + value +
                      "\nContent-Type: " + value + "\nContent-Disposition: " + value + "\n\n");
        parse_bounded("Subject: " + value + "\nContent-Type: text/plain; " + value + "\nContent-Language: " + value +
                      "\nContent-Disposition: x; a=" + value + "\n\n");
    }
}

TEST(Torture, FloodsOfAlmostDelimitersAreLinear)
{
    std::string deep;
    for (int i = 0; i < 60; i++) {
        std::string b = std::string(69, 'b') + std::to_string(i);
        deep += "Content-Type: multipart/mixed; boundary=" + b + "\n\n--" + b + "\n";
    }
    deep += "\n";
    for (const std::string &line : {std::string("--\n"), std::string("-\n"), "--" + std::string(69, 'b') + "x\n",
                                    "--" + std::string(600, 'b') + "\n", std::string("\n")}) {
        std::string m = deep;
        while (m.size() < (2u << 20)) {
            m += line;
        }
        parse_bounded(m, 4.0);
    }
}

TEST(Torture, ALineLongerThanAnyDelimiterIsNone)
{
    for (size_t padding : {400u, 505u, 506u, 507u, 508u, 509u, 510u, 511u, 512u, 513u, 2000u}) {
        std::string m = mixed + "--b" + std::string(padding, ' ') + "\n\nx\n--b--\n";
        std::string whole = parse(m);
        ASSERT_EQ(whole, parse_bytewise(m)) << padding;
        EXPECT_EQ(padding + 3 <= 512 ? 1u : 0u, Record(whole).part(1).body_bytes) << padding;
    }
}

TEST(Torture, TheRecordStaysWithinEveryLimit)
{
    std::string multiparts = mixed;
    std::string messages = mixed;
    std::string both = mixed;
    for (int i = 0; i < 200; i++) {
        std::string inner = "--b\nContent-Type: multipart/x; boundary=i" + std::to_string(i) + "\n\nno part\n";
        std::string message = "--b\nContent-Type: message/rfc822\nContent-Description: " + std::string(i % 50, 'd') +
                              "\n\nFrom: a@b\nSubject: " + std::string(static_cast<size_t>(i) * 5, 's') + "\n\nx\n";
        multiparts += inner;
        messages += message;
        both +=
            (i % 3 == 0 ? inner : message) + "--b\nContent-Type: text/plain; charset=c" + std::to_string(i) + "\n\ny\n";
    }
    msg_limits limits = msg_limits_default;
    for (uint32_t max = 8192; max < 14000; max += 37) {
        limits.record_bytes_max = max;
        for (const std::string &m : {multiparts, messages, both}) {
            std::string bytes = parse(m, limits);
            ASSERT_LE(bytes.size(), max);
            expect_sound(bytes, m.size());
        }
    }
}
