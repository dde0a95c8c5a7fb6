#include "proto/base/slab.h"

#include <gtest/gtest.h>

#include <cstring>
#include <thread>
#include <vector>

#include "proto/base/mem.h"

TEST(Slab, StartsEmptyWithOneReference)
{
    struct slab *s = slab_new(100);
    ASSERT_NE(s, nullptr);
    EXPECT_EQ(s->size, 0u);
    EXPECT_EQ(s->cap, 100u);
    EXPECT_EQ(s->refs, 1u);
    memset(s->data, 1, 100);
    slab_unref(s);
    slab_unref(nullptr);
}

TEST(Slab, GivesNullWhenMemoryIsOut)
{
    EXPECT_EQ(slab_new(SIZE_MAX), nullptr);
    EXPECT_EQ(slab_new(SIZE_MAX - 8), nullptr);
    mem_fail_nth(1);
    EXPECT_EQ(slab_new(1), nullptr);
    mem_fail_nth(0);
}

TEST(Slab, IsFreedByTheLastOfManyThreads)
{
    struct slab *s = slab_new(64);
    ASSERT_NE(s, nullptr);
    memset(s->data, 'x', 64);
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; t++) {
        slab_ref(s);
        threads.emplace_back([s] {
            for (int i = 0; i < 1000; i++) {
                slab_ref(s);
                EXPECT_EQ(s->data[i % 64], 'x');
                slab_unref(s);
            }
            slab_unref(s);
        });
    }
    slab_unref(s);
    for (auto &t : threads) {
        t.join();
    }
}
