#include "proto/base/id.h"

#include <gtest/gtest.h>

#include <string>

TEST(U128, HexRoundTrips)
{
    struct u128 v;
    struct u128 back;
    char hex[33];
    for (size_t i = 0; i < 16; i++) {
        v.b[i] = static_cast<uint8_t>(i * 17);
    }
    u128_hex(&v, hex);
    EXPECT_STREQ(hex, "00112233445566778899aabbccddeeff");
    ASSERT_EQ(u128_from_hex(slice_str(hex), &back), OK);
    EXPECT_TRUE(u128_eq(&v, &back));
    EXPECT_FALSE(u128_is_zero(&v));
    ASSERT_EQ(u128_from_hex(slice_str("00000000000000000000000000000000"), &back), OK);
    EXPECT_TRUE(u128_is_zero(&back));
}

TEST(U128, OnlyThirtyTwoLowerCaseDigitsAreHex)
{
    const std::string good = "00112233445566778899aabbccddeeff";
    struct u128 v = {};
    for (size_t n = 0; n < 32; n++) {
        EXPECT_EQ(u128_from_hex(slice_make(good.data(), n), &v), ERR_INVAL);
    }
    EXPECT_EQ(u128_from_hex(slice_str((good + "0").c_str()), &v), ERR_INVAL);
    for (size_t at = 0; at < 32; at++) {
        for (char c : {'g', 'A', 'F', '/', ':', '`', ' ', '\0', '\xff'}) {
            std::string bad = good;
            bad[at] = c;
            EXPECT_EQ(u128_from_hex(slice_make(bad.data(), 32), &v), ERR_INVAL);
        }
    }
    EXPECT_TRUE(u128_is_zero(&v));
}
