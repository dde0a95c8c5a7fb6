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

} // namespace
