#include "tests/unit/proto/message/grammar.h"

#include <random>

#include "proto/base/hash.h"

namespace
{

const char mixed[] = "Date: Sat, 21 Nov 2026 08:30:00 +0100\r\n"     /* 0 */
                     "Message-ID: <id@x>\r\n"                        /* 39 */
                     "Content-Type: multipart/mixed; boundary=a\r\n" /* 59 */
                     "\r\n"
                     "--a\r\n"
                     "Content-Type: text/plain; charset=KOI8-R\r\n"
                     "Content-Transfer-Encoding: quoted-printable\r\n"
                     "\r\n"
                     "1\r\n"
                     "--a\r\n"
                     "Content-Type: message/rfc822\r\n"
                     "\r\n"
                     "Content-Type: multipart/alternative; boundary=b\r\n"
                     "\r\n"
                     "--b\r\n"
                     "Content-Type: text/html\r\n"
                     "\r\n"
                     "2.1\r\n"
                     "--b\r\n"
                     "Content-Type: multipart/mixed; boundary=c\r\n"
                     "\r\n"
                     "--c\r\n"
                     "\r\n"
                     "2.2.1\r\n"
                     "--c--\r\n"
                     "--b--\r\n"
                     "--a\r\n"
                     "Content-Type: message/rfc822\r\n"
                     "\r\n"
                     "Subject: single\r\n"
                     "\r\n"
                     "3.1\r\n"
                     "--a--\r\n";

std::string body_of(const std::string &m, const Record &rec, const std::vector<uint32_t> &numbers)
{
    msg_part p;
    err e = rec.find(numbers, &p);
    return e == OK ? m.substr(p.body_off, p.body_bytes) : std::string("error ") + err_name(e);
}

std::string header_of(const std::string &m, const Record &rec, const std::vector<uint32_t> &numbers)
{
    msg_part p;
    err e = rec.find(numbers, &p);
    return e == OK ? m.substr(p.header_off, p.header_bytes) : std::string("error ") + err_name(e);
}

} // namespace

TEST(Record, HoldsTheNumbersOfTheMessage)
{
    std::string m = mixed;
    Record rec(parse(m));
    EXPECT_EQ(m.size(), rec.r.size_bytes);
    EXPECT_EQ(m.find("\r\n\r\n") + 4, rec.r.header_bytes);
    EXPECT_EQ(static_cast<uint32_t>(std::count(m.begin(), m.end(), '\n')), rec.r.lines);
    EXPECT_EQ(1795246200, rec.r.sent_s);
    EXPECT_EQ(60, rec.r.sent_zone_min);
    EXPECT_EQ(hash_stable("id@x", 4), rec.r.message_id);
    EXPECT_EQ(0u, rec.r.headers_cut);
    EXPECT_FALSE(rec.r.structure_cut);
    EXPECT_EQ(INT64_MIN, Record(parse("Date: soon\n\n")).r.sent_s);
}

TEST(Record, FindsPartsByNumberThroughMessages)
{
    std::string m = mixed;
    Record rec(parse(m));
    EXPECT_EQ("1", body_of(m, rec, {1}));
    EXPECT_EQ("2.1", body_of(m, rec, {2, 1}));
    EXPECT_EQ("2.2.1", body_of(m, rec, {2, 2, 1}));
    EXPECT_EQ("3.1", body_of(m, rec, {3, 1}));
    EXPECT_EQ("Subject: single\r\n\r\n3.1", body_of(m, rec, {3}));
    EXPECT_EQ("Content-Type: message/rfc822\r\n\r\n", header_of(m, rec, {3}));
    EXPECT_EQ("Subject: single\r\n\r\n", header_of(m, rec, {3, 1}));
    EXPECT_EQ("--c\r\n\r\n2.2.1\r\n--c--", body_of(m, rec, {2, 2}));
    EXPECT_EQ(m.substr(rec.r.header_bytes), body_of(m, rec, {}));
    for (const std::vector<uint32_t> &none : std::vector<std::vector<uint32_t>>{
             {0}, {4}, {1, 1}, {2, 3}, {2, 1, 1}, {2, 2, 2}, {3, 2}, {3, 1, 1}, {1, 0}, {4294967295u}}) {
        EXPECT_EQ("error ERR_NOTFOUND", body_of(m, rec, none));
    }
}

TEST(Record, GivesASinglePartMessageThePartOne)
{
    std::string m = "Subject: x\n\nbody\n";
    Record rec(parse(m));
    EXPECT_EQ("body\n", body_of(m, rec, {1}));
    EXPECT_EQ("body\n", body_of(m, rec, {}));
    EXPECT_EQ("error ERR_NOTFOUND", body_of(m, rec, {1, 1}));
    EXPECT_EQ("error ERR_NOTFOUND", body_of(m, rec, {2}));
}

TEST(Record, NumbersAMessageThatIsTheWholeBody)
{
    std::string m = "Content-Type: message/rfc822\n\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\nx\n--b--\n";
    Record rec(parse(m));
    EXPECT_EQ(m.substr(30), body_of(m, rec, {1}));
    EXPECT_EQ("x", body_of(m, rec, {1, 1}));
    EXPECT_EQ("error ERR_NOTFOUND", body_of(m, rec, {1, 1, 1}));
}

TEST(Record, DescribesEachPart)
{
    Record rec(parse(mixed));
    ASSERT_EQ(9u, rec.r.n_parts);
    EXPECT_EQ(MSG_PART_MULTIPART, rec.part(0).kind);
    msg_part text = rec.part(1);
    EXPECT_EQ(MSG_PART_LEAF, text.kind);
    EXPECT_EQ(MSG_ENC_QP, text.encoding);
    EXPECT_STREQ("koi8-r", text.charset);
    EXPECT_TRUE(text.is_text);
    EXPECT_FALSE(text.is_html);
    EXPECT_EQ(MSG_PART_MESSAGE, rec.part(2).kind);
    EXPECT_EQ(2u, rec.part(3).parent);
    EXPECT_EQ(rec.part(2).body_off, rec.part(3).header_off);
    EXPECT_TRUE(rec.part(4).is_html);
    EXPECT_STREQ("us-ascii", rec.part(4).charset);
    msg_part none;
    EXPECT_EQ(ERR_CORRUPT, msg_part_at(&rec.r, 9, &none));
}

TEST(Record, KeepsReferencesForThreading)
{
    std::string refs;
    for (int i = 0; i < 40; i++) {
        refs += " <r" + std::to_string(i) + "@x>\n";
    }
    Record rec(parse("In-Reply-To: Your mail <parent@x>\nReferences:" + refs + "\n"));
    ASSERT_EQ(20u * 8, rec.r.references.n);
    auto at = [&](size_t i) {
        uint64_t v;
        memcpy(&v, rec.r.references.p + 8 * i, 8);
        return v;
    };
    EXPECT_EQ(hash_stable("parent@x", 8), at(0));
    EXPECT_EQ(hash_stable("r39@x", 5), at(1));
    EXPECT_EQ(hash_stable("r21@x", 5), at(19));
}

TEST(Record, CachesTheUsualHeadersAndAnswersFromThem)
{
    std::string m = "Received: from x\r\n\tby y\r\nSUBJECT: a\r\n b\r\nX-Other: z\r\nTo: t@x\r\n\r\nbody";
    Record rec(parse(m));
    EXPECT_EQ("SUBJECT: a\r\n b\r\nTo: t@x\r\n", rec.headers());
    slice known[] = {slice_str("subject"), slice_str("DATE"), slice_str("List-Unsubscribe")};
    slice unknown[] = {slice_str("subject"), slice_str("received")};
    EXPECT_TRUE(msg_headers_cached(&rec.r, known, 3));
    EXPECT_FALSE(msg_headers_cached(&rec.r, unknown, 2));
}

TEST(Record, SaysWhichCachedHeadersWereCut)
{
    std::string to = "To: ";
    for (int i = 0; i < 1000; i++) {
        to += "user" + std::to_string(i) + "@example.test,\r\n ";
    }
    Record rec(parse(to + "last@x\r\nSubject: s\r\n\r\n"));
    slice t = slice_str("to");
    slice s = slice_str("subject");
    EXPECT_FALSE(msg_headers_cached(&rec.r, &t, 1));
    EXPECT_TRUE(msg_headers_cached(&rec.r, &s, 1));
    EXPECT_EQ("Subject: s\r\n", rec.headers());
}

TEST(Record, RefusesEveryTruncationAndAnyTail)
{
    std::string bytes = parse(mixed);
    msg_record r;
    for (size_t n = 0; n < bytes.size(); n++) {
        std::vector<char> cut(bytes.begin(), bytes.begin() + static_cast<long>(n));
        EXPECT_EQ(ERR_CORRUPT, msg_record_decode(slice_make(cut.data(), n), &r)) << n;
    }
    EXPECT_EQ(ERR_CORRUPT, msg_record_decode(to_slice(bytes + "x"), &r));
    EXPECT_EQ(OK, msg_record_decode(to_slice(bytes), &r));
}

TEST(Record, NeverReadsOutsideOfDamagedBytes)
{
    const std::string good = parse(mixed);
    std::mt19937 rng(3);
    size_t decoded = 0;
    for (int round = 0; round < 20000; round++) {
        std::vector<uint8_t> bad(good.begin(), good.end());
        /* Most of the time in the fixed part and the table, where lengths and offsets are. */
        for (unsigned i = 0; i < 1 + rng() % 3; i++) {
            bad[rng() % (rng() % 4 == 0 ? bad.size() : 300)] = static_cast<uint8_t>(rng() % 3 == 0 ? 0xff : rng());
        }
        msg_record r;
        if (msg_record_decode(slice_make(bad.data(), bad.size()), &r) != OK) {
            continue;
        }
        decoded++;
        msg_part p;
        uint64_t sum = 0;
        for (uint32_t i = 0; i < r.n_parts; i++) {
            if (msg_part_at(&r, i, &p) == OK) {
                EXPECT_LE(uint64_t{p.body_off} + p.body_bytes, r.size_bytes);
                EXPECT_LT(strlen(p.charset), sizeof(p.charset));
            }
        }
        uint32_t numbers[] = {2, 2, 1};
        (void)!msg_part_find(&r, numbers, 3, &p);
        for (slice s : {r.envelope, r.body, r.bodystructure, r.headers, r.references}) {
            for (size_t i = 0; i < s.n; i++) {
                sum += s.p[i];
            }
        }
        EXPECT_GT(sum, 0u);
    }
    EXPECT_GT(decoded, 1000u);
}

TEST(Record, RefusesAnotherVersion)
{
    std::string bytes = parse(mixed);
    msg_record r;
    bytes[0] = 2;
    EXPECT_EQ(ERR_CORRUPT, msg_record_decode(to_slice(bytes), &r));
}

TEST(Record, RefusesACharsetOutsideOfTheNames)
{
    std::string bytes = parse("Subject: x\n\n");
    msg_record r;
    msg_part p;
    ASSERT_EQ(OK, msg_record_decode(to_slice(bytes), &r));
    ASSERT_EQ(OK, msg_part_at(&r, 0, &p));
    size_t row = static_cast<size_t>(r.parts.p - reinterpret_cast<const uint8_t *>(bytes.data()));
    for (int off : {1, 8, 9, 10, 255}) {
        bytes[row + 20] = static_cast<char>(off);
        ASSERT_EQ(OK, msg_record_decode(to_slice(bytes), &r));
        EXPECT_EQ(ERR_CORRUPT, msg_part_at(&r, 0, &p)) << off;
    }
}

TEST(Record, ReadsNoCharsetBehindTheLastByte)
{
    std::string bytes = parse("Subject: x\n\n");
    /* Only the fixed part and one row: every section, and the names, are empty. */
    std::vector<char> bare(bytes.begin(), bytes.begin() + 72 + 24);
    std::fill(bare.begin() + 52, bare.begin() + 72, 0);
    msg_record r;
    msg_part p;
    ASSERT_EQ(OK, msg_record_decode(slice_make(bare.data(), bare.size()), &r));
    EXPECT_EQ(ERR_CORRUPT, msg_part_at(&r, 0, &p));
}
