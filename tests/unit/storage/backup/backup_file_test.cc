#include "files.h"

#include "proto/base/hash.h"
#include "proto/base/rng.h"

using namespace backup_test;

namespace
{

std::string noise(struct rng *r, size_t n)
{
    std::string s(n, '\0');
    rng_fill(r, &s[0], n);
    return s;
}

struct backup_end end_of(uint64_t records)
{
    struct backup_end e = {};
    e.index = 100;
    e.term = 3;
    e.wall_ms = 1764500000000;
    e.records = records;
    return e;
}

File small()
{
    return write_file(head_of(BACKUP_LOG, 2, 50, 2), {"one", "two and three", "four"}, end_of(3));
}

TEST(BackupFile, WhatIsWrittenIsRead)
{
    struct rng r;
    rng_seeded_init(&r, 3);
    std::vector<std::string> records;
    std::string all;
    for (int i = 0; i < 400; i++) {
        records.push_back(i % 3 == 0 ? std::string(30000, 'a') : noise(&r, rng_below(&r, 40000)));
        all += records.back();
    }
    File f = write_file(head_of(BACKUP_BASE, 1), records, end_of(400));
    EXPECT_LT(f.bytes.size(), all.size()) << "compressed";
    for (size_t step : {size_t{1000000}, size_t{4096}, size_t{7}}) {
        Read got = read_all(f.bytes, step);
        ASSERT_EQ(OK, got.status) << got.why;
        EXPECT_TRUE(got.content == all);
        EXPECT_EQ(BACKUP_BASE, got.head.kind);
        EXPECT_EQ(1u, got.head.shard.v);
        EXPECT_EQ(4u, got.head.shards);
        EXPECT_EQ(100u, got.end.index);
        EXPECT_EQ(3u, got.end.term);
        EXPECT_EQ(1764500000000u, got.end.wall_ms);
        EXPECT_EQ(400u, got.end.records);
        EXPECT_EQ(all.size(), got.end.raw_bytes);
    }
}

TEST(BackupFile, AFileWithoutRecordsIsOneToo)
{
    Read got = read_all(write_file(head_of(BACKUP_LOG, 0, 2, 1), {}, end_of(0)).bytes);
    EXPECT_EQ(OK, got.status);
    EXPECT_EQ("", got.content);
}

TEST(BackupFile, ABlockIsBounded)
{
    std::string out;
    struct backup_head head = head_of(BACKUP_BASE, 1);
    struct backup_writer *w = nullptr;
    ASSERT_EQ(OK, backup_writer_open(&head, append, &out, &w));
    std::string most(BACKUP_BLOCK_BYTES_MAX - BACKUP_BLOCK_BYTES, 'x');
    EXPECT_EQ(ERR_LIMIT, backup_writer_add(w, slice_of(most + "x")));
    EXPECT_EQ(OK, backup_writer_add(w, slice_of(std::string(BACKUP_BLOCK_BYTES - 1, 'y'))));
    EXPECT_EQ(OK, backup_writer_add(w, slice_of(most)));
    backup_writer_free(w);
}

TEST(BackupFile, EveryTruncationIsRefused)
{
    std::string whole = small().bytes;
    for (size_t n = 0; n < whole.size(); n++) {
        Read got = read_all(whole.substr(0, n));
        ASSERT_EQ(n == 0 ? ERR_NOTFOUND : ERR_CORRUPT, got.status) << n;
        ASSERT_EQ(n == 0, got.why.empty()) << n;
    }
    Read got = read_all(whole.substr(0, whole.size() - 56));
    EXPECT_EQ("file: at byte " + std::to_string(whole.size() - 56) +
                  ": the file ends without its end record: it is not complete",
              got.why);
    EXPECT_EQ(OK, read_all(whole).status);
}

TEST(BackupFile, EveryFlippedBitIsRefused)
{
    std::string whole = small().bytes;
    for (size_t i = 0; i < whole.size() * 8; i++) {
        std::string bad = whole;
        bad[i / 8] = static_cast<char>(bad[i / 8] ^ (1 << i % 8));
        Read got = read_all(bad);
        ASSERT_TRUE(got.status == ERR_CORRUPT || got.status == ERR_UNSUPPORTED) << "bit " << i;
        ASSERT_FALSE(got.why.empty());
    }
}

TEST(BackupFile, BlocksThatAreMissingDoubleOrSwappedAreRefused)
{
    struct rng r;
    rng_seeded_init(&r, 4);
    std::vector<std::string> records;
    for (int i = 0; i < 9; i++) {
        records.push_back(noise(&r, 400000));
    }
    std::string whole = write_file(head_of(BACKUP_BASE, 1), records, end_of(9)).bytes;
    size_t first = 68;
    size_t second = first + 20 + get_le32(reinterpret_cast<const uint8_t *>(whole.data()) + first + 8);
    size_t third = second + 20 + get_le32(reinterpret_cast<const uint8_t *>(whole.data()) + second + 8);
    std::string a = whole.substr(first, second - first);
    std::string b = whole.substr(second, third - second);
    std::string head = whole.substr(0, first);
    std::string rest = whole.substr(third);
    EXPECT_EQ(OK, read_all(head + a + b + rest).status);
    EXPECT_EQ(ERR_CORRUPT, read_all(head + b + rest).status);
    EXPECT_EQ(ERR_CORRUPT, read_all(head + b + a + rest).status);
    EXPECT_EQ(ERR_CORRUPT, read_all(head + a + a + b + rest).status);
    EXPECT_EQ(ERR_CORRUPT, read_all(head + rest).status);
}

/* Each of its blocks is sound: only the checksum over all of them tells. */
TEST(BackupFile, ABlockOfAnotherFileIsRefused)
{
    struct rng r;
    rng_seeded_init(&r, 4);
    std::string tail = noise(&r, 300000);
    std::string a = write_file(head_of(BACKUP_BASE, 1), {noise(&r, 1 << 20), tail}, end_of(2)).bytes;
    std::string b = write_file(head_of(BACKUP_BASE, 1), {noise(&r, 1 << 20), tail}, end_of(2)).bytes;
    ASSERT_EQ(a.size(), b.size());
    size_t n = 20 + get_le32(reinterpret_cast<const uint8_t *>(a.data()) + 68 + 8);
    Read got = read_all(a.substr(0, 68) + b.substr(68, n) + a.substr(68 + n));
    EXPECT_EQ(ERR_CORRUPT, got.status);
    EXPECT_NE(std::string::npos, got.why.find("the end record is damaged, or blocks before it are missing")) << got.why;
}

TEST(BackupFile, SomethingBehindTheEndIsRefusedInAFileAndTheNextOneInAStream)
{
    std::string one = small().bytes;
    std::string two = write_file(head_of(BACKUP_BASE, 3), {"other"}, end_of(1)).bytes;
    Read got = read_all(one + "x");
    EXPECT_EQ(ERR_CORRUPT, got.status);
    EXPECT_EQ("file: at byte " + std::to_string(one.size()) + ": something follows the end", got.why);

    Bytes in{one + two};
    Why why;
    struct slice block;
    for (uint32_t shard : {2u, 3u}) {
        struct backup_reader *r = nullptr;
        ASSERT_EQ(OK, backup_reader_open("stream", Bytes::read, &in, &r, &why.b));
        EXPECT_EQ(shard, backup_reader_head(r)->shard.v);
        while (backup_reader_next(r, &block, &why.b) == OK) {
        }
        EXPECT_EQ(shard == 2 ? 3u : 1u, backup_reader_end(r)->records);
        backup_reader_free(r);
    }
    struct backup_reader *r = nullptr;
    EXPECT_EQ(ERR_NOTFOUND, backup_reader_open("stream", Bytes::read, &in, &r, &why.b));
    EXPECT_EQ("", why.text());
}

TEST(BackupFile, AnotherVersionIsSaidToBeOne)
{
    std::string bytes = small().bytes;
    uint8_t *p = reinterpret_cast<uint8_t *>(&bytes[0]);
    put_le32(p + 8, BACKUP_FILE_VERSION + 1);
    put_le32(p + 64, crc32c(0, p, 64));
    Read got = read_all(bytes);
    EXPECT_EQ(ERR_UNSUPPORTED, got.status);
    EXPECT_EQ("file: at byte 0: written by another version of Pillarbox", got.why);
}

TEST(BackupFile, AHeadThatContradictsItselfIsRefused)
{
    std::string whole = write_file(head_of(BACKUP_BASE, 1), {}, end_of(0)).bytes;
    const struct {
        size_t at;
        uint32_t value;
    } all[] = {
        {12, 2 /* a log without a first entry */}, {12, 0}, {12, 9}, {32, 0}, {36, 5}, {48, 3 /* a base with one */}};
    for (const auto &x : all) {
        std::string bytes = whole;
        uint8_t *p = reinterpret_cast<uint8_t *>(&bytes[0]);
        put_le32(p + x.at, x.value);
        put_le32(p + 64, crc32c(0, p, 64));
        Read got = read_all(bytes);
        EXPECT_EQ(ERR_CORRUPT, got.status) << x.at << " " << x.value;
        EXPECT_EQ("file: at byte 0: the head contradicts itself", got.why);
    }
}

TEST(BackupFile, AWriteThatFailsIsTheWritersError)
{
    for (int nth = 1; nth < 6; nth++) {
        int left = nth;
        struct backup_head head = head_of(BACKUP_BASE, 1);
        struct backup_writer *w = nullptr;
        auto failing = [](void *ctx, struct slice) { return --*static_cast<int *>(ctx) == 0 ? ERR_FULL : OK; };
        enum err e = backup_writer_open(&head, failing, &left, &w);
        for (int i = 0; e == OK && i < 5; i++) {
            e = backup_writer_add(w, slice_of(std::string(1 << 20, 'x')));
        }
        EXPECT_EQ(ERR_FULL, e);
        backup_writer_free(nth == 1 ? nullptr : w);
    }
}

} // namespace
