#include "frontend/smtp/smtp_line.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace
{

/* What the lines of the input read as, fed in the pieces [0, split) and the rest, consuming as a session does. */
std::vector<std::string> lines(const std::string &input, size_t split, size_t max)
{
    static const char *const names[] = {"more", "ok", "lf", "cr", "long"};
    std::vector<std::string> out;
    smtp_line st = {};
    std::string unread;
    for (const std::string &piece : {input.substr(0, split), input.substr(split)}) {
        unread += piece;
        for (;;) {
            slice line = {};
            size_t used = 0;
            smtp_line_result r = smtp_line_next(&st, slice_make(unread.data(), unread.size()), max, &line, &used);
            if (r != SMTP_LINE_MORE) {
                out.push_back(std::string(names[r]) + ":" +
                              std::string(reinterpret_cast<const char *>(line.p), line.n));
            }
            unread.erase(0, used);
            if (r == SMTP_LINE_MORE) {
                break;
            }
        }
    }
    return out;
}

} // namespace

TEST(SmtpLine, LinesAreTheSameAtEverySplit)
{
    using namespace std::string_literals;
    const std::string input = "EHLO a\r\nMAIL\nX\rY\r\n\r\n\n0123456789abcdef\r\nN\0L\r\nQUIT\r\nrest"s;
    const std::vector<std::string> want = {
        "ok:EHLO a", "lf:MAIL", "cr:X\rY", "ok:", "lf:", "long:", "cr:N\0L"s, "ok:QUIT"};
    for (size_t split = 0; split <= input.size(); split++) {
        EXPECT_EQ(lines(input, split, 16), want) << split;
    }
}

TEST(SmtpLine, TheLimitCountsTheLineEnd)
{
    EXPECT_EQ(lines("0123456789abcd\r\n", 0, 16), std::vector<std::string>{"ok:0123456789abcd"});
    EXPECT_EQ(lines("0123456789abcde\r\n", 0, 16), std::vector<std::string>{"long:"});
}

TEST(SmtpLine, AnEndlessLineIsConsumedAsItComes)
{
    smtp_line st = {};
    const std::string piece(100, 'x');
    for (int i = 0; i < 100; i++) {
        slice line = {};
        size_t used = 0;
        ASSERT_EQ(smtp_line_next(&st, slice_make(piece.data(), piece.size()), 64, &line, &used), SMTP_LINE_MORE);
        ASSERT_EQ(used, piece.size());
    }
}
