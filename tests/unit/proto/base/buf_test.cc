#include "proto/base/buf.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

#include "proto/base/mem.h"

namespace
{

struct Buf : buf {
    explicit Buf(size_t limit)
    {
        buf_init(this, limit);
    }
    ~Buf()
    {
        buf_fini(this);
    }
    std::string str() const
    {
        struct slice s = buf_slice(this);
        return s.n == 0 ? std::string() : std::string(reinterpret_cast<const char *>(s.p), s.n);
    }
};

} // namespace

TEST(Buf, AppendsEveryKindOfThing)
{
    Buf b(1000);
    ASSERT_EQ(buf_append(&b, "ab", 2), OK);
    ASSERT_EQ(buf_append_str(&b, "cd"), OK);
    ASSERT_EQ(buf_append_slice(&b, slice_str("ef")), OK);
    ASSERT_EQ(buf_append_slice(&b, slice_make(nullptr, 0)), OK);
    ASSERT_EQ(buf_append_u8(&b, '-'), OK);
    ASSERT_EQ(buf_append_u64_dec(&b, 0), OK);
    ASSERT_EQ(buf_append_u64_dec(&b, UINT64_MAX), OK);
    ASSERT_EQ(buf_printf(&b, " %s %d", "x", -5), OK);
    EXPECT_EQ(b.str(), "abcdef-018446744073709551615 x -5");
}

TEST(Buf, TheLimitIsExactAndARefusalChangesNothing)
{
    Buf b(10);
    ASSERT_EQ(buf_append_str(&b, "12345678"), OK);
    EXPECT_EQ(buf_append_str(&b, "abc"), ERR_LIMIT);
    EXPECT_EQ(buf_printf(&b, "%s", "abc"), ERR_LIMIT);
    EXPECT_EQ(buf_append_u64_dec(&b, 100), ERR_LIMIT);
    uint8_t *p = nullptr;
    EXPECT_EQ(buf_reserve(&b, SIZE_MAX, &p), ERR_LIMIT);
    EXPECT_EQ(p, nullptr);
    EXPECT_EQ(b.str(), "12345678");
    EXPECT_EQ(buf_append_str(&b, "90"), OK);
    EXPECT_EQ(buf_append_u8(&b, '!'), ERR_LIMIT);
    EXPECT_EQ(buf_append(&b, "", 0), OK);
    EXPECT_EQ(b.str(), "1234567890");
    buf_consume(&b, 1);
    EXPECT_EQ(buf_append_u8(&b, '!'), OK);
    EXPECT_EQ(b.str(), "234567890!");
}

TEST(Buf, LongTextIsPrintedUpToTheLimitExactly)
{
    std::string text(700, 'q');
    Buf b(700);
    ASSERT_EQ(buf_printf(&b, "%s", text.c_str()), OK);
    EXPECT_EQ(b.str(), text);
    Buf c(699);
    EXPECT_EQ(buf_printf(&c, "%s", text.c_str()), ERR_LIMIT);
    EXPECT_EQ(c.len, 0u);
}

TEST(Buf, AnEmptyBufferWithLimitZeroTakesNothing)
{
    Buf b(0);
    uint8_t *p;
    EXPECT_EQ(buf_reserve(&b, 0, &p), OK);
    buf_commit(&b, 0);
    EXPECT_EQ(buf_append_u8(&b, 1), ERR_LIMIT);
    buf_consume(&b, 0);
    buf_truncate(&b, 0);
    EXPECT_EQ(b.base, nullptr);
}

TEST(Buf, ReserveThenCommitKeepsOnlyWhatWasWritten)
{
    Buf b(5000);
    uint8_t *p;
    ASSERT_EQ(buf_reserve(&b, 4000, &p), OK);
    memset(p, 'r', 4000);
    buf_commit(&b, 3);
    EXPECT_EQ(b.str(), "rrr");
    buf_truncate(&b, 1);
    EXPECT_EQ(b.str(), "r");
}

TEST(Buf, ShrinkGivesTheBlockBackOnlyWhenEmpty)
{
    Buf b(100);
    ASSERT_EQ(buf_append_str(&b, "ab"), OK);
    buf_shrink(&b);
    EXPECT_EQ(b.str(), "ab");
    buf_reset(&b);
    EXPECT_NE(b.base, nullptr);
    buf_shrink(&b);
    EXPECT_EQ(b.base, nullptr);
    EXPECT_EQ(b.limit_bytes, 100u);
    ASSERT_EQ(buf_append_str(&b, "cd"), OK);
    EXPECT_EQ(b.str(), "cd");
}

TEST(Buf, BehavesAsAStringUnderRandomOperations)
{
    for (unsigned seed = 0; seed < 20; seed++) {
        std::mt19937 random(seed);
        size_t limit = 1 + random() % 3000;
        Buf b(limit);
        std::string model;
        for (int i = 0; i < 2000; i++) {
            unsigned what = random() % 10;
            if (what < 6) {
                std::string add(random() % 200, static_cast<char>('a' + i % 26));
                enum err want = model.size() + add.size() > limit ? ERR_LIMIT : OK;
                ASSERT_EQ(buf_append(&b, add.data(), add.size()), want);
                model += want == OK ? add : "";
            } else if (what < 9) {
                size_t n = random() % (model.size() + 1);
                buf_consume(&b, n);
                model.erase(0, n);
            } else {
                size_t n = random() % (model.size() + 1);
                buf_truncate(&b, n);
                model.resize(n);
            }
            ASSERT_EQ(b.str(), model);
            ASSERT_LE(b.cap, std::max<size_t>(limit + limit / 2, 1));
            ASSERT_LE(b.off + b.len, b.cap);
        }
    }
}

TEST(Buf, AFullQueueMovesItsBytesSeldom)
{
    const size_t limit = 1 << 16;
    Buf b(limit);
    ASSERT_EQ(buf_append_str(&b, std::string(limit, 'x').c_str()), OK);
    size_t moves = 0;
    for (int i = 0; i < 300000; i++) {
        buf_consume(&b, 1);
        size_t off = b.off;
        ASSERT_EQ(buf_append_u8(&b, 'y'), OK);
        moves += b.off < off;
    }
    EXPECT_LE(moves, 300000 / (limit / 2) + 2);
}

TEST(Buf, EveryFailedAllocationLeavesTheBufferAsItWas)
{
    std::string text(700, 'z');
    for (uint64_t nth = 1;; nth++) {
        Buf b(100000);
        std::string model;
        mem_fail_nth(nth);
        for (int i = 0; i < 20; i++) {
            enum err e = i % 2 == 0 ? buf_printf(&b, "%s", text.c_str()) : buf_append_str(&b, "tail");
            if (e == OK) {
                model += i % 2 == 0 ? text : "tail";
            } else {
                EXPECT_EQ(e, ERR_NOMEM);
                EXPECT_TRUE(mem_fail_fired());
            }
            ASSERT_EQ(b.str(), model);
            if (i == 10) {
                buf_consume(&b, 100);
                model.erase(0, 100);
            }
        }
        if (!mem_fail_fired()) {
            mem_fail_nth(0);
            EXPECT_GT(nth, 5u);
            break;
        }
    }
}

TEST(BufDeathTest, ConsumingMoreThanThereIsAborts)
{
    Buf b(10);
    EXPECT_DEATH(buf_consume(&b, 1), "n <= b->len");
    EXPECT_DEATH(buf_truncate(&b, 1), "len <= b->len");
    EXPECT_DEATH(buf_commit(&b, 1), "assert.failed");
}
