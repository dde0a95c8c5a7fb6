/* When a volume says that a leader needs to ask nobody (replication/lease.h). */
#include "peers_fixture.h"
#include "replication/lease.h"

namespace
{

class Leases : public Peers
{
  protected:
    void SetUp() override
    {
        Peers::SetUp();
        lease_drift_percent = 10;
    }
    /* 0: it does not lead, or holds none. */
    uint64_t lease(uint64_t id)
    {
        struct volume_read at;
        return volume_read_begin(nodes[id]->volume, SHARD, &at) ? at.lease_ms : 0;
    }
    /* Somebody else leads, or the time is over. */
    void run_apart(uint64_t old)
    {
        for (uint64_t end = clock.ms + 20000; clock.ms < end; clock.ms += 10) {
            bool holds = lease(old) > clock.ms;
            for (auto &n : nodes) {
                if (n.first != old && leads(n.first)) {
                    EXPECT_FALSE(holds);
                    return;
                }
            }
            exchange();
        }
        ADD_FAILURE() << "no other leader";
    }
    const uint64_t length = lease_length_ms(1000, 10);
};

TEST_F(Leases, AreHeldWhileAMajorityHears)
{
    start();
    for (int i = 0; i < 40; i++) {
        run(50);
        EXPECT_GT(lease(1), clock.ms);
        EXPECT_LE(lease(1), clock.ms + length);
        EXPECT_EQ(lease(2), 0u);
    }
    isolate(3);
    run(3000);
    EXPECT_GT(lease(1), clock.ms);
}

TEST_F(Leases, BeginWhenTheHeartbeatIsSentAndNotWhenItArrives)
{
    start();
    exchange();
    wire.clear();
    while (wire.empty()) {
        clock.ms += 10;
        turn(1);
    }
    uint64_t sent_ms = clock.ms;
    clock.ms += 300; /* on its way; the leader has no turn */
    deliver();
    turn(2);
    turn(3);
    clock.ms += 200; /* and back */
    deliver();
    turn(1);
    EXPECT_EQ(lease(1), sent_ms + length);
}

TEST_F(Leases, EndBeforeAnotherLeaderIsThere)
{
    start();
    isolate(1);
    uint64_t before = lease(1);
    run(200);
    EXPECT_EQ(lease(1), before);
    run_apart(1);
}

class LeasesAndAStart : public Leases, public testing::WithParamInterface<uint64_t>
{
};

/* 2 stands, since it does not hear the leader; 3, which does, is started again and could vote for it at once. */
TEST_P(LeasesAndAStart, EndBeforeAnotherLeaderIsThere)
{
    start();
    cut.insert({1, 2});
    run(3000 + GetParam());
    ASSERT_TRUE(leads(1));
    ASSERT_GT(lease(1), clock.ms);
    stop(3);
    open(3);
    isolate(1);
    run_apart(1);
}

INSTANTIATE_TEST_SUITE_P(AtAnyTime, LeasesAndAStart, testing::Range<uint64_t>(0, 2000, 150));

TEST_F(Leases, EndWithTheBeginningOfATransfer)
{
    start();
    ASSERT_GT(lease(1), clock.ms);
    ASSERT_EQ(volume_transfer(nodes[1]->volume, SHARD, {2}), OK);
    ASSERT_TRUE(leads(1));
    EXPECT_EQ(lease(1), 0u);
    run(1000);
    ASSERT_TRUE(leads(2));
    EXPECT_GT(lease(2), clock.ms);
}

TEST_F(Leases, EndWithLeadership)
{
    start();
    receive(1, encode([this] {
                struct repl_message m = {};
                m.type = REPL_MESSAGE_APPEND_RESULT;
                m.shard = SHARD;
                m.from = {2};
                m.to = {1};
                m.term = status(1).term + 1;
                return m;
            }()));
    ASSERT_GT(lease(1), clock.ms);
    turn(1);
    EXPECT_EQ(lease(1), 0u);
}

TEST_F(Leases, AreNotHeldByAnOnlyVoter)
{
    for (uint64_t id = 1; id <= 2; id++) {
        open(id);
    }
    run(100);
    change({{{1}, RAFT_ROLE_VOTER}, {{2}, RAFT_ROLE_STANDBY}});
    run(2000);
    ASSERT_TRUE(leads(1));
    EXPECT_EQ(lease(1), 0u);
    change({{{1}, RAFT_ROLE_VOTER}, {{2}, RAFT_ROLE_VOTER}});
    run(500);
    EXPECT_GT(lease(1), clock.ms);
    change({{{1}, RAFT_ROLE_VOTER}, {{2}, RAFT_ROLE_STANDBY}});
    run(500);
    EXPECT_EQ(lease(1), 0u);
}

TEST_F(Leases, AreOffByDefaultAndThenNothingOfThemIsSent)
{
    lease_drift_percent = 0;
    start();
    run(1000);
    EXPECT_EQ(lease(1), 0u);
    clock.ms += 200;
    turn(1);
    ASSERT_FALSE(wire.empty());
    for (const Letter &l : wire) {
        struct repl_message m;
        ASSERT_EQ(repl_message_get(slice_of(l.bytes), &m), OK);
        EXPECT_EQ(m.sent_ms, 0u);
        EXPECT_EQ(l.bytes.size(), 60u); /* as nodes of earlier versions know it */
    }
}

} // namespace
