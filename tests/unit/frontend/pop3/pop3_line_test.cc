#include "frontend/pop3/pop3_line.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

TEST(Pop3Line, LinesAreTheSameAtEverySplit)
{
    const std::string input = "USER a\r\nPASS\nX\rY\r\n\r\n\n0123456789abcdef\r\nQUIT\r\nrest";
    const std::vector<std::string> want = {"USER a", "PASS", "X\rY", "", "", "(long)", "QUIT"};
    for (size_t split = 0; split <= input.size(); split++) {
        std::vector<std::string> got;
        pop3_line st = {};
        std::string unread;
        for (const std::string &piece : {input.substr(0, split), input.substr(split)}) {
            unread += piece;
            pop3_line_result r = POP3_LINE_OK;
            while (r != POP3_LINE_MORE) {
                slice line = {};
                size_t used = 0;
                r = pop3_line_next(&st, slice_make(unread.data(), unread.size()), 16, &line, &used);
                if (r == POP3_LINE_OK) {
                    got.push_back(std::string(reinterpret_cast<const char *>(line.p), line.n));
                } else if (r == POP3_LINE_LONG) {
                    got.push_back("(long)");
                }
                unread.erase(0, used);
            }
        }
        EXPECT_EQ(got, want) << split;
    }
}
