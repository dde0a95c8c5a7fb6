#include "replication/reads_frame.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "proto/base/bytes.h"

namespace
{

std::string frame(enum reads_frame_kind kind, size_t n)
{
    std::string s(reads_frame_bytes(n), '\0');
    const struct reads_frame f = {kind, static_cast<uint16_t>(n), 0x1122334455667788, 42, {nullptr, 0}};
    reads_frame_put_head(reinterpret_cast<uint8_t *>(&s[0]), &f);
    for (size_t i = 0; i < n; i++) {
        reads_frame_put_row(reinterpret_cast<uint8_t *>(&s[0]), i, {{static_cast<uint32_t>(i + 7)}, i * 3 + 1});
    }
    return s;
}

/* From a block of exactly these bytes, so that a read past the end is seen. */
enum err decode(const std::string &s, struct reads_frame *out)
{
    std::vector<char> exact(s.begin(), s.end());
    enum err e = reads_frame_get(slice_make(exact.data(), exact.size()), out);
    for (size_t i = 0; e == OK && i < out->n; i++) {
        volatile uint64_t term = reads_frame_row(out, i).term;
        (void)term;
    }
    return e;
}

TEST(ReadsFrame, ComesBackAsItWent)
{
    for (enum reads_frame_kind kind : {READS_FRAME_PING, READS_FRAME_PONG}) {
        for (size_t n : {size_t{1}, size_t{3}, size_t{READS_FRAME_ROWS_MAX}}) {
            std::string s = frame(kind, n);
            struct reads_frame f;
            ASSERT_EQ(reads_frame_get(slice_make(s.data(), s.size()), &f), OK);
            EXPECT_EQ(s[0], static_cast<char>(kind));
            EXPECT_EQ(f.kind, kind);
            EXPECT_EQ(f.n, n);
            EXPECT_EQ(f.life, 0x1122334455667788u);
            EXPECT_EQ(f.round, 42u);
            for (size_t i = 0; i < n; i++) {
                ASSERT_EQ(reads_frame_row(&f, i).shard.v, i + 7);
                ASSERT_EQ(reads_frame_row(&f, i).term, i * 3 + 1);
            }
        }
    }
}

TEST(ReadsFrame, EveryTruncationAndWhatFollowsIsCorrupt)
{
    std::string s = frame(READS_FRAME_PONG, 3);
    struct reads_frame f;
    for (size_t n = 0; n < s.size(); n++) {
        EXPECT_EQ(decode(s.substr(0, n), &f), ERR_CORRUPT) << n;
    }
    EXPECT_EQ(decode(s + "x", &f), ERR_CORRUPT);
    EXPECT_EQ(decode(s + s.substr(READS_FRAME_HEAD_BYTES, READS_FRAME_ROW_BYTES), &f), ERR_CORRUPT);
}

TEST(ReadsFrame, EveryFlippedBitIsRefusedOrReadsWithinTheBytes)
{
    std::string s = frame(READS_FRAME_PING, 2);
    for (size_t bit = 0; bit < s.size() * 8; bit++) {
        std::string flipped = s;
        struct reads_frame f;
        flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << bit % 8));
        enum err e = decode(flipped, &f);
        EXPECT_EQ(e == OK, bit >= 32 || bit == 0) << bit; /* the first bit makes a pong of it */
    }
}

TEST(ReadsFrame, KindVersionAndNumberOfRowsAreLookedAt)
{
    struct reads_frame f;
    std::string s = frame(READS_FRAME_PING, 1);
    s[1] = 2;
    EXPECT_EQ(decode(s, &f), ERR_UNSUPPORTED);
    s = frame(READS_FRAME_PING, 1);
    s[0] = 1;
    EXPECT_EQ(decode(s, &f), ERR_CORRUPT);
    EXPECT_EQ(decode(frame(READS_FRAME_PING, 0), &f), ERR_CORRUPT);
    EXPECT_EQ(decode(frame(READS_FRAME_PING, READS_FRAME_ROWS_MAX + 1), &f), ERR_CORRUPT);
}

} // namespace
