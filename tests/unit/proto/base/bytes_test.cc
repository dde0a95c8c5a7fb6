#include "proto/base/bytes.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

namespace
{

const uint64_t interesting[] = {
    0, 1, 0x7f, 0x80, 0x3fff, 0x4000, 0xffffffff, 1ULL << 32, 1ULL << 56, (1ULL << 63) - 1, 1ULL << 63, UINT64_MAX};

struct slice of(const std::vector<uint8_t> &v)
{
    return slice_make(v.data(), v.size());
}

} // namespace

TEST(Bytes, BigEndianOrderIsNumericOrder)
{
    uint8_t a[8];
    uint8_t b[8];
    for (uint64_t x : interesting) {
        for (uint64_t y : interesting) {
            put_be64(a, x);
            put_be64(b, y);
            EXPECT_EQ(get_be64(a), x);
            EXPECT_EQ(x < y, memcmp(a, b, 8) < 0);
        }
    }
    put_be16(a, 0x1234);
    EXPECT_EQ(a[0], 0x12);
    EXPECT_EQ(get_be16(a), 0x1234);
    put_be32(a, 0x12345678);
    EXPECT_EQ(a[0], 0x12);
    EXPECT_EQ(a[3], 0x78);
    EXPECT_EQ(get_be32(a), 0x12345678u);
}

TEST(Bytes, LittleEndianPutsTheLowByteFirst)
{
    uint8_t a[8];
    put_le16(a, 0x1234);
    EXPECT_EQ(a[0], 0x34);
    EXPECT_EQ(get_le16(a), 0x1234);
    put_le32(a, 0x12345678);
    EXPECT_EQ(a[0], 0x78);
    EXPECT_EQ(get_le32(a), 0x12345678u);
    put_le64(a, 0x0102030405060708);
    EXPECT_EQ(a[0], 8);
    EXPECT_EQ(get_le64(a), 0x0102030405060708u);
}

TEST(Bytes, DecimalDigitsMatchTheStandardLibrary)
{
    std::vector<uint64_t> values(std::begin(interesting), std::end(interesting));
    for (uint64_t ten = 1; ten <= UINT64_MAX / 10; ten *= 10) {
        values.insert(values.end(), {ten, ten - 1, ten * 10 - 1, ten * 9, ten + 7, ten * 10});
    }
    for (uint64_t v : values) {
        uint8_t p[U64_DEC_BYTES_MAX];
        size_t n = u64_dec_put(p, v);
        EXPECT_EQ(std::string(reinterpret_cast<char *>(p), n), std::to_string(v));
    }
}

TEST(Varint, RoundTripsAndFailsWhenCutAnywhere)
{
    std::mt19937_64 random(5);
    std::vector<uint64_t> values(std::begin(interesting), std::end(interesting));
    for (int i = 0; i < 500; i++) {
        values.push_back(random() >> (random() % 64));
    }
    for (uint64_t v : values) {
        uint8_t p[VARINT_BYTES_MAX];
        size_t n = varint_put(p, v);
        ASSERT_LE(n, sizeof(p));
        struct reader r = reader_make(slice_make(p, n));
        ASSERT_EQ(reader_varint(&r), v);
        ASSERT_FALSE(r.failed);
        ASSERT_EQ(reader_left(&r), 0u);
        for (size_t cut = 0; cut < n; cut++) {
            r = reader_make(slice_make(p, cut));
            ASSERT_EQ(reader_varint(&r), 0u);
            ASSERT_TRUE(r.failed);
        }
    }
}

TEST(Varint, HasOneEncodingForEveryValue)
{
    const std::vector<std::vector<uint8_t>> bad = {
        {0x80, 0x00},
        {0xff, 0x80, 0x00},
        {0x81, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00},
        {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02},
        {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x81, 0x00},
        {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01},
    };
    for (const auto &b : bad) {
        struct reader r = reader_make(of(b));
        EXPECT_EQ(reader_varint(&r), 0u);
        EXPECT_TRUE(r.failed);
    }
}

TEST(Reader, ReadsFieldsInOrder)
{
    std::vector<uint8_t> in = {7, 0x34, 0x12, 4, 3, 2, 1, 8, 7, 6, 5, 4, 3, 2, 1, 'x', 'y'};
    struct reader r = reader_make(of(in));
    EXPECT_EQ(reader_u8(&r), 7);
    EXPECT_EQ(reader_le16(&r), 0x1234);
    EXPECT_EQ(reader_le32(&r), 0x01020304u);
    EXPECT_EQ(reader_le64(&r), 0x0102030405060708u);
    EXPECT_EQ(reader_left(&r), 2u);
    EXPECT_TRUE(slice_eq_str(reader_bytes(&r, 2), "xy"));
    EXPECT_EQ(reader_bytes(&r, 0).n, 0u);
    EXPECT_FALSE(r.failed);
    EXPECT_EQ(reader_u8(&r), 0);
    EXPECT_TRUE(r.failed);
}

TEST(Reader, StaysFailedAfterTheFirstFailure)
{
    std::vector<uint8_t> in = {1, 2, 3};
    struct reader r = reader_make(of(in));
    EXPECT_EQ(reader_le32(&r), 0u);
    EXPECT_TRUE(r.failed);
    EXPECT_EQ(reader_u8(&r), 0);
    EXPECT_EQ(reader_varint(&r), 0u);
    EXPECT_EQ(reader_bytes(&r, 0).n, 0u);
    EXPECT_EQ(reader_left(&r), 0u);
}

TEST(Reader, HugeLengthsAndAnEmptyInputFail)
{
    std::vector<uint8_t> in = {1, 2, 3};
    struct reader r = reader_make(of(in));
    EXPECT_EQ(reader_bytes(&r, SIZE_MAX).n, 0u);
    EXPECT_TRUE(r.failed);
    r = reader_make(slice_make(nullptr, 0));
    EXPECT_EQ(reader_bytes(&r, 0).n, 0u);
    EXPECT_FALSE(r.failed);
    EXPECT_EQ(reader_le64(&r), 0u);
    EXPECT_TRUE(r.failed);
}

TEST(Reader, NeverReadsPastHostileInput)
{
    for (unsigned seed = 0; seed < 3000; seed++) {
        std::mt19937 random(seed);
        std::vector<uint8_t> in(random() % 40); /* exactly sized: the address sanitizer sees an overrun */
        for (auto &b : in) {
            b = static_cast<uint8_t>(random() % 3 == 0 ? 0xff : random());
        }
        struct reader r = reader_make(of(in));
        for (int i = 0; i < 30; i++) {
            size_t left = reader_left(&r);
            bool failed = r.failed;
            struct slice s = {nullptr, 0};
            switch (random() % 6) {
            case 0:
                (void)reader_u8(&r);
                break;
            case 1:
                (void)reader_le16(&r);
                break;
            case 2:
                (void)reader_le32(&r);
                break;
            case 3:
                (void)reader_le64(&r);
                break;
            case 4:
                (void)reader_varint(&r);
                break;
            default:
                s = reader_bytes(&r, random() % 2 == 0 ? random() % 10 : SIZE_MAX - random() % 10);
                break;
            }
            ASSERT_LE(reader_left(&r), left);
            ASSERT_TRUE(!failed || r.failed);
            ASSERT_TRUE(s.n == 0 || (s.p >= in.data() && s.p + s.n <= in.data() + in.size()));
        }
    }
}
