#include "imap_fixture.h"

namespace
{

TEST(ImapOut, StringsAreQuotedWhenTheyCanBe)
{
    Out o;
    imap_out_string(&o.out, S("a b"));
    EXPECT_EQ("\"a b\"", o.take());
    imap_out_string(&o.out, S("a\"b\\c"));
    EXPECT_EQ("\"a\\\"b\\\\c\"", o.take());
    imap_out_string(&o.out, S(""));
    EXPECT_EQ("\"\"", o.take());
    imap_out_string(&o.out, S("a\r\nb"));
    EXPECT_EQ("{4}\r\na\r\nb", o.take());
    imap_out_string(&o.out, S("\xc3\xa4"));
    EXPECT_EQ("{2}\r\n\xc3\xa4", o.take());
    imap_out_string(&o.out, S(std::string("\0", 1)));
    EXPECT_EQ(std::string("{1}\r\n\0", 6), o.take());
    imap_out_string(&o.out, S(std::string(1001, 'x')));
    EXPECT_EQ("{1001}\r\n" + std::string(1001, 'x'), o.take());
}

TEST(ImapOut, MailboxNamesAreEncoded)
{
    Out o;
    imap_out_mailbox(&o.out, "Entw\xc3\xbcrfe & \"x\"");
    EXPECT_EQ("\"Entw&APw-rfe &- \\\"x\\\"\"", o.take());
}

TEST(ImapOut, EveryByteArrivesInOrderWhateverTheSizes)
{
    Out o;
    std::string want;
    for (size_t i = 0; i < 300; i++) {
        std::string piece(i * 97 % 9001, static_cast<char>('a' + i % 26));
        imap_out_bytes(&o.out, piece.data(), piece.size());
        imap_out_u64(&o.out, i);
        want += piece + std::to_string(i);
    }
    EXPECT_EQ(want, o.take());
    EXPECT_EQ(want.size(), o.out.total);
}

TEST(ImapOut, AfterAnErrorNothingMoreIsWritten)
{
    Out o;
    o.fail = ERR_CLOSED;
    imap_out_str(&o.out, "a");
    imap_out_flush(&o.out);
    EXPECT_EQ(ERR_CLOSED, o.out.err);
    size_t calls = o.calls;
    imap_out_str(&o.out, "b");
    imap_out_u64(&o.out, 7);
    imap_out_string(&o.out, S(std::string(100000, 'c')));
    imap_out_flush(&o.out);
    EXPECT_EQ(calls, o.calls);
}

} // namespace
