#include "proto/base/rng.h"

#include <gtest/gtest.h>

#include <set>
#include <vector>

TEST(Rng, SeededIsXoshiroSeededBySplitmix)
{
    struct rng r;
    rng_seeded_init(&r, 0);
    EXPECT_EQ(r.s[0], 0xe220a8397b1dcdafU);
    r.s[0] = 1;
    r.s[1] = 2;
    r.s[2] = 3;
    r.s[3] = 4;
    /* first outputs of the reference implementation from this state */
    for (uint64_t want : {11520ULL, 0ULL, 1509978240ULL, 1215971899390074240ULL}) {
        EXPECT_EQ(rng_u64(&r), want);
    }
}

TEST(Rng, TheSameSeedGivesTheSameBytesAndAnotherSeedOthers)
{
    struct rng a;
    struct rng b;
    struct rng c;
    rng_seeded_init(&a, 42);
    rng_seeded_init(&b, 42);
    rng_seeded_init(&c, 43);
    uint8_t x[37];
    uint8_t y[37];
    uint8_t z[37];
    rng_fill(&a, x, sizeof(x));
    rng_fill(&b, y, sizeof(y));
    rng_fill(&c, z, sizeof(z));
    EXPECT_EQ(memcmp(x, y, sizeof(x)), 0);
    EXPECT_NE(memcmp(x, z, sizeof(x)), 0);
    EXPECT_EQ(rng_u64(&a), rng_u64(&b));
}

TEST(Rng, FillWritesExactlyItsBytes)
{
    for (struct rng *r : {rng_system()}) {
        for (size_t n = 0; n < 20; n++) {
            std::vector<uint8_t> bytes(n + 1, 0x5a);
            rng_fill(r, bytes.data(), n);
            EXPECT_EQ(bytes[n], 0x5a);
        }
    }
}

TEST(Rng, BelowIsUniform)
{
    struct rng r;
    rng_seeded_init(&r, 1);
    int seen[7] = {0};
    for (int i = 0; i < 70000; i++) {
        uint64_t v = rng_below(&r, 7);
        ASSERT_LT(v, 7u);
        seen[v]++;
    }
    for (int n : seen) {
        EXPECT_NEAR(n, 10000, 500);
    }
    EXPECT_EQ(rng_below(&r, 1), 0u);
    /* Without rejection the lower half would come twice as often. */
    const uint64_t bound = 3ULL << 62;
    int low = 0;
    for (int i = 0; i < 10000; i++) {
        uint64_t v = rng_below(&r, bound);
        ASSERT_LT(v, bound);
        low += v < bound / 3;
    }
    EXPECT_NEAR(low, 3333, 300);
}

TEST(Rng, TheKernelDoesNotRepeatItself)
{
    std::set<uint64_t> seen;
    for (int i = 0; i < 1000; i++) {
        seen.insert(rng_u64(rng_system()));
    }
    EXPECT_EQ(seen.size(), 1000u);
    struct u128 a = rng_u128(rng_system());
    struct u128 b = rng_u128(rng_system());
    EXPECT_FALSE(u128_eq(&a, &b));
}

TEST(RngDeathTest, ABoundOfZeroAborts)
{
    EXPECT_DEATH((void)rng_below(rng_system(), 0), "bound > 0");
}
