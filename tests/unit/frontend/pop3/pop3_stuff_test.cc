#include "frontend/pop3/pop3_stuff.h"

#include <gtest/gtest.h>

#include <string>

namespace
{

std::string send(const std::string &in, size_t a, size_t b, uint64_t lines)
{
    pop3_stuff s;
    buf out;
    std::string r;
    pop3_stuff_init(&s, lines);
    buf_init(&out, 1 << 20);
    const size_t cuts[] = {0, a, b, in.size()};
    for (int i = 0; i < 3; i++) {
        buf_reset(&out);
        EXPECT_EQ(pop3_stuff_feed(&s, slice_make(in.data() + cuts[i], cuts[i + 1] - cuts[i]), &out), OK);
        EXPECT_LE(out.len, POP3_STUFF_OUT_BYTES(cuts[i + 1] - cuts[i]));
        r.append(reinterpret_cast<const char *>(buf_slice(&out).p), out.len);
    }
    buf_reset(&out);
    EXPECT_EQ(pop3_stuff_finish(&s, &out), OK);
    r.append(reinterpret_cast<const char *>(buf_slice(&out).p), out.len);
    buf_fini(&out);
    return r;
}

void expect(const std::string &in, uint64_t lines, const std::string &want)
{
    for (size_t a = 0; a <= in.size(); a++) {
        for (size_t b = a; b <= in.size(); b++) {
            ASSERT_EQ(send(in, a, b, lines), want) << testing::PrintToString(in) << " cut at " << a << ", " << b;
        }
    }
}

} // namespace

TEST(Pop3Stuff, MessagesGoOutLineByLine)
{
    expect("", POP3_LINES_ALL, ".\r\n");
    expect("a\r\n\r\nb\r\n", POP3_LINES_ALL, "a\r\n\r\nb\r\n.\r\n");
    expect(".\r\n..\r\n.a\r\nb.\r\n\r\n.", POP3_LINES_ALL, "..\r\n...\r\n..a\r\nb.\r\n\r\n..\r\n.\r\n");
}

TEST(Pop3Stuff, AnUnfinishedLineIsFinished)
{
    expect("a", POP3_LINES_ALL, "a\r\n.\r\n");
    expect("a\r", POP3_LINES_ALL, "a\r\n.\r\n");
    expect("a\r\n\r", POP3_LINES_ALL, "a\r\n\r\n.\r\n");
    expect(".", POP3_LINES_ALL, "..\r\n.\r\n");
}

/* A reader that splits at LF and one that splits at CRLF find the same end. */
TEST(Pop3Stuff, BareLineFeedsBecomeLineEnds)
{
    expect("a\n.\nb\n", POP3_LINES_ALL, "a\r\n..\r\nb\r\n.\r\n");
    expect("\n.\r\n\n", POP3_LINES_ALL, "\r\n..\r\n\r\n.\r\n");
    expect("a\r\r\nb\rc\r\n\r.\r\n", POP3_LINES_ALL, "a\r\r\nb\rc\r\n\r.\r\n.\r\n");
}

TEST(Pop3Stuff, TopSendsTheHeaderAndSomeLines)
{
    const std::string m = "A: b\r\nC: d\r\n\r\none\r\n.two\r\nthree";
    expect(m, 0, "A: b\r\nC: d\r\n\r\n.\r\n");
    expect(m, 1, "A: b\r\nC: d\r\n\r\none\r\n.\r\n");
    expect(m, 2, "A: b\r\nC: d\r\n\r\none\r\n..two\r\n.\r\n");
    expect(m, 3, "A: b\r\nC: d\r\n\r\none\r\n..two\r\nthree\r\n.\r\n");
    expect(m, 4, "A: b\r\nC: d\r\n\r\none\r\n..two\r\nthree\r\n.\r\n");
    expect("A: b\nC: d\n\none\ntwo\n", 1, "A: b\r\nC: d\r\n\r\none\r\n.\r\n");
    expect("\r\nbody\r\n", 0, "\r\n.\r\n");
    expect("only: header\r\n", 0, "only: header\r\n.\r\n");
}
