#include "imap_fixture.h"

#include "frontend/imap/imap_utf7.h"

namespace
{

std::string decode(const std::string &in)
{
    buf b;
    buf_init(&b, 1 << 16);
    Text text(in);
    enum err e = imap_utf7_decode(text.get(), &b);
    std::string s = e == OK ? str(buf_slice(&b)) : err_name(e);
    buf_fini(&b);
    return s;
}

std::string encode(const std::string &in)
{
    buf b;
    buf_init(&b, 1 << 16);
    Text text(in);
    enum err e = imap_utf7_encode(text.get(), &b);
    std::string s = e == OK ? str(buf_slice(&b)) : err_name(e);
    buf_fini(&b);
    return s;
}

TEST(ImapUtf7, TheExamplesOfTheRfc)
{
    std::string utf8 = "~peter/mail/\xe5\x8f\xb0\xe5\x8c\x97/\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e";
    EXPECT_EQ(utf8, decode("~peter/mail/&U,BTFw-/&ZeVnLIqe-"));
    EXPECT_EQ("~peter/mail/&U,BTFw-/&ZeVnLIqe-", encode(utf8));
}

TEST(ImapUtf7, AmpersandAndAsciiStandForThemselves)
{
    EXPECT_EQ("Tom & Jerry \"~\"", decode("Tom &- Jerry \"~\""));
    EXPECT_EQ("Tom &- Jerry", encode("Tom & Jerry"));
    EXPECT_EQ("", decode(""));
    EXPECT_EQ("", encode(""));
}

TEST(ImapUtf7, BeyondTheBasicPlaneGoesAsSurrogates)
{
    EXPECT_EQ("\xf0\x9f\x98\x80", decode("&2D3eAA-"));
    EXPECT_EQ("&2D3eAA-", encode("\xf0\x9f\x98\x80"));
}

TEST(ImapUtf7, WhatIsNotCanonicalIsRefused)
{
    for (const char *in : {"&", "a&", "&AGE-", "&Jjo", "&Jjo!", "&U,BTFw-&ZeVnLIqe-", "&2D0-", "&3gA-", "&AAA-", "&A-",
                           "&AP-", "&APxB-", "\x80", "a\tb", "&APw=-", "&/////w-"}) {
        EXPECT_EQ("ERR_INVAL", decode(in)) << in;
    }
}

TEST(ImapUtf7, WhatIsNotUtf8IsNotEncoded)
{
    for (const char *in :
         {"\x80", "\xc3", "\xc0\x80", "\xe0\x80\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xff", "a\xe4 b"}) {
        EXPECT_EQ("ERR_INVAL", encode(in)) << in;
    }
}

void put(std::string *s, uint32_t c)
{
    if (c < 0x80) {
        *s += static_cast<char>(c);
    } else if (c < 0x800) {
        *s += static_cast<char>(0xc0 | c >> 6);
        *s += static_cast<char>(0x80 | (c & 0x3f));
    } else if (c < 0x10000) {
        *s += static_cast<char>(0xe0 | c >> 12);
        *s += static_cast<char>(0x80 | (c >> 6 & 0x3f));
        *s += static_cast<char>(0x80 | (c & 0x3f));
    } else {
        *s += static_cast<char>(0xf0 | c >> 18);
        *s += static_cast<char>(0x80 | (c >> 12 & 0x3f));
        *s += static_cast<char>(0x80 | (c >> 6 & 0x3f));
        *s += static_cast<char>(0x80 | (c & 0x3f));
    }
}

TEST(ImapUtf7, EveryCodePointGoesThereAndBack)
{
    for (uint32_t c = 1; c < 0x110000; c += c < 0x3000 ? 1 : 97) {
        if (c >= 0xd800 && c <= 0xdfff) {
            continue;
        }
        for (int before = 0; before < 3; before++) {
            std::string s;
            for (int i = 0; i < before; i++) {
                put(&s, 0x4e00);
            }
            put(&s, c);
            std::string coded = encode(s);
            ASSERT_EQ(s, decode(coded)) << c << " " << coded;
        }
    }
}

} // namespace
