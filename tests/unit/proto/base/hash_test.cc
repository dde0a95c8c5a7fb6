#include "proto/base/hash.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <string>
#include <vector>

TEST(Crc32c, MatchesTheVectorsOfRfc3720)
{
    uint8_t zeros[32] = {0};
    uint8_t ones[32];
    uint8_t up[32];
    uint8_t down[32];
    memset(ones, 0xff, sizeof(ones));
    for (size_t i = 0; i < 32; i++) {
        up[i] = static_cast<uint8_t>(i);
        down[i] = static_cast<uint8_t>(31 - i);
    }
    for (auto *crc : {crc32c, crc32c_portable}) {
        EXPECT_EQ(crc(0, zeros, 32), 0x8a9136aaU);
        EXPECT_EQ(crc(0, ones, 32), 0x62a8ab43U);
        EXPECT_EQ(crc(0, up, 32), 0x46dd794eU);
        EXPECT_EQ(crc(0, down, 32), 0x113fdb5cU);
        EXPECT_EQ(crc(0, "123456789", 9), 0xe3069283U);
        EXPECT_EQ(crc(0, nullptr, 0), 0U);
    }
}

TEST(Crc32c, FastAndPortableAgreeAtEveryLengthAlignmentAndSplit)
{
    std::mt19937 random(3);
    std::vector<uint8_t> bytes(200);
    for (auto &b : bytes) {
        b = static_cast<uint8_t>(random());
    }
    for (size_t from = 0; from < 9; from++) {
        for (size_t n = 0; n + from <= 80; n++) {
            uint32_t whole = crc32c(0, bytes.data() + from, n);
            ASSERT_EQ(whole, crc32c_portable(0, bytes.data() + from, n));
            size_t cut = n == 0 ? 0 : random() % n;
            uint32_t first = crc32c(0, bytes.data() + from, cut);
            ASSERT_EQ(whole, crc32c(first, bytes.data() + from + cut, n - cut));
            ASSERT_EQ(whole, crc32c_portable(first, bytes.data() + from + cut, n - cut));
        }
    }
}

TEST(Siphash, MatchesTheReferenceVectors)
{
    uint8_t key[16];
    uint8_t in[64];
    for (size_t i = 0; i < 64; i++) {
        in[i] = static_cast<uint8_t>(i);
    }
    memcpy(key, in, 16);
    const uint64_t want[] = {0x726fdb47dd0e0e31U, 0x74f839c593dc67fdU, 0x0d6c8009d9a94f5aU,
                             0x85676696d7fb7e2dU, 0xcf2794e0277187b7U, 0x18765564cd99a68dU,
                             0xcbc9466e58fee3ceU, 0xab0200f58b01d137U, 0x93f5f5799a932462U};
    for (size_t n = 0; n < 9; n++) {
        EXPECT_EQ(siphash24(key, in, n), want[n]) << n;
    }
    EXPECT_EQ(siphash24(key, in, 15), 0xa129ca6149be45e5U);
    EXPECT_EQ(siphash24(key, in, 63), 0x958a324ceb064572U);
}

TEST(Hash, TheTableHashIsOneFunctionWithinAProcess)
{
    EXPECT_EQ(hash_table_key("abc", 3), hash_table_key(std::string("abc").c_str(), 3));
    EXPECT_NE(hash_table_key("abc", 3), hash_table_key("abd", 3));
}

/* Stored and used for routing: these numbers may never change. */
TEST(Hash, TheStableHashNeverChanges)
{
    EXPECT_EQ(hash_stable("", 0), 0xefd01f60ba992926U);
    EXPECT_EQ(hash_stable("a", 1), 0x82a2a958a9bece5bU);
    EXPECT_EQ(hash_stable("alice@example.org", 17), 0x2562c6bf020af5e0U);
}

TEST(Hash, TheStableHashSpreadsOverShards)
{
    int shards[64] = {0};
    for (int i = 0; i < 64000; i++) {
        std::string name = "user" + std::to_string(i);
        shards[hash_stable(name.data(), name.size()) % 64]++;
    }
    for (int n : shards) {
        EXPECT_NEAR(n, 1000, 200);
    }
}
