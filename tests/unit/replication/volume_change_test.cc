/* Changes of the configuration by leaders that have committed nothing of their term. */
#include "peers_fixture.h"

namespace
{

constexpr enum raft_server_role VOTER = RAFT_ROLE_VOTER;
constexpr enum raft_server_role STANDBY = RAFT_ROLE_STANDBY;

using Servers = std::vector<struct raft_server_info>;

/* An even number of voters: two ways to take one away have majorities without a common server. */
class FourVoters : public Peers
{
  protected:
    FourVoters() : Peers(4)
    {
    }
    void start_four()
    {
        Servers all = {{{1}, VOTER}};
        for (uint64_t id = 1; id <= 4; id++) {
            open(id);
        }
        run(100);
        for (uint64_t id = 2; id <= 4; id++) {
            all.push_back({{id}, STANDBY});
            change(all);
            all.back().role = VOTER;
            change(all);
        }
        ASSERT_TRUE(leads(1));
        run(1000); /* everybody knows that all of it is committed */
    }
    void connect(uint64_t a, uint64_t b)
    {
        cut.erase({a, b});
        cut.erase({b, a});
    }
    /* As if node 1 had handed over to it. */
    void elect(uint64_t id)
    {
        struct repl_message m;
        struct volume_status st = status(id);
        memset(&m, 0, sizeof(m));
        m.type = REPL_MESSAGE_TIMEOUT_NOW;
        m.shard = SHARD;
        m.from = {1};
        m.to = {id};
        m.term = st.term;
        m.index = st.log_last;
        m.index_term = st.term;
        receive(id, encode(m));
        exchange();
        ASSERT_TRUE(leads(id));
    }
    enum err try_change(uint64_t id, const Servers &servers)
    {
        return volume_change(nodes[id]->volume, SHARD, servers.data(), servers.size());
    }
};

/* The bug of Raft's single-server changes (Ongaro, raft-dev, July 2015): node 1 took node 2 away and nobody heard of
 * it; node 2, elected with nothing to commit, takes node 1 away. {1, 4} and {2, 3} are majorities, each of its own. */
TEST_F(FourVoters, TwoChangesOfDifferentTermsHaveNoTwoMajorities)
{
    start_four();
    isolate(1);
    ASSERT_EQ(try_change(1, {{{1}, VOTER}, {{3}, VOTER}, {{4}, VOTER}}), OK);
    exchange();
    elect(2);
    isolate(4);
    Write kept(SHARD.v, "kept");
    enum err e = try_change(2, {{{2}, VOTER}, {{3}, VOTER}, {{4}, VOTER}});
    EXPECT_EQ(e, ERR_LOCKED);
    propose(2, &kept);
    exchange();
    EXPECT_EQ(kept.answers, 0) << "committed by two of four";
    connect(1, 4);
    run(15000);
    EXPECT_TRUE(leads(1));
    EXPECT_FALSE(leads(2));
    ASSERT_EQ(one(1, "other"), OK);
    cut.clear();
    run(15000);
    ASSERT_EQ(one(leader(), "after"), OK);
    run(2000);
    EXPECT_EQ(kept.answers, 1);
    EXPECT_TRUE(kept.status != OK || state(1).find("kept") != std::string::npos) << "an answered write is lost";
}

TEST_F(FourVoters, ALeaderWithNothingToCommitChangesAfterABarrierOfItsTerm)
{
    const Servers three = {{{1}, VOTER}, {{2}, VOTER}, {{3}, VOTER}};
    start_four();
    uint64_t log_last = status(2).log_last;
    elect(2);
    EXPECT_EQ(status(2).log_last, log_last) << "the library makes a barrier by itself: nothing is left to test";
    isolate(2);
    for (int i = 0; i < 3; i++) { /* one barrier is enough */
        EXPECT_EQ(try_change(2, three), ERR_LOCKED);
        exchange();
    }
    EXPECT_EQ(status(2).log_last, log_last + 1);
    EXPECT_EQ(status(2).n_servers, 4u);
    cut.clear();
    run(500);
    EXPECT_EQ(status(2).commit, log_last + 1);
    EXPECT_EQ(try_change(2, three), OK);
    run(500);
    EXPECT_FALSE(status(2).changing);
    EXPECT_EQ(status(3).n_servers, 3u);
    EXPECT_EQ(one(2, "on"), OK);
}

/* A write is as good as a barrier. */
TEST_F(FourVoters, ALeaderThatHasCommittedAWriteOfItsTermChangesAtOnce)
{
    start_four();
    elect(2);
    ASSERT_EQ(one(2, "write"), OK);
    uint64_t log_last = status(2).log_last;
    EXPECT_EQ(try_change(2, {{{1}, VOTER}, {{2}, VOTER}, {{3}, VOTER}}), OK);
    run(500);
    EXPECT_EQ(status(2).log_last, log_last + 1);
}

TEST_F(FourVoters, AFollowerChangesNothing)
{
    start_four();
    EXPECT_EQ(try_change(2, {{{1}, VOTER}, {{2}, VOTER}, {{3}, VOTER}}), ERR_NOT_LEADER);
}

/* It elects itself again, in a term that it was told, without a barrier. */
TEST_F(FourVoters, ASoleVoterOfATermWithoutAnEntryTakesAServerInAfterABarrier)
{
    const Servers two = {{{1}, VOTER}, {{3}, STANDBY}};
    open(1);
    open(3);
    run(100);
    ASSERT_EQ(one(1, "before"), OK);
    struct repl_message m;
    memset(&m, 0, sizeof(m));
    m.type = REPL_MESSAGE_APPEND_RESULT;
    m.shard = SHARD;
    m.from = {2};
    m.to = {1};
    m.term = 9;
    receive(1, encode(m));
    turn(1);
    run(10000);
    ASSERT_TRUE(leads(1));
    ASSERT_EQ(status(1).term, 9u);
    EXPECT_EQ(try_change(1, two), ERR_LOCKED);
    run(100);
    EXPECT_EQ(try_change(1, two), OK);
    run(2000);
    EXPECT_EQ(one(1, "after"), OK);
    run(1000);
    EXPECT_EQ(state(3), state(1));
}

/* Found by the simulator: two voters become one, and the leader dies before the change is on its disk. If the other one
 * had it, nobody could lead: it would be no voter by its log, and its log would be the longer one. */
TEST_F(Peers, AChangeLeavesTheLeaderOnlyWhenItIsDurable)
{
    start();
    change({{{1}, VOTER}, {{2}, STANDBY}, {{3}, VOTER}});
    run(1000);
    ASSERT_TRUE(leads(1));
    const Servers one_voter = {{{1}, VOTER}, {{2}, STANDBY}, {{3}, STANDBY}};
    ASSERT_EQ(volume_change(nodes[1]->volume, SHARD, one_voter.data(), one_voter.size()), OK);
    deliver();
    stop(1); /* without a turn */
    turn(3);
    open(1);
    run(10000);
    ASSERT_NE(leader(), 0u);
    EXPECT_EQ(one(leader(), "on"), OK);
}

} // namespace
