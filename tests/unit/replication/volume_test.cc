#include <stdlib.h>

#include <atomic>
#include <filesystem>
#include <thread>

#include "proto/base/hash.h"
#include "proto/base/mem.h"
#include "storage/kv/kv_lmdb.h"
#include "volume_fixture.h"

namespace
{

class Volume : public VolumeTest
{
};

using Writes = std::list<Write>;

std::vector<Write *> pointers(Writes *l)
{
    std::vector<Write *> v;
    for (Write &w : *l) {
        v.push_back(&w);
    }
    return v;
}

TEST_F(Volume, ATurnIsOneCommitHoweverManyShardsAndWrites)
{
    Writes l;
    start(64);
    uint64_t commits = kv_mem_commits(kv);
    for (uint32_t i = 0; i < 640; i++) {
        l.emplace_back(i % 64, std::to_string(i));
    }
    turn(pointers(&l));
    EXPECT_EQ(kv_mem_commits(kv), commits + 1);
    for (Write &w : l) {
        EXPECT_EQ(w.answers, 1);
        EXPECT_EQ(w.status, OK);
        EXPECT_EQ(w.result, w.data);
    }
    EXPECT_EQ(machines[5].committed, 1);
    EXPECT_EQ(machines[5].applied, 10);
}

TEST_F(Volume, StartsManyReplicasInOneCommit)
{
    ASSERT_EQ(open(65), OK);
    EXPECT_EQ(kv_mem_commits(kv), 0u);
    EXPECT_FALSE(leads(3));
    turn();
    EXPECT_EQ(kv_mem_commits(kv), 1u);
    EXPECT_TRUE(leads(3));
    EXPECT_TRUE(leads(64));
}

TEST_F(Volume, AnIdleTurnCommitsNothingAndAsksForALongRest)
{
    start();
    settle();
    uint64_t commits = kv_mem_commits(kv);
    uint64_t operations = kv_mem_operations(kv);
    EXPECT_GE(turn(), 10000u);
    EXPECT_EQ(kv_mem_commits(kv), commits);
    EXPECT_EQ(kv_mem_operations(kv), operations);
}

TEST_F(Volume, EveryStartRaisesTheTerm)
{
    start();
    EXPECT_TRUE(leads(0));
    EXPECT_EQ(term, 2u);
    for (uint64_t i = 3; i < 8; i++) {
        restart();
        ASSERT_TRUE(leads(0));
        EXPECT_EQ(term, i);
    }
    ASSERT_EQ(one(0, "x"), OK);
    EXPECT_EQ(machines[0].indexes.back(), 8u); /* the configuration, six barriers, this one */
}

TEST_F(Volume, FindsItsReplicasAgain)
{
    size_t n = 0;
    start(5);
    close();
    ASSERT_EQ(volume_open(&config, &volume), OK);
    const struct volume_found *found = volume_found(volume, &n);
    ASSERT_EQ(n, 5u);
    for (uint32_t i = 0; i < 5; i++) {
        EXPECT_EQ(found[i].shard.v, i);
        EXPECT_EQ(found[i].replica, i + 1);
    }
}

TEST_F(Volume, GivesANewShardANumberThatWasNeverUsed)
{
    start(2);
    close();
    ASSERT_EQ(volume_open(&config, &volume), OK);
    ASSERT_EQ(open_replica(9), OK);
    EXPECT_EQ(machines[9].prefix[3], 3);
    turn();
    EXPECT_TRUE(leads(9));
    EXPECT_FALSE(leads(0));
    ASSERT_EQ(open_replica(0), OK); /* while the volume runs */
    EXPECT_EQ(machines[0].prefix[3], 1);
    turn();
    EXPECT_TRUE(leads(0));
    EXPECT_EQ(open_replica(0), ERR_EXISTS);
}

TEST_F(Volume, RefusesWhatItCannotTake)
{
    Write unknown(77, "x");
    Write far_away(UINT32_MAX, "x");
    Write large(0, std::string(REPL_ENTRY_BYTES_MAX, 'x'), "y");
    Write fits(0, std::string(REPL_ENTRY_BYTES_MAX - 1, 'x'), "y");
    start();
    turn({&unknown, &far_away, &large, &fits});
    EXPECT_EQ(unknown.status, ERR_NOT_LEADER);
    EXPECT_EQ(far_away.status, ERR_NOT_LEADER);
    EXPECT_EQ(large.status, ERR_LIMIT);
    EXPECT_EQ(fits.status, OK);
    EXPECT_EQ(volume_replica_open(volume, {1 << 20}, {7}, nullptr), ERR_INVAL);
}

TEST_F(Volume, AnswersInTheOrderOfTheLog)
{
    Writes l;
    start();
    for (int i = 0; i < 50; i++) {
        l.emplace_back(0, std::to_string(i));
    }
    turn(pointers(&l));
    for (size_t i = 1; i < machines[0].indexes.size(); i++) {
        EXPECT_EQ(machines[0].indexes[i], machines[0].indexes[i - 1] + 1);
    }
}

TEST_F(Volume, LeavesTheRestForTheNextTurnWhenAShardHasMoreThanAThousand)
{
    Writes l;
    start();
    for (int i = 0; i < 1500; i++) {
        l.emplace_back(0, "x");
    }
    l.emplace_back(1, "other");
    EXPECT_EQ(turn(pointers(&l)), 0u);
    EXPECT_EQ(machines[0].applied, 1000);
    EXPECT_EQ(l.back().answers, 1) << "another shard does not wait behind it";
    EXPECT_GT(turn(), 0u);
    EXPECT_EQ(machines[0].applied, 1500);
}

TEST_F(Volume, LeavesTheRestForTheNextTurnAfterEightMebibytes)
{
    Writes l;
    start();
    for (int i = 0; i < 100; i++) {
        l.emplace_back(static_cast<uint32_t>(i % 2), "x", std::string(200000, 'b'));
    }
    size_t done = 0;
    std::vector<Write *> first = pointers(&l);
    for (int turns = 0; done < 100; turns++) {
        ASSERT_LT(turns, 5);
        uint64_t wait = turn(turns == 0 ? first : std::vector<Write *>());
        size_t before = done;
        done = 0;
        for (Write &w : l) {
            done += static_cast<size_t>(w.answers);
        }
        EXPECT_LE((done - before) * 200000, 8u << 20);
        EXPECT_EQ(wait == 0, done < 100);
    }
    EXPECT_EQ(machines[0].applied, 50);
    EXPECT_EQ(machines[1].applied, 50);
}

/* --- full disk --- */

TEST_F(Volume, OnlyTheWriteThatDoesNotFitIsRefused)
{
    Writes l;
    start();
    settle();
    kv_mem_limit(kv, 100000);
    for (int i = 0; i < 33; i++) {
        l.emplace_back(static_cast<uint32_t>(i % 2), "small", i == 20 ? std::string(150000, 'b') : "");
    }
    turn(pointers(&l));
    settle();
    int i = 0;
    for (Write &w : l) {
        EXPECT_EQ(w.answers, 1);
        EXPECT_EQ(w.status, i == 20 ? ERR_FULL : OK) << i;
        i++;
    }
    EXPECT_GT(machines[0].aborted, 0);
    struct volume_stats st;
    volume_stats(volume, &st);
    EXPECT_EQ(st.full_refusals, 1u);
    EXPECT_EQ(st.entries, 32u);
}

TEST_F(Volume, ACommitThatFailsOnceIsTriedAgain)
{
    Writes l;
    start();
    settle();
    for (int i = 0; i < 8; i++) {
        l.emplace_back(0, "x");
    }
    kv_mem_faults(kv)->commit_full_nth = 1;
    EXPECT_EQ(turn(pointers(&l)), 0u);
    settle();
    for (Write &w : l) {
        EXPECT_EQ(w.status, OK);
        EXPECT_EQ(w.answers, 1);
    }
    EXPECT_EQ(machines[0].indexes.back() - machines[0].indexes[8], 7u);
}

TEST_F(Volume, AboveTheWatermarkWhatGrowsIsRefusedAndTheRestTaken)
{
    start();
    ASSERT_EQ(one(0, "before", std::string(50000, 'b')), OK);
    close();
    struct kv_stat st;
    kv_stat(kv, &st);
    kv_mem_limit(kv, st.used_bytes + 50000);
    config.reserve_bytes = 60000;
    start();
    Write grows(0, "grows");
    Write frees(0, "frees");
    grows.p.grows = true;
    turn({&grows, &frees});
    EXPECT_EQ(grows.status, ERR_FULL);
    EXPECT_EQ(frees.status, OK);
    kv_mem_limit(kv, 10 << 20);
    clock.ms += 1500;
    Write again(0, "grows");
    again.p.grows = true;
    turn({&again});
    EXPECT_EQ(again.status, OK);
}

uint64_t disk_free(void *ctx)
{
    return *static_cast<uint64_t *>(ctx);
}

TEST_F(Volume, TheFileSystemsFreeSpaceCountsToo)
{
    uint64_t free_bytes = 1 << 20;
    config.reserve_bytes = 1000000;
    config.disk_free = disk_free;
    config.disk_ctx = &free_bytes;
    start();
    for (bool full : {false, true, false}) {
        free_bytes = full ? 999999 : 1000000;
        clock.ms += 1500;
        Write w(0, "x");
        w.p.grows = true;
        turn({&w});
        EXPECT_EQ(w.status, full ? ERR_FULL : OK);
    }
}

TEST_F(Volume, AStartThatFindsNoRoomIsTriedAgain)
{
    Write w(0, "x");
    kv_mem_faults(kv)->put_full_nth = 5;
    ASSERT_EQ(open(), OK);
    turn({&w});
    EXPECT_EQ(w.status, ERR_UNAVAILABLE);
    EXPECT_FALSE(leads(0));
    clock.ms += 2000;
    turn();
    EXPECT_TRUE(leads(0));
    EXPECT_EQ(one(0, "y"), OK);
}

/* --- memory --- */

TEST_F(Volume, OutOfMemoryAnywhereInATurnLosesNothing)
{
    uint64_t oks = 0;
    uint64_t refusals = 0;
    for (uint64_t nth = 1;; nth++) {
        TearDown();
        machines.clear();
        SetUp();
        config.log_entries_max = 2;
        mem_fail_nth(nth);
        Writes l;
        enum err e = open();
        if (e != OK) {
            ASSERT_EQ(e, ERR_NOMEM);
            ASSERT_TRUE(mem_fail_fired());
            continue;
        }
        turn();
        for (int i = 0; i < 12; i++) {
            l.emplace_back(static_cast<uint32_t>(i % 2), std::to_string(i), std::string(5000, 'b'));
        }
        turn(pointers(&l));
        bool fired = mem_fail_fired() != 0;
        mem_fail_nth(0);
        for (int i = 0; i < 3; i++) {
            clock.ms += 2000;
            settle();
        }
        for (uint32_t s = 0; s < 2; s++) {
            size_t n = 0;
            for (Write &w : l) {
                ASSERT_EQ(w.answers, 1);
                ASSERT_TRUE(w.status == OK || w.status == ERR_OVERLOAD || w.status == ERR_UNAVAILABLE);
                n += w.p.shard == s && w.status == OK;
                (w.status == OK ? oks : refusals)++;
            }
            ASSERT_EQ(rows(under(static_cast<uint8_t>(s + 1), 'S')).size(), n) << nth;
        }
        ASSERT_EQ(one(0, "after"), OK);
        if (!fired) {
            break;
        }
    }
    EXPECT_GT(oks, refusals);
}

/* --- staged bodies --- */

class Staged : public VolumeTest
{
  protected:
    enum err chunk(uint64_t index, uint64_t offset, const std::string &bytes)
    {
        Write w(0, "", bytes);
        w.p.staged_index = index;
        w.p.staged_offset = offset;
        turn({&w});
        EXPECT_EQ(w.answers, 1);
        return w.status;
    }
    uint64_t stored(uint64_t index)
    {
        uint64_t n = 0;
        EXPECT_EQ(read([&](struct kv_txn *t) { return repl_body_bytes(t, machines[0].prefix, index, 0, &n); }), OK);
        return n;
    }
    static constexpr size_t CHUNK = REPL_BODY_CHUNK_DATA;
};

TEST_F(Staged, ComesInOrderAndReadsBack)
{
    std::string body(5 * CHUNK + 7, 'z');
    start();
    ASSERT_EQ(one(0, "reserve"), OK);
    uint64_t index = machines[0].indexes.back();
    for (size_t at = 0; at < body.size(); at += 2 * CHUNK) {
        ASSERT_EQ(chunk(index, at, body.substr(at, 2 * CHUNK)), OK);
    }
    EXPECT_EQ(stored(index), body.size());
    EXPECT_EQ(machines[0].applied, 1) << "chunks are not the state machine's entries";
    restart();
    EXPECT_EQ(stored(index), body.size());
}

TEST_F(Staged, RefusesGapsOddOffsetsAndIndexesThatAreNotThereYet)
{
    start();
    ASSERT_EQ(one(0, "reserve"), OK);
    uint64_t index = machines[0].indexes.back();
    EXPECT_EQ(chunk(index + 1, 0, "x"), ERR_INVAL);
    EXPECT_EQ(chunk(index, CHUNK, "x"), ERR_INVAL);
    EXPECT_EQ(chunk(index, 5, "x"), ERR_INVAL);
    EXPECT_EQ(chunk(index, 0, ""), ERR_INVAL);
    EXPECT_EQ(stored(index), 0u);
}

TEST_F(Staged, ARetryWritesTheSameAgainAndCannotCutWhatIsThere)
{
    start();
    ASSERT_EQ(one(0, "reserve"), OK);
    uint64_t index = machines[0].indexes.back();
    ASSERT_EQ(chunk(index, 0, std::string(2 * CHUNK, 'a')), OK);
    ASSERT_EQ(chunk(index, 2 * CHUNK, std::string(10, 'b')), OK);
    EXPECT_EQ(chunk(index, 0, std::string(2 * CHUNK, 'a')), OK);
    EXPECT_EQ(chunk(index, 2 * CHUNK, std::string(10, 'b')), OK);
    EXPECT_EQ(chunk(index, CHUNK, std::string(5, 'c')), ERR_INVAL);
    EXPECT_EQ(chunk(index, 3 * CHUNK, std::string(10, 'b')), ERR_INVAL) << "behind a short chunk";
    EXPECT_EQ(stored(index), 2 * CHUNK + 10);
    EXPECT_EQ(machines[0].added, 2 * CHUNK + 10) << "the state machine counts what is stored";
}

TEST_F(Staged, ADeadBodyTakesNoMoreChunks)
{
    start();
    machines[0].kill_next = "reserve";
    ASSERT_EQ(one(0, "reserve"), OK);
    EXPECT_EQ(chunk(machines[0].indexes.back(), 0, "x"), ERR_STALE);
    EXPECT_EQ(machines[0].added, 0u);
}

/* The upload ended, its body was deleted, and then a chunk came that the leader had let through before. */
TEST_F(Staged, AChunkAfterTheUploadHasEndedLeavesNothingBehind)
{
    start();
    ASSERT_EQ(one(0, "reserve"), OK);
    uint64_t index = machines[0].indexes.back();
    ASSERT_EQ(chunk(index, 0, std::string(CHUNK, 'a')), OK);
    machines[0].staged = ERR_NOTFOUND;
    EXPECT_EQ(chunk(index, CHUNK, "b"), ERR_NOTFOUND);
    EXPECT_EQ(chunk(index, 0, std::string(CHUNK, 'b')), ERR_NOTFOUND);
    EXPECT_EQ(stored(index), CHUNK);
    settle();
    machines[0].staged = ERR_FULL;
    EXPECT_EQ(chunk(index, CHUNK, "b"), ERR_FULL);
    machines[0].staged = OK;
    EXPECT_EQ(chunk(index, CHUNK, "b"), OK) << "the shard goes on";
}

TEST_F(Staged, WhatTheStateMachineRefusesIsNotStored)
{
    start();
    ASSERT_EQ(one(0, "reserve"), OK);
    uint64_t index = machines[0].indexes.back();
    machines[0].staged = ERR_LIMIT;
    EXPECT_EQ(chunk(index, 0, std::string(CHUNK, 'a')), ERR_LIMIT);
    EXPECT_EQ(stored(index), 0u);
    machines[0].staged = OK;
    EXPECT_EQ(chunk(index, 0, std::string(CHUNK, 'a')), OK) << "there is room again";
    EXPECT_EQ(stored(index), CHUNK);
}

/* --- log retention and dead bodies --- */

TEST_F(Volume, TheLogKeepsItsRetentionAndNotMuchMore)
{
    config.log_entries_max = 10;
    start();
    for (int i = 0; i < 200; i++) {
        ASSERT_EQ(one(0, std::to_string(i)), OK);
        EXPECT_LE(rows(under(1, 'L')).size(), 16u);
    }
    settle();
    EXPECT_LE(rows(under(1, 'L')).size(), 12u);
    EXPECT_EQ(rows(under(1, 'S')).size(), 200u);
    for (int i = 0; i < 3; i++) {
        restart();
        settle();
        ASSERT_EQ(one(0, "again"), OK);
    }
    EXPECT_LE(rows(under(1, 'T')).size(), 4u);
}

TEST_F(Volume, TheLogIsBoundedInBytesToo)
{
    config.log_bytes_max = 100000;
    start();
    for (int i = 0; i < 50; i++) {
        ASSERT_EQ(one(0, "x", std::string(20000, 'b')), OK);
    }
    settle();
    EXPECT_LE(rows(under(1, 'L')).size(), 5u);
    EXPECT_EQ(rows(under(1, 'B')).size(), 50u * 5) << "bodies that live stay";
}

TEST_F(Volume, TrimmingALongBacklogTakesManyBoundedTurns)
{
    Writes l;
    start();
    for (int i = 0; i < 3000; i++) {
        l.emplace_back(0, "x");
    }
    turn(pointers(&l));
    settle();
    close();
    config.log_entries_max = 5;
    start();
    for (int i = 0; i < 5; i++) {
        size_t before = rows(under(1, 'L')).size();
        clock.ms += 100;
        turn();
        EXPECT_LE(before - rows(under(1, 'L')).size(), 520u);
    }
    settle();
    EXPECT_LE(rows(under(1, 'L')).size(), 6u);
}

TEST_F(Volume, ADeadBodyGoesOnceTheLogHasMovedOn)
{
    config.log_entries_max = 3;
    start();
    machines[0].kill_next = "dies";
    ASSERT_EQ(one(0, "dies", std::string(20000, 'b')), OK);
    ASSERT_EQ(one(0, "lives", std::string(20000, 'b')), OK);
    settle();
    EXPECT_EQ(rows(under(1, 'B')).size(), 10u);
    for (int i = 0; i < 10; i++) {
        ASSERT_EQ(one(0, "x"), OK);
    }
    settle();
    EXPECT_EQ(rows(under(1, 'B')).size(), 5u);
    EXPECT_TRUE(rows(under(1, 'Q')).empty());
}

TEST_F(Volume, ADeadBodyStaysForTheUndeleteWindowAlsoAcrossARestart)
{
    config.log_entries_max = 1;
    config.dead_retention_ms = 3600000;
    start();
    machines[0].kill_next = "dies";
    ASSERT_EQ(one(0, "dies", std::string(20000, 'b')), OK);
    for (int i = 0; i < 5; i++) {
        ASSERT_EQ(one(0, "x"), OK);
    }
    settle();
    clock.ms += 3500000;
    settle();
    restart();
    settle();
    EXPECT_EQ(rows(under(1, 'B')).size(), 5u);
    clock.ms += 200000;
    settle();
    EXPECT_TRUE(rows(under(1, 'B')).empty());
    EXPECT_TRUE(rows(under(1, 'Q')).empty());
}

/* --- recovery and damage --- */

TEST_F(Volume, WhatIsDurableButNotAppliedIsAppliedBeforeTheShardLeads)
{
    start();
    for (int i = 0; i < 20; i++) {
        ASSERT_EQ(one(0, "entry " + std::to_string(i)), OK);
    }
    close();
    std::vector<Row> state = rows(under(1, 'S'));
    /* as a node that was one voter of several leaves it: applied stays behind */
    for (size_t i = 5; i < state.size(); i++) {
        del(state[i].key);
    }
    Row meta = rows(under(1, 'M'))[0];
    std::string behind = meta.value;
    uint8_t *p = reinterpret_cast<uint8_t *>(behind.data());
    put_le64(p + 4 + 3 * 8, get_le64(p + 4 + 3 * 8) - 15);
    put_le32(p + behind.size() - 4, crc32c(0, p, behind.size() - 4));
    put(meta.key, behind);
    machines[0].applied = 0;
    start();
    EXPECT_EQ(machines[0].applied, 15);
    std::vector<Row> recovered = rows(under(1, 'S'));
    ASSERT_EQ(recovered.size(), state.size());
    for (size_t i = 0; i < state.size(); i++) {
        EXPECT_EQ(recovered[i].value, state[i].value);
    }
}

TEST_F(Volume, RefusesTheReplicaOfAnotherNode)
{
    start();
    close();
    ASSERT_EQ(volume_open(&config, &volume), OK);
    EXPECT_EQ(open_replica(0, 8), ERR_INVAL);
    EXPECT_EQ(open_replica(1, 7), OK);
}

TEST_F(Volume, RefusesReplicasOfDamagedRowsAndOpensTheOthers)
{
    start();
    ASSERT_EQ(one(0, "x"), OK);
    close();
    for (char letter : {'M', 'T', 'C'}) {
        std::vector<Row> all = rows(under(1, letter));
        for (const Row &row : all) {
            std::string bad = row.value;
            bad[2] = static_cast<char>(bad[2] ^ 0x40);
            put(row.key, bad);
            ASSERT_EQ(volume_open(&config, &volume), OK);
            EXPECT_EQ(open_replica(0), ERR_CORRUPT) << letter;
            EXPECT_EQ(open_replica(1), OK);
            close();
            put(row.key, row.value);
        }
    }
    std::vector<Row> log = rows(under(1, 'L'));
    for (const Row &row : {log.front(), log.back()}) {
        del(row.key);
        ASSERT_EQ(volume_open(&config, &volume), OK);
        EXPECT_EQ(open_replica(0), ERR_CORRUPT);
        close();
        put(row.key, row.value);
    }
    start();
}

TEST_F(Volume, RefusesADamagedVolumeRowAndAnotherVersion)
{
    start();
    close();
    Row row = rows(std::string("\0\0\0\0V", 5))[0];
    std::string bad = row.value;
    bad[5] = 1;
    put(row.key, bad);
    EXPECT_EQ(volume_open(&config, &volume), ERR_CORRUPT);
    uint8_t *p = reinterpret_cast<uint8_t *>(bad.data());
    put_le32(p, 99);
    put_le32(p + 8, crc32c(0, p, 8));
    put(row.key, bad);
    EXPECT_EQ(volume_open(&config, &volume), ERR_UNSUPPORTED);
    volume = nullptr;
    del(row.key);
    EXPECT_EQ(volume_open(&config, &volume), ERR_CORRUPT) << "replicas without a volume row";
    volume = nullptr;
}

TEST_F(Volume, ACorruptRowStopsItsShardAndNoOther)
{
    start();
    machines[0].fail = ERR_CORRUPT;
    Write bad(0, "bad");
    Write behind(0, "good");
    Write other(1, "good");
    turn({&bad, &behind, &other});
    settle();
    EXPECT_EQ(bad.status, ERR_UNAVAILABLE);
    EXPECT_EQ(behind.status, ERR_UNAVAILABLE);
    EXPECT_EQ(other.status, OK);
    EXPECT_FALSE(leads(0));
    EXPECT_TRUE(leads(1));
    EXPECT_EQ(one(0, "good"), ERR_UNAVAILABLE);
    EXPECT_TRUE(rows(under(1, 'S')).empty());
}

TEST_F(Volume, ACorruptReadAnywhereStopsAtMostAShard)
{
    for (uint64_t nth = 1; nth < 400; nth++) {
        TearDown();
        machines.clear();
        SetUp();
        config.log_entries_max = 1;
        start();
        kv_mem_faults(kv)->get_corrupt_nth = nth;
        for (int i = 0; i < 6; i++) {
            one(static_cast<uint32_t>(i % 2), "x", "body");
            clock.ms += 60;
        }
        bool fired = kv_mem_faults(kv)->get_corrupt_nth == 0;
        kv_mem_faults(kv)->get_corrupt_nth = 0;
        EXPECT_TRUE(leads(0) || leads(1));
        restart();
        EXPECT_EQ(one(0, "x"), OK);
        if (!fired) {
            EXPECT_GT(nth, 10u);
            return;
        }
    }
    FAIL() << "more reads than expected";
}

TEST_F(Volume, ADeadStoreAnswersNobody)
{
    Write w(0, "x");
    start();
    kv_mem_faults(kv)->crash_after_commit_nth = 1;
    turn({&w});
    EXPECT_EQ(w.answers, 0);
    turn();
    EXPECT_EQ(w.answers, 0);
    close();
    kv_mem_reopen(kv);
    start();
    EXPECT_EQ(rows(under(1, 'S')).size(), 1u);
}

/* --- with LMDB and threads --- */

TEST(VolumeOnLmdb, ReadersFollowWhileTheVolumeWrites)
{
    std::string dir = (std::filesystem::temp_directory_path() / "pb-volume-XXXXXX").string();
    ASSERT_NE(mkdtemp(dir.data()), nullptr);
    std::string path = dir + "/v.mdb";
    struct kv_lmdb_config kc = {};
    struct buf why;
    struct kv *kv = nullptr;
    struct volume *v = nullptr;
    buf_init(&why, 1000);
    kc.path = path.c_str();
    kc.map_bytes = 1 << 28;
    ASSERT_EQ(kv_lmdb_open(&kc, &kv, &why), OK);
    struct volume_config vc = {};
    vc.kv = kv;
    vc.clock = clock_system();
    vc.rng = rng_system();
    vc.log_entries_max = 20;
    ASSERT_EQ(volume_open(&vc, &v), OK);
    Machine m[3];
    std::atomic<bool> stop{false};
    std::atomic<uint64_t> acked{0}; /* index of the last body acknowledged */
    std::atomic<long> wrong{0};
    std::atomic<long> reads{0};
    std::thread reader([&] {
        std::string expected(9000, 'b');
        while (!stop.load()) {
            uint64_t term = 0;
            uint8_t prefix[5];
            uint64_t index = acked.load();
            struct kv_txn *t;
            if (index == 0 || !volume_leads(v, {1}, &term)) {
                std::this_thread::yield();
                continue;
            }
            struct buf b;
            buf_init(&b, 10000);
            wrong += volume_state_prefix(v, {1}, prefix) != OK || kv_begin(kv, false, &t) != OK;
            wrong += repl_body_read(t, prefix, index, 0, 0, 9000, &b) != OK || string_of(buf_slice(&b)) != expected;
            kv_abort(t);
            buf_fini(&b);
            struct volume_stats st;
            volume_stats(v, &st);
            reads++;
        }
    });
    for (uint32_t s = 0; s < 3; s++) {
        struct repl_fsm fsm = m[s].fsm();
        ASSERT_EQ(volume_replica_open(v, {s}, {7}, &fsm), OK);
        ASSERT_EQ(volume_state_prefix(v, {s}, m[s].prefix), OK);
    }
    volume_turn(v, nullptr, nullptr);
    for (int i = 0; i < 150; i++) {
        Write w(1, "x", std::string(9000, 'b'));
        volume_turn(v, &w.p, nullptr);
        ASSERT_EQ(w.status, OK);
        acked = m[1].indexes.back();
    }
    kv_publish(kv);
    for (int i = 0; i < 10000 && reads.load() < 50; i++) {
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    stop = true;
    reader.join();
    EXPECT_EQ(wrong.load(), 0);
    EXPECT_GE(reads.load(), 50);
    volume_close(v);
    kv_close(kv);
    buf_fini(&why);
    std::filesystem::remove_all(dir);
}

TEST(VolumeOnLmdb, FindsEverythingAfterARestart)
{
    std::string dir = (std::filesystem::temp_directory_path() / "pb-volume-XXXXXX").string();
    ASSERT_NE(mkdtemp(dir.data()), nullptr);
    std::string path = dir + "/v.mdb";
    for (uint64_t round = 0; round < 3; round++) {
        struct kv_lmdb_config kc = {};
        struct buf why;
        struct kv *kv = nullptr;
        struct volume *v = nullptr;
        uint64_t term = 0;
        Machine m;
        buf_init(&why, 1000);
        kc.path = path.c_str();
        ASSERT_EQ(kv_lmdb_open(&kc, &kv, &why), OK);
        struct volume_config vc = {};
        vc.kv = kv;
        vc.clock = clock_system();
        vc.rng = rng_system();
        ASSERT_EQ(volume_open(&vc, &v), OK);
        struct repl_fsm fsm = m.fsm();
        ASSERT_EQ(volume_replica_open(v, {1}, {7}, &fsm), OK);
        ASSERT_EQ(volume_state_prefix(v, {1}, m.prefix), OK);
        volume_turn(v, nullptr, nullptr);
        EXPECT_TRUE(volume_leads(v, {1}, &term));
        EXPECT_EQ(term, 2 + round);
        Write w(1, "hello", std::string(10000, 'x'));
        volume_turn(v, &w.p, nullptr);
        EXPECT_EQ(w.status, OK);
        EXPECT_EQ(m.indexes.back(), 3 + 2 * round);
        volume_close(v);
        kv_close(kv);
        buf_fini(&why);
    }
    std::filesystem::remove_all(dir);
}

} // namespace
