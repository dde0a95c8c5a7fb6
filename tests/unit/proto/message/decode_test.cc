#include "tests/unit/proto/message/parse.h"

#include <random>

#include "proto/base/mem.h"

namespace
{

std::string decode(msg_encoding enc, const char *charset, const std::string &in, const std::vector<size_t> &cuts = {})
{
    msg_decoder *d = nullptr;
    Buf out;
    EXPECT_EQ(OK, msg_decoder_new(enc, charset, &d));
    size_t from = 0;
    for (size_t i = 0; i <= cuts.size(); i++) {
        size_t to = i < cuts.size() ? cuts[i] : in.size();
        std::vector<char> piece(in.begin() + static_cast<long>(from), in.begin() + static_cast<long>(to));
        EXPECT_EQ(OK, msg_decoder_feed(d, slice_make(piece.data(), piece.size()), &out.b));
        from = to;
    }
    EXPECT_EQ(OK, msg_decoder_finish(d, &out.b));
    msg_decoder_free(d);
    return out.str();
}

/* Also at every split in two and byte by byte. */
std::string decode_all(msg_encoding enc, const char *charset, const std::string &in)
{
    std::string whole = decode(enc, charset, in);
    std::vector<size_t> each;
    for (size_t i = 0; i < in.size(); i++) {
        EXPECT_EQ(whole, decode(enc, charset, in, {i})) << i;
        each.push_back(i);
    }
    EXPECT_EQ(whole, decode(enc, charset, in, each));
    return whole;
}

std::string base64(const std::string &in)
{
    static const char al[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string out;
    for (size_t i = 0; i < in.size(); i += 3) {
        uint32_t v = 0;
        for (size_t k = 0; k < 3; k++) {
            v = v << 8 | (i + k < in.size() ? static_cast<uint8_t>(in[i + k]) : 0);
        }
        for (size_t k = 0; k < 4; k++) {
            out += i + k <= in.size() ? al[v >> (18 - 6 * k) & 63] : '=';
        }
        if (i % 57 == 54) {
            out += "\r\n";
        }
    }
    return out;
}

} // namespace

TEST(Decode, Base64AtEverySplit)
{
    EXPECT_EQ("foobar", decode_all(MSG_ENC_BASE64, nullptr, "Zm9vYmFy"));
    EXPECT_EQ("fooba", decode_all(MSG_ENC_BASE64, nullptr, "Zm9v\r\nYmE=\r\n"));
    EXPECT_EQ("foob", decode_all(MSG_ENC_BASE64, nullptr, "Zm9vYg=="));
    EXPECT_EQ("foob", decode_all(MSG_ENC_BASE64, nullptr, "Zm9vYg"));
    EXPECT_EQ("foo", decode_all(MSG_ENC_BASE64, nullptr, "Zm9vY"));
    EXPECT_EQ("", decode_all(MSG_ENC_BASE64, nullptr, ""));
    EXPECT_EQ("", decode_all(MSG_ENC_BASE64, nullptr, "===="));
}

TEST(Decode, Base64SkipsJunkAndGoesOnAfterPadding)
{
    EXPECT_EQ("foobar", decode_all(MSG_ENC_BASE64, nullptr, "Z m9\t-v!\r\nYm*Fy\n"));
    EXPECT_EQ("fofo", decode_all(MSG_ENC_BASE64, nullptr, "Zm8=\r\nZm8="));
    EXPECT_EQ("ffoo", decode_all(MSG_ENC_BASE64, nullptr, "Zg==Zm9v"));
}

TEST(Decode, Base64OfRandomBytesComesBack)
{
    std::mt19937 rng(5);
    for (size_t n : {1u, 2u, 3u, 56u, 57u, 58u, 1000u, 20000u}) {
        std::string in;
        for (size_t i = 0; i < n; i++) {
            in += static_cast<char>(rng());
        }
        ASSERT_EQ(in, decode(MSG_ENC_BASE64, nullptr, base64(in)));
        ASSERT_EQ(in, decode(MSG_ENC_BASE64, nullptr, base64(in), {n / 3, n / 2}));
    }
}

TEST(Decode, QuotedPrintableAtEverySplit)
{
    EXPECT_EQ("a=b\xe9z", decode_all(MSG_ENC_QP, nullptr, "a=3Db=E9=7a"));
    EXPECT_EQ("oneline\r\n", decode_all(MSG_ENC_QP, nullptr, "one=\r\nline\r\n"));
    EXPECT_EQ("oneline", decode_all(MSG_ENC_QP, nullptr, "one=\nline"));
    EXPECT_EQ("oneline", decode_all(MSG_ENC_QP, nullptr, "one= \t\r\nline"));
    EXPECT_EQ("a b\r\n c\n", decode_all(MSG_ENC_QP, nullptr, "a b \t\r\n c \n  "));
    EXPECT_EQ("end ", decode_all(MSG_ENC_QP, nullptr, "end=20"));
}

TEST(Decode, QuotedPrintableKeepsWhatIsNone)
{
    EXPECT_EQ("=", decode_all(MSG_ENC_QP, nullptr, "="));
    EXPECT_EQ("=A", decode_all(MSG_ENC_QP, nullptr, "=A"));
    EXPECT_EQ("=ZZ =AG ==", decode_all(MSG_ENC_QP, nullptr, "=ZZ =AG =="));
    EXPECT_EQ("=A=", decode_all(MSG_ENC_QP, nullptr, "=A=3D"));
    EXPECT_EQ("\xe9", decode_all(MSG_ENC_QP, nullptr, "\xe9"));
}

TEST(Decode, QuotedPrintableDropsTrailingBlanksUpToALimitAtEverySplit)
{
    for (size_t n : {1u, 127u, 128u, 129u, 300u}) {
        std::string in = "x" + std::string(n, ' ') + "\nY";
        EXPECT_EQ(n <= 128 ? "x\nY" : in, decode_all(MSG_ENC_QP, nullptr, in)) << n;
    }
}

TEST(Decode, OtherEncodingsPassThrough)
{
    for (msg_encoding e : {MSG_ENC_7BIT, MSG_ENC_8BIT, MSG_ENC_BINARY, MSG_ENC_OTHER}) {
        EXPECT_EQ(std::string("a=3D\0\xff", 6), decode_all(e, nullptr, std::string("a=3D\0\xff", 6)));
    }
}

TEST(Decode, CharsetsAtEverySplit)
{
    EXPECT_EQ("gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80",
              decode_all(MSG_ENC_8BIT, "UTF-8", "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80"));
    EXPECT_EQ("gr\xc3\xbc\xc3\x9f", decode_all(MSG_ENC_8BIT, "ISO-8859-1", "gr\xfc\xdf"));
    EXPECT_EQ("\xe2\x82\xac\xe2\x80\x9c", decode_all(MSG_ENC_8BIT, "windows-1252", "\x80\x93"));
    EXPECT_EQ("\xe2\x82\xac", decode_all(MSG_ENC_8BIT, "iso-8859-15", "\xa4"));
    EXPECT_EQ("\xd0\x9f\xd1\x80\xd0\xb8", decode_all(MSG_ENC_8BIT, "koi8-r", "\xf0\xd2\xc9"));
    EXPECT_EQ("\xe3\x81\x82"
              "A",
              decode_all(MSG_ENC_7BIT, "iso-2022-jp", "\x1b$B$\"\x1b(BA"));
    EXPECT_EQ("\xe3\x81\x82\xef\xbd\xb1", decode_all(MSG_ENC_8BIT, "shift_jis", "\x82\xa0\xb1"));
    EXPECT_EQ("\xe4\xb8\xad", decode_all(MSG_ENC_8BIT, "gb2312", "\xd6\xd0"));
    EXPECT_EQ("\xe4\xb8\xad", decode_all(MSG_ENC_8BIT, "gb18030", "\xd6\xd0"));
    EXPECT_EQ("\xe4\xb8\xad", decode_all(MSG_ENC_8BIT, "big5", "\xa4\xa4"));
    EXPECT_EQ("\xed\x95\x9c", decode_all(MSG_ENC_8BIT, "ks_c_5601-1987", "\xc7\xd1"));
    EXPECT_EQ("h\xc3\xa9", decode_all(MSG_ENC_8BIT, "utf-16be", std::string("\0h\0\xe9", 4)));
    EXPECT_EQ("\xc2\xa3"
              "1",
              decode_all(MSG_ENC_7BIT, "utf-7", "+AKM-1"));
}

TEST(Decode, MakesUndecodableBytesReplacementCharacters)
{
    EXPECT_EQ("a\xef\xbf\xbd"
              "b",
              decode_all(MSG_ENC_8BIT, "utf-8",
                         "a\xff"
                         "b"));
    EXPECT_EQ("\xef\xbf\xbd\xef\xbf\xbd", decode_all(MSG_ENC_8BIT, "utf-8", "\xc0\x80"));
    EXPECT_EQ("\xef\xbf\xbd"
              "A",
              decode_all(MSG_ENC_8BIT, "utf-8",
                         "\xc3"
                         "A"));
    EXPECT_EQ("\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd", decode_all(MSG_ENC_8BIT, "utf-8", "\xed\xa0\x80"));
    EXPECT_EQ("\xef\xbf\xbd", decode_all(MSG_ENC_8BIT, "utf-8", "\xe2\x82"));
    EXPECT_EQ("A\xef\xbf\xbd", decode_all(MSG_ENC_8BIT, "shift_jis", "A\x82"));
    EXPECT_EQ("\xef\xbf\xbd\xef\xbf\xbd!", decode_all(MSG_ENC_8BIT, "euc-kr", "\xff\xff!"));
    EXPECT_EQ("\xc3\xa9\xef\xbf\xbd", decode_all(MSG_ENC_8BIT, "us-ascii", "\xc3\xa9\xe9"));
}

TEST(Decode, ReadsTransferEncodingAndCharsetTogether)
{
    EXPECT_EQ("\xd0\x9f\xd1\x80\xd0\xb8 x\n", decode_all(MSG_ENC_QP, "koi8-r", "=F0=D2=\r\n=C9 x \n"));
    EXPECT_EQ("\xe3\x81\x82", decode_all(MSG_ENC_BASE64, "ISO-2022-JP", "GyRCJCIbKEI="));
}

TEST(Decode, ReadsUnknownCharsetsAsUtf8)
{
    EXPECT_EQ("\xc3\xa9\xef\xbf\xbd", decode_all(MSG_ENC_8BIT, "x-unknown", "\xc3\xa9\xff"));
    EXPECT_EQ("\x1b$)A", decode_all(MSG_ENC_8BIT, "ISO-2022-CN-EXT", "\x1b$)A"));
    EXPECT_EQ("x", decode_all(MSG_ENC_8BIT, "UTF-8//TRANSLIT", "x"));
}

TEST(Decode, ConvertsSearchKeysOfAllowedCharsetsOnly)
{
    Buf out;
    EXPECT_EQ(OK, msg_charset_to_utf8("ISO-8859-1", slice_str("\xe9"), &out.b));
    EXPECT_EQ(OK, msg_charset_to_utf8("utf-8", slice_str("x"), &out.b));
    EXPECT_EQ("\xc3\xa9x", out.str());
    for (const char *name : {"", "iso-2022-cn-ext", "ISO-2022-CN-EXT", "utf-8//ignore", "../x", "INTERNAL", "UCS-4"}) {
        EXPECT_EQ(ERR_CHARSET, msg_charset_to_utf8(name, slice_str("x"), &out.b)) << name;
    }
    EXPECT_EQ("\xc3\xa9x", out.str());
}

TEST(Decode, DecodesLongBodiesInBoundedSteps)
{
    std::string in;
    for (int i = 0; i < 5000; i++) {
        in += "caf=C3=A9 and so on, \r\n";
    }
    std::string out = decode(MSG_ENC_QP, "utf-8", in);
    EXPECT_EQ(5000u * 18, out.size());
    EXPECT_EQ(out, decode(MSG_ENC_QP, "utf-8", in, {1, 4095, 4096, 4097, 9000}));
}

TEST(Decode, StopsAtTheLimitOfTheBuffer)
{
    msg_decoder *d = nullptr;
    Buf out(10);
    ASSERT_EQ(OK, msg_decoder_new(MSG_ENC_8BIT, "utf-8", &d));
    EXPECT_EQ(ERR_LIMIT, msg_decoder_feed(d, slice_str("more than ten bytes"), &out.b));
    msg_decoder_free(d);
}

TEST(Decode, FailsCleanlyAtEveryAllocation)
{
    bool fired = true;
    for (uint64_t nth = 1; fired; nth++) {
        ASSERT_LT(nth, 100u);
        msg_decoder *d = nullptr;
        Buf out;
        mem_fail_nth(nth);
        err e = msg_decoder_new(MSG_ENC_QP, "koi8-r", &d);
        if (e == OK) {
            e = msg_decoder_feed(
                d,
                slice_str(
                    "=F0=D2=C9 and some more text behind it, to make it grow, twice at least ......................"),
                &out.b);
        }
        if (e == OK) {
            e = msg_decoder_finish(d, &out.b);
        }
        fired = mem_fail_fired() != 0;
        mem_fail_nth(0);
        EXPECT_EQ(fired ? ERR_NOMEM : OK, e);
        msg_decoder_free(d);
    }
}
