#include "proto/rpc/frame.h"

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "proto/base/bytes.h"

namespace
{

struct rpc_head sample_head()
{
    struct rpc_head h = {};
    h.method = 48;
    h.reply = true;
    h.shard.v = 63;
    h.status = ERR_QUOTA;
    for (unsigned i = 0; i < 16; i++) {
        h.request_id.b[i] = (uint8_t)(i + 1);
    }
    h.account.v = 0x1122334455667788;
    h.issue_ms = 1700000000123;
    h.budget_ms = 30000;
    h.hint = 7;
    h.meta_bytes = 3;
    h.attach_bytes = 5;
    return h;
}

std::vector<uint8_t> sample_frame()
{
    std::vector<uint8_t> f(RPC_HEAD_BYTES + 8);
    struct rpc_head h = sample_head();
    rpc_head_encode(&h, f.data());
    memcpy(f.data() + RPC_HEAD_BYTES, "abcdefgh", 8);
    return f;
}

enum err decode(const std::vector<uint8_t> &f, struct rpc_head *h, struct slice *meta, struct slice *attach)
{
    return rpc_frame_decode(slice_make(f.data(), f.size()), h, meta, attach);
}

} // namespace

TEST(Frame, AHeadSurvivesTheRoundTrip)
{
    std::vector<uint8_t> f = sample_frame();
    struct rpc_head h;
    struct slice meta, attach;
    ASSERT_EQ(OK, decode(f, &h, &meta, &attach));
    struct rpc_head want = sample_head();
    EXPECT_EQ(want.method, h.method);
    EXPECT_TRUE(h.reply);
    EXPECT_EQ(want.shard.v, h.shard.v);
    EXPECT_EQ(want.status, h.status);
    EXPECT_TRUE(u128_eq(&want.request_id, &h.request_id));
    EXPECT_EQ(want.account.v, h.account.v);
    EXPECT_EQ(want.issue_ms, h.issue_ms);
    EXPECT_EQ(want.budget_ms, h.budget_ms);
    EXPECT_EQ(want.hint, h.hint);
    EXPECT_TRUE(slice_eq_str(meta, "abc"));
    EXPECT_TRUE(slice_eq_str(attach, "defgh"));
}

TEST(Frame, TheLayoutIsTheDocumentedOne)
{
    std::vector<uint8_t> f = sample_frame();
    EXPECT_EQ(0, memcmp(f.data(), "PBX1", 4));
    EXPECT_EQ(1, f[4]);
    EXPECT_EQ(48, f[6]);
    EXPECT_EQ(63, f[8]);
    EXPECT_EQ(11, f[12]);
    EXPECT_EQ(1, f[16]);
    EXPECT_EQ(0x88, f[32]);
    EXPECT_EQ(3, f[52]);
    EXPECT_EQ(5, f[56]);
    EXPECT_EQ(7, f[64]);
}

TEST(Frame, EveryTruncationAndEveryExtraByteIsCorrupt)
{
    std::vector<uint8_t> f = sample_frame();
    struct rpc_head h;
    struct slice meta, attach;
    for (size_t n = 0; n < f.size(); n++) {
        std::vector<uint8_t> cut(f.begin(), f.begin() + (long)n);
        EXPECT_EQ(ERR_CORRUPT, decode(cut, &h, &meta, &attach)) << n;
    }
    f.push_back(0);
    EXPECT_EQ(ERR_CORRUPT, decode(f, &h, &meta, &attach));
}

TEST(Frame, LengthsThatOverflowThirtyTwoBitsAreCorrupt)
{
    std::vector<uint8_t> f = sample_frame();
    struct rpc_head h;
    struct slice meta, attach;
    put_le32(f.data() + 52, UINT32_MAX);
    put_le32(f.data() + 56, 9); /* the sum wraps to 8 */
    EXPECT_EQ(ERR_CORRUPT, decode(f, &h, &meta, &attach));
}

TEST(Frame, WrongMagicVersionOrSizeIsCorrupt)
{
    struct rpc_head h;
    struct slice meta, attach;
    std::vector<uint8_t> f = sample_frame();
    f[0] ^= 1;
    EXPECT_EQ(ERR_CORRUPT, decode(f, &h, &meta, &attach));
    f = sample_frame();
    f[4] = 2;
    EXPECT_EQ(ERR_CORRUPT, decode(f, &h, &meta, &attach));
    f.assign(RPC_FRAME_BYTES_MAX + 1, 0);
    memcpy(f.data(), sample_frame().data(), RPC_HEAD_BYTES);
    put_le32(f.data() + 52, 0);
    put_le32(f.data() + 56, RPC_FRAME_BYTES_MAX + 1 - RPC_HEAD_BYTES);
    EXPECT_EQ(ERR_CORRUPT, decode(f, &h, &meta, &attach));
    f.resize(RPC_FRAME_BYTES_MAX);
    put_le32(f.data() + 56, RPC_FRAME_BYTES_MAX - RPC_HEAD_BYTES);
    EXPECT_EQ(OK, decode(f, &h, &meta, &attach));
}

TEST(Frame, AnUnknownStatusIsNotTakenForAKnownOne)
{
    std::vector<uint8_t> f = sample_frame();
    put_le32(f.data() + 12, 4711);
    struct rpc_head h;
    struct slice meta, attach;
    ASSERT_EQ(OK, decode(f, &h, &meta, &attach));
    EXPECT_EQ(ERR_CORRUPT, h.status);
}

TEST(Hint, SurvivesTheRoundTripAndRefusesOtherSizes)
{
    struct rpc_hint h = {{3}, 77, 12, {5}, {6}, 99};
    uint8_t p[RPC_HINT_BYTES + 1] = {};
    rpc_hint_encode(&h, p);
    struct rpc_hint got;
    ASSERT_EQ(OK, rpc_hint_decode(slice_make(p, RPC_HINT_BYTES), &got));
    EXPECT_EQ(3u, got.shard.v);
    EXPECT_EQ(77u, got.epoch);
    EXPECT_EQ(12u, got.seq);
    EXPECT_EQ(5u, got.account.v);
    EXPECT_EQ(6u, got.mailbox.v);
    EXPECT_EQ(99u, got.modseq);
    for (size_t n = 0; n <= RPC_HINT_BYTES + 1; n++) {
        if (n != RPC_HINT_BYTES) {
            EXPECT_EQ(ERR_CORRUPT, rpc_hint_decode(slice_make(p, n), &got)) << n;
        }
    }
    p[0] = 'X';
    EXPECT_EQ(ERR_CORRUPT, rpc_hint_decode(slice_make(p, RPC_HINT_BYTES), &got));
}
