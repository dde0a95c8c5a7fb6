/* A replica whose group has gone on without it is thrown away, and can come back. */
#include "peers_fixture.h"

namespace
{

constexpr enum raft_server_role VOTER = RAFT_ROLE_VOTER;
constexpr enum raft_server_role STANDBY = RAFT_ROLE_STANDBY;

class Left : public Peers
{
  protected:
    const std::vector<struct raft_server_info> two = {{{1}, VOTER}, {{2}, VOTER}};

    enum err empty(uint64_t id, uint64_t term)
    {
        return volume_replica_empty(nodes[id]->volume, SHARD, term);
    }

    /* Three voters that have written; node 1 leads, node 3 is taken out of the group. */
    void leave()
    {
        start();
        for (int i = 0; i < 20; i++) {
            ASSERT_EQ(one(leader(), "mail" + std::to_string(i), std::string(9000, 'b')), OK);
        }
        run(1000);
        ASSERT_TRUE(leads(1));
        change(two);
        run(5000);
        ASSERT_EQ(one(1, "without it"), OK);
        EXPECT_NE(state(3), "");
        EXPECT_EQ(state(3).find("without it"), std::string::npos);
    }

    void come_back()
    {
        auto all = two;
        all.push_back({{3}, STANDBY});
        change(all);
        run(5000);
        all.back().role = VOTER;
        change(all);
        run(2000);
        EXPECT_EQ(state(3), state(1));
        expect_clean(3);
    }
};

TEST_F(Left, IsThrownAwayWithItsRowsButNotItsTerm)
{
    leave();
    uint64_t term = status(3).term;
    EXPECT_EQ(status(3).leader.v, 0u);
    size_t rows = count(3, std::string(1, '\0'));
    EXPECT_EQ(empty(3, term - 1), ERR_LOCKED) << "who said that it left did not know of its term";
    EXPECT_EQ(empty(3, status(1).term), OK);
    EXPECT_EQ(state(3), "") << "at once, for readers";
    run(3000);
    EXPECT_LT(count(3, std::string(1, '\0')), rows / 4) << "the rows go in steps";
    EXPECT_EQ(status(3).term, term);
    EXPECT_EQ(status(3).log_last, 0u);
    EXPECT_EQ(empty(3, status(1).term), OK) << "again";
    uint64_t before = elections(3);
    run(20000);
    EXPECT_EQ(elections(3), before) << "it asks nobody for votes any more";
    expect_clean(3);
    come_back();
    ASSERT_EQ(one(1, "after"), OK);
}

/* Found by the simulator (seed 58): node 2 hears nothing of the two changes that made node 1 its group's only voter.
 * With the vote of node 3, which held what was committed by then, it must not lead. */
TEST_F(Left, DoesNotHelpALeaderThatLacksWhatItHelpedToCommit)
{
    start();
    ASSERT_EQ(one(leader(), "old"), OK);
    run(1000);
    ASSERT_TRUE(leads(1));
    isolate(2);
    change({{{1}, VOTER}, {{3}, VOTER}});
    ASSERT_EQ(one(1, "kept"), OK);
    change({{{1}, VOTER}});
    ASSERT_EQ(one(1, "kept too"), OK);
    run(5000);
    ASSERT_EQ(empty(3, status(1).term), OK);
    for (int restarted = 0; restarted < 2; restarted++) {
        cut.clear();
        isolate(1);
        run(30000);
        EXPECT_FALSE(leads(2)) << "restarted: " << restarted;
        stop(3);
        open(3);
    }
    cut.clear();
    run(5000);
    EXPECT_TRUE(leads(1));
    ASSERT_EQ(one(1, "on"), OK);
}

/* What it was said to have counts until it has it again, through a copy too. */
TEST_F(Left, KeepsInMindWhereItsLogEndedWhenItComesBackAndLeavesAgain)
{
    leave();
    ASSERT_EQ(empty(3, status(1).term), OK);
    come_back();
    change(two);
    run(5000);
    ASSERT_EQ(empty(3, status(1).term), OK);
    come_back();
    ASSERT_EQ(one(1, "after"), OK);
}

/* It does not stand for election, so it believes in the leader that it had. */
TEST_F(Left, AStandbyIsThrownAwayThoughItKnowsALeader)
{
    auto all = two;
    start();
    ASSERT_EQ(one(leader(), "mail"), OK);
    all.push_back({{3}, STANDBY});
    change(all);
    run(1000);
    change(two);
    run(5000);
    EXPECT_NE(status(3).leader.v, 0u);
    EXPECT_GE(status(3).silent_ms, 4000u);
    EXPECT_EQ(empty(3, status(1).term), OK);
    EXPECT_EQ(state(3), "");
    come_back();
}

TEST_F(Left, IsEmptyAfterARestartToo)
{
    leave();
    uint64_t term = status(3).term;
    ASSERT_EQ(empty(3, status(1).term), OK);
    stop(3);
    open(3);
    run(3000);
    EXPECT_EQ(state(3), "");
    EXPECT_EQ(status(3).term, term);
    expect_clean(3);
    come_back();
}

TEST_F(Left, IsNotThrownAwayWhileItIsAMember)
{
    start();
    ASSERT_EQ(one(leader(), "x"), OK);
    run(1000);
    uint64_t l = leader();
    for (uint64_t id = 1; id <= 3; id++) {
        EXPECT_EQ(empty(id, status(id).term), ERR_LOCKED) << id << (id == l ? " leads" : " hears its leader");
    }
    EXPECT_EQ(volume_replica_empty(nodes[1]->volume, {77}, 9), ERR_NOTFOUND);
}

} // namespace
