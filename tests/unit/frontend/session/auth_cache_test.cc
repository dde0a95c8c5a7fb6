#include "frontend/session/auth_cache.h"

#include <gtest/gtest.h>

#include "frontend/session/auth_throttle.h"

namespace
{
struct Fp {
    uint8_t b[AUTH_FINGERPRINT_BYTES];
    explicit Fp(uint8_t v)
    {
        memset(b, v, sizeof(b));
    }
};
} // namespace

TEST(AuthCache, AnswersTheVersionOnlyForTheSamePassword)
{
    struct auth_cache *c;
    ASSERT_EQ(auth_cache_open(10, 1000, &c), OK);
    auth_cache_put(c, {1}, 7, Fp(1).b, 0);
    EXPECT_EQ(auth_cache_version(c, {1}, Fp(1).b, 10), 7u);
    EXPECT_EQ(auth_cache_version(c, {1}, Fp(2).b, 10), 0u);
    EXPECT_EQ(auth_cache_version(c, {2}, Fp(1).b, 10), 0u);
    auth_cache_put(c, {1}, 8, Fp(2).b, 10);
    EXPECT_EQ(auth_cache_version(c, {1}, Fp(1).b, 10), 0u) << "a new password replaces the old one";
    EXPECT_EQ(auth_cache_version(c, {1}, Fp(2).b, 10), 8u);
    auth_cache_close(c);
}

TEST(AuthCache, EntriesExpire)
{
    struct auth_cache *c;
    ASSERT_EQ(auth_cache_open(10, 1000, &c), OK);
    auth_cache_put(c, {1}, 7, Fp(1).b, 5);
    EXPECT_EQ(auth_cache_version(c, {1}, Fp(1).b, 1004), 7u);
    EXPECT_EQ(auth_cache_version(c, {1}, Fp(1).b, 1005), 0u);
    auth_cache_close(c);
}

TEST(AuthCache, TheLeastRecentlyUsedGoesFirst)
{
    struct auth_cache *c;
    ASSERT_EQ(auth_cache_open(2, 1000, &c), OK);
    auth_cache_put(c, {1}, 1, Fp(1).b, 0);
    auth_cache_put(c, {2}, 2, Fp(2).b, 0);
    EXPECT_EQ(auth_cache_version(c, {1}, Fp(1).b, 0), 1u);
    auth_cache_put(c, {3}, 3, Fp(3).b, 0);
    EXPECT_EQ(auth_cache_version(c, {2}, Fp(2).b, 0), 0u);
    EXPECT_EQ(auth_cache_version(c, {1}, Fp(1).b, 0), 1u);
    EXPECT_EQ(auth_cache_version(c, {3}, Fp(3).b, 0), 3u);
    auth_cache_close(c);
}

TEST(AuthCache, NoEntriesMeansNoCache)
{
    struct auth_cache *c;
    ASSERT_EQ(auth_cache_open(0, 1000, &c), OK);
    auth_cache_put(c, {1}, 1, Fp(1).b, 0);
    EXPECT_EQ(auth_cache_version(c, {1}, Fp(1).b, 0), 0u);
    auth_cache_close(c);
}

TEST(AuthThrottle, ClosesAfterItsFailuresAndOpensAfterTheMinute)
{
    struct auth_throttle *t;
    ASSERT_EQ(auth_throttle_open(3, &t), OK);
    struct slice k = slice_str("192.0.2.1");
    for (int i = 0; i < 3; i++) {
        EXPECT_FALSE(auth_throttle_closed(t, k, 100));
        auth_throttle_failed(t, k, 100);
    }
    EXPECT_TRUE(auth_throttle_closed(t, k, 100));
    EXPECT_FALSE(auth_throttle_closed(t, slice_str("192.0.2.2"), 100));
    EXPECT_TRUE(auth_throttle_closed(t, k, 60099));
    EXPECT_FALSE(auth_throttle_closed(t, k, 60100));
    auth_throttle_close(t);
}
