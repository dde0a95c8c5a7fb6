#include <gtest/gtest.h>

#include <string>

#include "proto/base/bytes.h"
#include "proto/rpc/hello.h"
#include "proto/rpc/links.h"

namespace
{

std::string hello_bytes(const std::string &address = "tcp://10.0.0.7:2102")
{
    struct rpc_hello h = {};
    h.lane = RPC_LANE_BULK;
    memset(h.cluster.b, 0xc1, 16);
    h.from.v = 7;
    h.to.v = 9;
    h.epoch = 1234567890123;
    h.address = slice_make(address.data(), address.size());
    uint8_t out[RPC_HELLO_BYTES_MAX];
    size_t n = rpc_hello_encode(&h, out);
    return std::string((const char *)out, n);
}

enum err decode(const std::string &bytes, struct rpc_hello *out)
{
    return rpc_hello_decode(slice_make(bytes.data(), bytes.size()), out);
}

enum err decode_with(size_t at, const std::string &change)
{
    struct rpc_hello h;
    std::string b = hello_bytes();
    return decode(b.replace(at, change.size(), change), &h);
}

} // namespace

TEST(Hello, WhatIsSaidIsHeard)
{
    for (const std::string &address : {std::string(), std::string("tcp://10.0.0.7:2102"), std::string(255, 'a')}) {
        std::string bytes = hello_bytes(address);
        struct rpc_hello h;
        ASSERT_EQ(OK, decode(bytes, &h));
        EXPECT_EQ(RPC_LANE_BULK, h.lane);
        EXPECT_EQ(0xc1, h.cluster.b[15]);
        EXPECT_EQ(7u, h.from.v);
        EXPECT_EQ(9u, h.to.v);
        EXPECT_EQ(1234567890123u, h.epoch);
        EXPECT_EQ(address, std::string((const char *)h.address.p, h.address.n));
    }
}

TEST(Hello, AnythingShorterOrLongerIsRefused)
{
    std::string whole = hello_bytes();
    struct rpc_hello h;
    for (size_t n = 0; n < whole.size(); n++) {
        EXPECT_EQ(ERR_CORRUPT, decode(whole.substr(0, n), &h)) << n;
    }
    EXPECT_EQ(ERR_CORRUPT, decode(whole + "x", &h));
    std::string big = hello_bytes(std::string(255, 'a')) + "a";
    put_le16((uint8_t *)&big[6], 256);
    EXPECT_EQ(ERR_CORRUPT, decode(big, &h));
}

TEST(Hello, EveryFieldIsChecked)
{
    EXPECT_EQ(OK, decode_with(0, "PBXL"));
    EXPECT_EQ(ERR_CORRUPT, decode_with(0, "PBXM"));
    EXPECT_EQ(ERR_UNSUPPORTED, decode_with(4, "\2"));
    EXPECT_EQ(ERR_CORRUPT, decode_with(5, "\2"));
    EXPECT_EQ(ERR_CORRUPT, decode_with(24, std::string(8, 0)));
    EXPECT_EQ(ERR_CORRUPT, decode_with(32, std::string(8, 0)));
    EXPECT_EQ(ERR_CORRUPT, decode_with(40, std::string(8, 0)));
    for (const char *bad : {"\n", " ", "\x7f", "\x80"}) {
        EXPECT_EQ(ERR_CORRUPT, decode_with(50, bad));
    }
    EXPECT_EQ(ERR_CORRUPT, decode_with(50, std::string(1, 0)));
}
