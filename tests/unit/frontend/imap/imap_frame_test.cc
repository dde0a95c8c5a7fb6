#include "imap_fixture.h"

#include "frontend/imap/imap_frame.h"

namespace
{

/* What comes out of a stream, as one line an event. Literals over 20 bytes are refused. */
std::string run(const std::vector<std::string> &pieces, size_t limit = 64)
{
    imap_frame f;
    std::string log;
    imap_frame_init(&f, limit);
    for (const std::string &piece : pieces) {
        Text text(piece);
        slice in = text.get();
        while (in.n > 0) {
            size_t n = 0;
            imap_frame_status status = IMAP_FRAME_MORE;
            EXPECT_EQ(OK, imap_frame_feed(&f, in, &n, &status));
            EXPECT_LE(n, in.n);
            in = slice_sub(in, n, in.n);
            if (status == IMAP_FRAME_LITERAL) {
                log += "literal " + std::to_string(f.literal_bytes) + (f.literal_sync ? "" : "+") + "\n";
                if (f.literal_bytes > 20) {
                    log += "refused\n";
                    imap_frame_refuse(&f);
                } else {
                    imap_frame_accept(&f);
                }
            } else if (status == IMAP_FRAME_DONE) {
                log += "command <" + str(buf_slice(&f.text)) + ">\n";
                imap_frame_next(&f);
            } else if (status == IMAP_FRAME_TOO_LONG) {
                log += "too long\n";
                imap_frame_next(&f);
            }
        }
    }
    log += imap_frame_idle(&f) ? "idle" : "pending";
    imap_frame_fini(&f);
    return log;
}

/* Whole, cut in two at every place, and byte by byte: always the same. */
void expect_at_every_split(const std::string &stream, const std::string &want, size_t limit = 64)
{
    EXPECT_EQ(want, run({stream}, limit));
    for (size_t i = 1; i < stream.size(); i++) {
        EXPECT_EQ(want, run({stream.substr(0, i), stream.substr(i)}, limit)) << "split at " << i;
    }
    std::vector<std::string> bytes;
    for (char c : stream) {
        bytes.emplace_back(1, c);
    }
    EXPECT_EQ(want, run(bytes, limit));
}

TEST(ImapFrame, LinesAreCutAtEverySplit)
{
    expect_at_every_split("a NOOP\r\nb CHECK\nc X", "command <a NOOP>\ncommand <b CHECK>\npending");
}

TEST(ImapFrame, LiteralsArePartOfTheCommand)
{
    expect_at_every_split("a LOGIN {3}\r\nb\r\n {2+}\r\n{1 x\r\nb NOOP\r\n",
                          "literal 3\nliteral 2+\ncommand <a LOGIN {3}\r\nb\r\n {2+}\r\n{1 x>\ncommand <b NOOP>\nidle");
}

TEST(ImapFrame, AnEmptyLiteralIsALiteral)
{
    expect_at_every_split("a X {0}\r\n {0+}\r\n\r\n", "literal 0\nliteral 0+\ncommand <a X {0}\r\n {0+}\r\n>\nidle");
}

TEST(ImapFrame, ARefusedLiteralPlusIsNeverReadAsACommand)
{
    /* The 25 bytes hold a command; the line after them belongs to the refused one as well. */
    expect_at_every_split("a X {25+}\r\nb LOGOUT\r\nc LOGOUT\r\n12345 {2+}\r\n\r\n rest\r\nd NOOP\r\n",
                          "literal 25+\nrefused\ncommand <d NOOP>\nidle");
}

TEST(ImapFrame, ARefusedSynchronizingLiteralEndsItsCommand)
{
    expect_at_every_split("a X {25}\r\nb NOOP\r\n", "literal 25\nrefused\ncommand <b NOOP>\nidle");
}

TEST(ImapFrame, ALineOverTheLimitIsSkippedWithItsLiterals)
{
    std::string longer(40, 'x');
    expect_at_every_split("a " + longer + " {3+}\r\n\r\n\n{4+}\r\nb X\n\r\nc NOOP\r\n",
                          "too long\ncommand <c NOOP>\nidle", 30);
}

TEST(ImapFrame, ALiteralThatOverflowsTheLimitIsSkipped)
{
    expect_at_every_split("a 1234567 {18+}\r\nb NOOP\r\nc NOOP\r\n--\r\nd NOOP\r\n",
                          "literal 18+\ntoo long\ncommand <d NOOP>\nidle", 20);
}

TEST(ImapFrame, ACommandOfExactlyTheLimitPasses)
{
    expect_at_every_split("12345\r\n", "command <12345>\nidle", 5);
    expect_at_every_split("1234567890\r\n", "too long\nidle", 5);
}

TEST(ImapFrame, OnlyAHeaderAtTheEndOfALineIsALiteral)
{
    uint64_t n;
    bool sync;
    EXPECT_TRUE(imap_literal_header(S("a {0}"), &n, &sync));
    EXPECT_TRUE(imap_literal_header(S("{18446744073709551615+}"), &n, &sync));
    EXPECT_EQ(UINT64_MAX, n);
    EXPECT_FALSE(sync);
    EXPECT_FALSE(imap_literal_header(S("{18446744073709551616}"), &n, &sync));
    EXPECT_FALSE(imap_literal_header(S("{}"), &n, &sync));
    EXPECT_FALSE(imap_literal_header(S("{+}"), &n, &sync));
    EXPECT_FALSE(imap_literal_header(S("{1-}"), &n, &sync));
    EXPECT_FALSE(imap_literal_header(S("1}"), &n, &sync));
    EXPECT_FALSE(imap_literal_header(S("{1} "), &n, &sync));
    EXPECT_FALSE(imap_literal_header(S("{1}\""), &n, &sync));
    EXPECT_FALSE(imap_literal_header(S(""), &n, &sync));
}

} // namespace
