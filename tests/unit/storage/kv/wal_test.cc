#include <fcntl.h>
#include <unistd.h>

#include <fstream>

#include "kv_fixture.h"
#include "proto/base/mem.h"
#include "storage/kv/wal.h"

namespace
{

constexpr uint64_t STORE = 77;

using Changes = std::vector<std::pair<std::string, std::string>>; /* value "-": deleted */

enum err collect(void *ctx, struct slice payload)
{
    auto *out = static_cast<std::vector<Changes> *>(ctx);
    struct wal_change c;
    enum err e;
    out->emplace_back();
    while ((e = wal_change_next(&payload, &c)) == OK) {
        out->back().emplace_back(text(c.key), c.del ? "-" : text(c.value));
    }
    return e == ERR_NOTFOUND ? OK : e;
}

class Wal : public testing::Test
{
  protected:
    void SetUp() override
    {
        open();
    }
    void TearDown() override
    {
        wal_close(w);
    }
    void open(uint64_t store = STORE)
    {
        struct buf why;
        std::string path = dir.file();
        struct wal_config cfg = {path.c_str(), store};
        buf_init(&why, 1000);
        ASSERT_EQ(wal_open(&cfg, &w, &why), OK);
        buf_fini(&why);
    }
    void reopen(uint64_t store = STORE)
    {
        wal_close(w);
        open(store);
    }
    /* A record with this text as its value. */
    void add(const std::string &value)
    {
        wal_begin(w);
        ASSERT_EQ(wal_put(w, str("k"), str(value)), OK);
        ASSERT_EQ(wal_commit(w), OK);
    }
    /* The values of the records behind `after`, run together; or the error. */
    std::string replayed(uint64_t after = 0)
    {
        std::vector<Changes> records;
        enum err e = wal_replay(w, after, collect, &records);
        std::string out;
        for (const Changes &r : records) {
            out += r.empty() ? "?" : r[0].second;
        }
        return e == OK ? out : err_name(e);
    }
    std::string file(int i) const
    {
        return dir.file() + "-wal" + std::to_string(i);
    }
    std::string bytes_of(int i) const
    {
        std::ifstream f(file(i), std::ios::binary);
        return {std::istreambuf_iterator<char>(f), std::istreambuf_iterator<char>()};
    }
    void write(int i, const std::string &bytes) const
    {
        std::ofstream(file(i), std::ios::binary) << bytes;
    }
    QuickDir dir;
    struct wal *w = nullptr;
};

TEST_F(Wal, GivesBackWhatWasCommittedInOrder)
{
    wal_begin(w);
    ASSERT_EQ(wal_put(w, str("key"), str("value")), OK);
    ASSERT_EQ(wal_del(w, str("gone")), OK);
    ASSERT_EQ(wal_put(w, str("empty"), str("")), OK);
    ASSERT_EQ(wal_commit(w), OK);
    add(std::string(100000, 'x'));
    reopen();
    std::vector<Changes> records;
    ASSERT_EQ(wal_replay(w, 0, collect, &records), OK);
    ASSERT_EQ(records.size(), 2u);
    EXPECT_EQ(records[0], (Changes{{"key", "value"}, {"gone", "-"}, {"empty", ""}}));
    EXPECT_EQ(records[1][0].second.size(), 100000u);
    EXPECT_EQ(wal_seq(w), 2u);
}

TEST_F(Wal, AValueThatIsFilledInLaterIsTakenFromItsPlace)
{
    std::string place = "????";
    wal_begin(w);
    ASSERT_EQ(wal_put_later(w, str("k"), 4), OK);
    wal_later_at(w, reinterpret_cast<const uint8_t *>(place.data()));
    place = "late";
    ASSERT_EQ(wal_commit(w), OK);
    EXPECT_EQ(replayed(), "late");
}

TEST_F(Wal, WhatIsGivenUpIsNotInTheNextRecord)
{
    wal_begin(w);
    ASSERT_EQ(wal_put(w, str("k"), str("no")), OK);
    EXPECT_FALSE(wal_is_empty(w));
    wal_begin(w);
    EXPECT_TRUE(wal_is_empty(w));
    add("a");
    EXPECT_EQ(replayed(), "a");
}

TEST_F(Wal, ARecordTakenBackIsNotGiven)
{
    add("a");
    add("b");
    ASSERT_EQ(wal_void(w), OK);
    add("c");
    add("d");
    ASSERT_EQ(wal_void(w), OK);
    reopen();
    EXPECT_EQ(replayed(), "ac");
    EXPECT_EQ(wal_seq(w), 6u);
}

TEST_F(Wal, ARecordThatTakesBackHasItsBlockWhereverTheOneBeforeEnds)
{
    add("a");
    add(std::string((252 << 10) - 32 - 8 - 1, 'x')); /* to the end of what is filled at a time */
    auto size = std::filesystem::file_size(file(0));
    ASSERT_EQ(wal_bytes(w), 256u << 10);
    EXPECT_GE(size, wal_bytes(w) + WAL_BLOCK_BYTES);
    ASSERT_EQ(wal_void(w), OK);
    EXPECT_EQ(std::filesystem::file_size(file(0)), size);
}

TEST_F(Wal, GoesOverBothFilesAndLeavesOutWhatACheckpointHolds)
{
    add("a");
    add("b");
    wal_switch(w); /* a checkpoint holds b */
    add("c");
    reopen();
    EXPECT_EQ(replayed(), "abc");
    EXPECT_EQ(replayed(2), "c");
    EXPECT_EQ(replayed(3), "");
    EXPECT_EQ(wal_seq(w), 3u);
}

TEST_F(Wal, AFileThatIsUsedAgainEndsWhereItsNewRecordsEnd)
{
    for (int i = 0; i < 5; i++) {
        add(std::string(1, static_cast<char>('a' + i)));
    }
    wal_switch(w);
    add("f");
    wal_switch(w); /* a to e are superfluous */
    add("g");
    reopen();
    EXPECT_EQ(replayed(5), "fg");
    EXPECT_EQ(replayed(6), "g");
}

TEST_F(Wal, AfterAReplayAndACheckpointItGoesOn)
{
    add("a");
    reopen();
    ASSERT_EQ(replayed(), "a");
    add("b"); /* over a, which the checkpoint holds */
    reopen();
    EXPECT_EQ(replayed(1), "b");
}

TEST_F(Wal, AnotherStoresRecordsAreNone)
{
    add("a");
    reopen(STORE + 1);
    EXPECT_EQ(replayed(), "");
}

/* The power went while it was written. */
TEST_F(Wal, ATornLastRecordIsNotThere)
{
    add("a");
    add(std::string(10000, 'b'));
    std::string whole = bytes_of(0);
    for (size_t sector = 4096; sector < 4096 + 12288; sector += 512) {
        std::string torn = whole;
        torn.replace(sector, 512, std::string(512, '\0'));
        write(0, torn);
        reopen();
        EXPECT_EQ(replayed(), sector < 4096 + 10240 ? "a" : "a" + std::string(10000, 'b')) << sector;
        write(0, whole.substr(0, sector));
        reopen();
        EXPECT_EQ(replayed(), "a") << sector;
    }
}

/* It was flushed: the disk lost it. Nothing behind it may be carried out, and nothing before it either, silently. */
TEST_F(Wal, ADamagedRecordBeforeAWholeOneIsSaid)
{
    add("a");
    add("b");
    add("c");
    std::string whole = bytes_of(0);
    for (size_t at : {size_t{20}, size_t{4096 + 20}, size_t{4096 + 41}}) {
        std::string bad = whole;
        bad[at] = static_cast<char>(bad[at] ^ 1);
        write(0, bad);
        reopen();
        EXPECT_EQ(replayed(), "ERR_CORRUPT") << at;
    }
    EXPECT_EQ(replayed(3), "");
}

TEST_F(Wal, AMissingFileBeforeTheOtherIsSaid)
{
    add("a");
    wal_switch(w);
    add("b");
    write(0, "");
    reopen();
    EXPECT_EQ(replayed(), "ERR_CORRUPT");
    EXPECT_EQ(replayed(1), "b");
}

/* A mail may hold anything, but not the store's number. */
TEST_F(Wal, AValueThatLooksLikeARecordIsNone)
{
    {
        QuickDir other;
        struct wal *forger = nullptr;
        struct buf why;
        std::string path = other.file();
        struct wal_config cfg = {path.c_str(), STORE + 1};
        buf_init(&why, 1000);
        ASSERT_EQ(wal_open(&cfg, &forger, &why), OK);
        for (int i = 0; i < 3; i++) {
            wal_begin(forger);
            ASSERT_EQ(wal_put(forger, str("k"), str("forged")), OK);
            ASSERT_EQ(wal_commit(forger), OK);
        }
        wal_close(forger);
        buf_fini(&why);
        std::ifstream f(path + "-wal0", std::ios::binary);
        std::string forged{std::istreambuf_iterator<char>(f), std::istreambuf_iterator<char>()};
        add(std::string(4096 - 32 - 8 - 1, 'p') + forged.substr(0, 12288)); /* each at a block's start */
    }
    std::string torn = bytes_of(0);
    torn[100] = 'q';
    write(0, torn);
    reopen();
    EXPECT_EQ(replayed(), "");
}

TEST_F(Wal, NoMemoryRefusesTheChangeAndTheNextTransactionIsWhole)
{
    for (uint64_t nth = 1; nth < 20; nth++) {
        wal_begin(w);
        mem_fail_nth(nth);
        enum err e = wal_put(w, str("k"), str(std::string(200000 * nth, 'x')));
        if (e == OK) {
            e = wal_commit(w);
        }
        mem_fail_nth(0);
        if (e == OK) {
            continue;
        }
        EXPECT_EQ(e, ERR_NOMEM);
        uint64_t seq = wal_seq(w);
        add("after");
        EXPECT_EQ(wal_seq(w), seq + 1);
    }
}

TEST(WalChange, BytesThatAreNoChangesAreSaid)
{
    for (const std::string &bad : {std::string("x"), std::string("\1\0\0\0\0\0\0\0", 8),
                                   std::string("\3\0\1\0\0\0\0\0k", 9), std::string("\1\1\1\0\0\0\0\0k", 9),
                                   std::string("\1\0\1\0\5\0\0\0kv", 10), std::string("\2\0\1\0\1\0\0\0kv", 10)}) {
        struct slice s = str(bad);
        struct wal_change c;
        EXPECT_EQ(wal_change_next(&s, &c), ERR_CORRUPT);
    }
}

} // namespace
