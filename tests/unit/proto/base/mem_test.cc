#include "proto/base/mem.h"

#include <gtest/gtest.h>

#include <cstring>
#include <thread>

TEST(Mem, SizeZeroGivesAPointerThatMayBeFreed)
{
    void *a = mem_alloc(0);
    void *b = mem_zalloc(0);
    void *c = mem_calloc(0, 8);
    void *d = mem_dup(nullptr, 0);
    EXPECT_TRUE(a != nullptr && b != nullptr && c != nullptr && d != nullptr);
    mem_free(a);
    mem_free(b);
    mem_free(c);
    mem_free(d);
    mem_free(nullptr);
}

TEST(Mem, ZallocAndCallocAreZeroed)
{
    for (int round = 0; round < 20; round++) {
        auto *p = static_cast<unsigned char *>(mem_alloc(512));
        memset(p, 0xff, 512);
        mem_free(p);
        auto *q = static_cast<unsigned char *>(round % 2 == 0 ? mem_zalloc(512) : mem_calloc(32, 16));
        for (int i = 0; i < 512; i++) {
            ASSERT_EQ(q[i], 0);
        }
        mem_free(q);
    }
}

TEST(Mem, ImpossibleSizesGiveNull)
{
    EXPECT_EQ(mem_alloc(SIZE_MAX), nullptr);
    EXPECT_EQ(mem_zalloc(SIZE_MAX), nullptr);
    EXPECT_EQ(mem_calloc(SIZE_MAX / 2, 3), nullptr);
    void *p = mem_alloc(8);
    memcpy(p, "12345678", 8);
    EXPECT_EQ(mem_realloc(p, SIZE_MAX), nullptr);
    EXPECT_EQ(memcmp(p, "12345678", 8), 0);
    mem_free(p);
}

TEST(Mem, ReallocKeepsTheContents)
{
    auto *p = static_cast<char *>(mem_strdup("hello"));
    p = static_cast<char *>(mem_realloc(p, 100000));
    ASSERT_NE(p, nullptr);
    EXPECT_STREQ(p, "hello");
    mem_free(p);
}

TEST(Mem, TheNthAllocationFailsOnceAndOnlyThatOne)
{
    mem_fail_nth(2);
    void *a = mem_alloc(1);
    EXPECT_NE(a, nullptr);
    EXPECT_FALSE(mem_fail_fired());
    EXPECT_EQ(mem_zalloc(1), nullptr);
    EXPECT_TRUE(mem_fail_fired());
    void *c = mem_strdup("x");
    EXPECT_NE(c, nullptr);
    EXPECT_TRUE(mem_fail_fired());
    mem_fail_nth(1);
    EXPECT_FALSE(mem_fail_fired());
    EXPECT_EQ(mem_realloc(c, 10), nullptr);
    mem_fail_nth(1);
    mem_fail_nth(0);
    void *d = mem_alloc(1);
    EXPECT_NE(d, nullptr);
    EXPECT_FALSE(mem_fail_fired());
    mem_free(a);
    mem_free(c);
    mem_free(d);
}

TEST(Mem, AnotherThreadIsNotMadeToFail)
{
    mem_fail_nth(1);
    std::thread([] {
        void *p = mem_alloc(1);
        EXPECT_NE(p, nullptr);
        EXPECT_FALSE(mem_fail_fired());
        mem_free(p);
    }).join();
    EXPECT_FALSE(mem_fail_fired());
    mem_fail_nth(0);
}
