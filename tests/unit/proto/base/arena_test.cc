#include "proto/base/arena.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "proto/base/mem.h"

namespace
{

struct Arena : arena {
    explicit Arena(size_t limit)
    {
        arena_init(this, limit);
    }
    ~Arena()
    {
        arena_fini(this);
    }
};

} // namespace

TEST(Arena, OwnsNothingUntilItsFirstAllocation)
{
    Arena a(1000);
    EXPECT_EQ(a.head, nullptr);
    EXPECT_EQ(a.used_bytes, 0u);
}

TEST(Arena, BlocksAreAlignedAndDoNotOverlap)
{
    Arena a(1 << 22);
    std::mt19937 random(7);
    std::vector<std::pair<uint8_t *, size_t>> given;
    for (int i = 0; i < 600; i++) {
        size_t n = i % 50 == 0 ? 20000 + random() % 90000 : random() % 300;
        if (a.used_bytes + n + 16 > a.limit_bytes) {
            continue;
        }
        auto *p = static_cast<uint8_t *>(arena_alloc(&a, n));
        ASSERT_NE(p, nullptr);
        ASSERT_EQ(reinterpret_cast<uintptr_t>(p) % 16, 0u);
        memset(p, i & 255, n);
        given.emplace_back(p, n);
    }
    for (size_t i = 0; i < given.size(); i++) {
        for (size_t k = 1; k < given[i].second; k++) {
            ASSERT_EQ(given[i].first[k], given[i].first[0]);
        }
    }
    EXPECT_GT(given.size(), 400u);
}

TEST(Arena, NeverHandsOutMoreThanItsLimit)
{
    Arena a(100);
    EXPECT_EQ(arena_alloc(&a, 101), nullptr);
    EXPECT_NE(arena_alloc(&a, 90), nullptr); /* 96 with padding */
    EXPECT_EQ(arena_alloc(&a, 4), nullptr);  /* would be 112 */
    EXPECT_EQ(arena_alloc(&a, 0), nullptr);
    EXPECT_LE(a.used_bytes, a.limit_bytes);
    arena_reset(&a);
    EXPECT_NE(arena_alloc(&a, 96), nullptr);
}

TEST(Arena, ImpossibleSizesGiveNull)
{
    Arena a(SIZE_MAX);
    EXPECT_EQ(arena_alloc(&a, SIZE_MAX), nullptr);
    EXPECT_EQ(arena_alloc(&a, SIZE_MAX - 3), nullptr);
    EXPECT_EQ(arena_calloc(&a, SIZE_MAX / 2, 3), nullptr);
    EXPECT_EQ(arena_slice_str(&a, slice_make("", SIZE_MAX)), nullptr);
    Arena none(0);
    EXPECT_EQ(arena_alloc(&none, 0), nullptr);
}

TEST(Arena, ALargeAllocationDoesNotWasteTheRestOfTheBlock)
{
    Arena a(1 << 20);
    auto *first = static_cast<uint8_t *>(arena_alloc(&a, 16));
    ASSERT_NE(arena_alloc(&a, 200000), nullptr);
    auto *second = static_cast<uint8_t *>(arena_alloc(&a, 16));
    EXPECT_EQ(second, first + 16);
}

TEST(Arena, CopiesStringsAndZeroesMemory)
{
    Arena a(1 << 16);
    EXPECT_STREQ(arena_strdup(&a, "abc"), "abc");
    EXPECT_STREQ(arena_slice_str(&a, slice_make("abcdef", 3)), "abc");
    EXPECT_STREQ(arena_slice_str(&a, slice_make(nullptr, 0)), "");
    EXPECT_EQ(memcmp(arena_dup(&a, "a\0b", 3), "a\0b", 3), 0);
    EXPECT_NE(arena_dup(&a, nullptr, 0), nullptr);
    EXPECT_STREQ(arena_printf(&a, "%s-%d", "x", 42), "x-42");
    std::string want(5000, 'y');
    EXPECT_EQ(arena_printf(&a, "%s", want.c_str()), want);
    arena_reset(&a);
    auto *z = static_cast<uint8_t *>(arena_calloc(&a, 10, 10));
    for (int i = 0; i < 100; i++) {
        ASSERT_EQ(z[i], 0);
    }
}

TEST(Arena, EveryFailedAllocationGivesNullAndLosesNothing)
{
    for (uint64_t nth = 1;; nth++) {
        Arena a(1 << 20);
        mem_fail_nth(nth);
        for (int i = 0; i < 40; i++) {
            size_t before = a.used_bytes;
            char *p = arena_printf(&a, "%0*d", 300 + 40 * i, i);
            if (p == nullptr) {
                EXPECT_TRUE(mem_fail_fired());
                EXPECT_EQ(a.used_bytes, before);
                p = arena_strdup(&a, "again");
            }
            ASSERT_NE(p, nullptr);
        }
        if (!mem_fail_fired()) {
            mem_fail_nth(0);
            EXPECT_GT(nth, 2u);
            break;
        }
    }
}
