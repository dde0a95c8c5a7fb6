/* What is kept of the log, and for whom. */
#include "peers_fixture.h"

namespace
{

constexpr enum raft_server_role VOTER = RAFT_ROLE_VOTER;
constexpr enum raft_server_role STANDBY = RAFT_ROLE_STANDBY;
constexpr uint64_t ENTRIES = 32;

class Retention : public Peers
{
  protected:
    Retention()
    {
        log_entries_max = ENTRIES;
    }
    uint32_t replica(uint64_t id)
    {
        return get_be32(nodes[id]->machine.prefix);
    }
    uint64_t length(uint64_t id)
    {
        return status(id).log_last + 1 - status(id).log_first;
    }
    /* A message takes 5 ms, a heartbeat comes every 300. */
    void step()
    {
        clock.ms += 5;
        deliver();
        for (uint64_t id = 1; id <= 3; id++) {
            if (nodes[id]->volume != nullptr) {
                turn(id);
            }
        }
    }
    void write(const std::string &data, const std::string &body = "")
    {
        writes.emplace_back(SHARD.v, data, body);
        propose(1, &writes.back());
    }
    uint64_t applied(uint64_t id)
    {
        return volume_applied(nodes[id]->volume, SHARD);
    }
    /* One voter with more state than its log; node 3, empty, is to follow. */
    void start_behind()
    {
        open(1);
        run(100);
        for (int i = 0; i < 200; i++) {
            ASSERT_EQ(one(1, "entry " + std::to_string(i), std::string(5000, 'b')), OK);
        }
        open(3);
        const struct raft_server_info servers[] = {{{1}, VOTER}, {{3}, STANDBY}};
        ASSERT_EQ(volume_change(nodes[1]->volume, SHARD, servers, 2), OK);
    }
    /* Until the copy is there. */
    void copy()
    {
        for (int i = 0; i < 2000 && applied(3) == 0; i++) {
            write("meanwhile " + std::to_string(i));
            step();
        }
        ASSERT_GT(applied(3), 0u);
    }
    std::list<Write> writes;
};

/* Sixty writes between two heartbeats, more than the log keeps: without more, one copy follows another for ever. */
TEST_F(Retention, AFollowerCatchesUpAfterOneCopyThoughWritesGoOn)
{
    start_behind();
    copy();
    for (int i = 0; i < 2000; i++) {
        write("later " + std::to_string(i));
        step();
    }
    EXPECT_GE(status(3).applied + 10, status(1).applied);
    EXPECT_EQ(replica(3), 2u) << "more than one copy";
    EXPECT_LE(length(1), ENTRIES + ENTRIES / 4 + 10);
    run(3000);
    EXPECT_EQ(state(3), state(1));
}

TEST_F(Retention, WhatACopyNeedsAfterwardsIsBounded)
{
    start_behind();
    copy();
    isolate(3); /* it got the copy and is gone */
    size_t most = 0;
    for (int i = 0; i < 1000; i++) {
        write("later " + std::to_string(i));
        step();
        most = length(1) > most ? length(1) : most;
    }
    EXPECT_GT(most, 3 * ENTRIES);
    EXPECT_LE(most, 4 * ENTRIES + 4);
    EXPECT_LE(length(1), ENTRIES + ENTRIES / 4 + 1);
}

TEST_F(Retention, ACopyThatHasArrivedHoldsNothing)
{
    start_behind();
    copy();
    run(1000);
    for (int i = 0; i < 100; i++) {
        write("later " + std::to_string(i));
        step();
    }
    EXPECT_EQ(replica(3), 2u);
    EXPECT_LE(length(1), ENTRIES + ENTRIES / 4 + 10);
}

TEST_F(Retention, ACopyThatNobodyConfirmsIsForgottenAndSoIsWhatItNeeds)
{
    start_behind();
    copy();
    isolate(3);
    for (int i = 0; i < 100; i++) {
        write("later " + std::to_string(i));
        step();
    }
    EXPECT_GT(length(1), 2 * ENTRIES);
    run(32000); /* nobody writes: the log is cut all the same */
    EXPECT_LE(length(1), ENTRIES + ENTRIES / 4);
    cut.clear();
    run(10000);
    EXPECT_EQ(state(3), state(1)); /* by another copy */
    EXPECT_EQ(replica(3), 3u);
}

TEST_F(Retention, AFollowerThatIsAwayForSecondsNeedsNoCopy)
{
    start();
    isolate(3);
    for (int i = 0; i < 100; i++) {
        write("later " + std::to_string(i));
        step();
        step();
    }
    EXPECT_GT(length(1), 2 * ENTRIES);
    cut.clear();
    run(5000);
    EXPECT_EQ(state(3), state(1));
    EXPECT_EQ(replica(3), 1u);
    EXPECT_LE(length(1), ENTRIES + ENTRIES / 4);
}

TEST_F(Retention, BytesAreKeptForAFollowerAsEntriesAre)
{
    const std::string body(5000, 'b');
    log_entries_max = 1000;
    log_bytes_max = 100000; /* twenty entries */
    start();
    isolate(3);
    for (int i = 0; i < 50; i++) {
        write("later " + std::to_string(i), body);
        step();
    }
    EXPECT_GE(length(1), 50u);
    for (int i = 0; i < 100; i++) { /* too much */
        write("later " + std::to_string(i), body);
        step();
    }
    EXPECT_LE(length(1), 21u);
    cut.clear();
    run(10000);
    EXPECT_EQ(state(3), state(1));
    EXPECT_EQ(replica(3), 2u);
}

TEST_F(Retention, AFollowerThatHasNotAnsweredForLongIsNotWaitedFor)
{
    start();
    isolate(3);
    for (int i = 0; i < 100; i++) {
        write("later " + std::to_string(i));
        step();
    }
    EXPECT_GT(length(1), 2 * ENTRIES);
    run(8000);
    EXPECT_GT(length(1), 2 * ENTRIES);
    run(3000);
    EXPECT_LE(length(1), ENTRIES + ENTRIES / 4);
}

TEST_F(Retention, AFollowerThatIsTooFarBehindIsNotWaitedFor)
{
    start();
    isolate(3);
    for (int i = 0; i < 300; i++) {
        write("later " + std::to_string(i));
        step();
    }
    EXPECT_LE(length(1), ENTRIES + ENTRIES / 4);
    cut.clear();
    run(10000);
    EXPECT_EQ(state(3), state(1));
    EXPECT_EQ(replica(3), 2u);
}

/* --- age --- */

class Age : public Retention
{
  protected:
    static constexpr uint64_t MINUTE = 60000;
    Age()
    {
        log_entries_max = 1000;
        log_age_ms = 24 * MINUTE;
    }
    void write_some(int n)
    {
        for (int i = 0; i < n; i++) {
            write("entry " + std::to_string(i));
            step();
        }
    }
};

TEST_F(Age, OldEntriesGoThoughThereIsRoomAndNobodyWrites)
{
    start();
    run(2 * MINUTE);
    write_some(30);
    run(12 * MINUTE);
    write_some(40);
    EXPECT_GE(length(1), 70u);
    run(11 * MINUTE);
    EXPECT_GE(length(1), 70u) << "younger than that";
    run(2 * MINUTE);
    for (uint64_t id = 1; id <= 3; id++) {
        EXPECT_LE(length(id), 70u) << id;
        EXPECT_GE(length(id), 40u) << id;
    }
    run(12 * MINUTE);
    for (uint64_t id = 1; id <= 3; id++) {
        EXPECT_EQ(length(id), 1u) << "the last one stays, on " << id;
    }
    EXPECT_EQ(one(1, "on"), OK);
}

TEST_F(Age, WritesThatGoOnLeaveTheLogAsLongAsTheAge)
{
    uint64_t most = 0;
    uint64_t least = UINT64_MAX;
    start();
    for (int i = 0; i < 120; i++) { /* one every thirty seconds: an hour */
        write("entry " + std::to_string(i));
        run(MINUTE / 2);
        most = length(1) > most ? length(1) : most;
        least = i > 60 && length(1) < least ? length(1) : least;
    }
    EXPECT_LE(most, 60u);
    EXPECT_GE(least, 47u);
}

/* Marks are in memory only. */
TEST_F(Age, EntriesCountFromTheStart)
{
    start();
    write_some(30);
    run(20 * MINUTE);
    stop(3);
    open(3);
    run(15 * MINUTE);
    EXPECT_EQ(length(1), 1u);
    EXPECT_GE(length(3), 30u);
    run(12 * MINUTE);
    EXPECT_EQ(length(3), 1u);
}

TEST_F(Age, ASoleVotersLogKnowsNoAge)
{
    open(1);
    run(100);
    for (int i = 0; i < 30; i++) {
        ASSERT_EQ(one(1, "entry " + std::to_string(i)), OK);
    }
    for (int i = 0; i < 60; i++) {
        run(MINUTE);
        ASSERT_EQ(one(1, "now and then"), OK);
    }
    EXPECT_GE(length(1), 90u);
}

} // namespace
