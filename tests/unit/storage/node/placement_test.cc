#include "storage/node/placement.h"

#include <gtest/gtest.h>

#include <vector>

namespace
{

struct Group {
    struct volume_status st = {};
    Group(std::vector<raft_server_info> servers, std::vector<uint64_t> match = {})
    {
        st.serves = true;
        st.leader = {1};
        st.log_last = 10000;
        for (size_t i = 0; i < servers.size(); i++) {
            st.servers[i] = servers[i];
            st.match[i] = i < match.size() ? match[i] : st.log_last;
        }
        st.n_servers = servers.size();
    }
};

constexpr raft_server_role V = RAFT_ROLE_VOTER;
constexpr raft_server_role S = RAFT_ROLE_STANDBY;

std::vector<placement_node> nodes(std::vector<uint64_t> ids)
{
    std::vector<placement_node> n;
    for (uint64_t id : ids) {
        n.push_back({{id}, true, true});
    }
    return n;
}

placement_step decide(const Group &g, const std::vector<placement_node> &n, uint32_t shard = 0, uint64_t self = 1,
                      uint64_t highest = 9)
{
    placement_step s;
    placement_table t = {n.data(), n.size(), {highest}};
    placement_decide(&g.st, {self}, {shard}, &t, &s);
    return s;
}

bool has(const placement_step &s, uint64_t id, raft_server_role role)
{
    for (size_t i = 0; i < s.n_servers; i++) {
        if (s.servers[i].node.v == id) {
            return s.servers[i].role == role;
        }
    }
    return false;
}

TEST(Placement, AFoundersGroupGrowsToThreeVotersOneStepAtATime)
{
    auto three = nodes({1, 2, 3});
    placement_step s = decide(Group({{{1}, V}}), three);
    ASSERT_EQ(s.act, PLACEMENT_CHANGE);
    EXPECT_EQ(s.n_servers, 2u);
    EXPECT_TRUE(has(s, 1, V) && has(s, 2, S));
    s = decide(Group({{{1}, V}, {{2}, S}}), three);
    ASSERT_EQ(s.act, PLACEMENT_CHANGE);
    EXPECT_TRUE(s.n_servers == 2 && has(s, 2, V));
    s = decide(Group({{{1}, V}, {{2}, V}}), three);
    ASSERT_EQ(s.act, PLACEMENT_CHANGE);
    EXPECT_TRUE(s.n_servers == 3 && has(s, 3, S));
    s = decide(Group({{{1}, V}, {{2}, V}, {{3}, S}}), three);
    ASSERT_EQ(s.act, PLACEMENT_CHANGE);
    EXPECT_TRUE(s.n_servers == 3 && has(s, 3, V));
    EXPECT_EQ(decide(Group({{{1}, V}, {{2}, V}, {{3}, V}}), three).act, PLACEMENT_NOTHING);
}

TEST(Placement, AStandbyThatLagsIsNotPromoted)
{
    auto three = nodes({1, 2, 3});
    EXPECT_EQ(decide(Group({{{1}, V}, {{2}, S}, {{3}, S}}, {10000, 9000, 9000}), three).act, PLACEMENT_NOTHING);
    placement_step s = decide(Group({{{1}, V}, {{2}, S}, {{3}, S}}, {10000, 9000, 9900}), three);
    EXPECT_TRUE(s.act == PLACEMENT_CHANGE && has(s, 3, V) && has(s, 2, S));
}

TEST(Placement, TwoNodesAreOneVoterAndItsStandby)
{
    EXPECT_EQ(decide(Group({{{1}, V}, {{2}, S}}), nodes({1, 2})).act, PLACEMENT_NOTHING);
    auto four = nodes({1, 2, 3, 4});
    EXPECT_EQ(decide(Group({{{1}, V}, {{2}, V}, {{3}, V}, {{4}, S}}), four).act, PLACEMENT_NOTHING);
    auto five = nodes({1, 2, 3, 4, 5});
    placement_step s = decide(Group({{{1}, V}, {{2}, V}, {{3}, V}, {{4}, S}}), five);
    EXPECT_TRUE(s.act == PLACEMENT_CHANGE && has(s, 4, V));
    auto six = nodes({1, 2, 3, 4, 5, 6});
    Group full({{{1}, V}, {{2}, V}, {{3}, V}, {{4}, V}, {{5}, V}});
    EXPECT_EQ(decide(full, six).act, PLACEMENT_NOTHING);
}

TEST(Placement, ANodeThatIsNotUpIsNeitherAddedNorPromoted)
{
    auto n = nodes({1, 2, 3});
    n[1].up = false;
    placement_step s = decide(Group({{{1}, V}}), n);
    EXPECT_TRUE(s.act == PLACEMENT_CHANGE && has(s, 3, S));
    n[2].up = false;
    EXPECT_EQ(decide(Group({{{1}, V}}), n).act, PLACEMENT_NOTHING);
    EXPECT_EQ(decide(Group({{{1}, V}, {{2}, S}, {{3}, S}}), n).act, PLACEMENT_NOTHING);
}

TEST(Placement, ARemovedNodeLeavesBeforeItsSuccessorComes)
{
    placement_step s = decide(Group({{{1}, V}, {{2}, V}, {{3}, V}}), nodes({1, 2, 4}));
    ASSERT_EQ(s.act, PLACEMENT_CHANGE);
    EXPECT_TRUE(s.n_servers == 2 && has(s, 1, V) && has(s, 2, V));
}

TEST(Placement, AServerThatTheTableDoesNotKnowYetStays)
{
    Group g({{{1}, V}, {{2}, V}, {{5}, V}});
    EXPECT_EQ(decide(g, nodes({1, 2, 4}), 0, 1, 5).act, PLACEMENT_CHANGE) << "5 is known to be no more";
    placement_step s = decide(g, nodes({1, 2, 4}), 0, 1, 4);
    EXPECT_TRUE(s.act == PLACEMENT_CHANGE && has(s, 5, V) && has(s, 4, S)) << "the table is older than the group";
}

TEST(Placement, ARemovedLeaderHandsOverFirst)
{
    placement_step s = decide(Group({{{1}, V}, {{2}, V}, {{3}, V}}), nodes({2, 3}));
    EXPECT_TRUE(s.act == PLACEMENT_TRANSFER && s.to.v == 0);
    EXPECT_EQ(decide(Group({{{1}, V}}), nodes({2, 3})).act, PLACEMENT_CHANGE)
        << "nobody to hand over to: it grows first";
}

TEST(Placement, LeadersAreSpreadByShard)
{
    Group g({{{3}, V}, {{1}, V}, {{2}, V}});
    auto three = nodes({1, 2, 3});
    EXPECT_EQ(decide(g, three, 0).act, PLACEMENT_NOTHING);
    placement_step s = decide(g, three, 1);
    EXPECT_TRUE(s.act == PLACEMENT_TRANSFER && s.to.v == 2);
    s = decide(g, three, 5);
    EXPECT_TRUE(s.act == PLACEMENT_TRANSFER && s.to.v == 3);
    EXPECT_EQ(decide(g, three, 5, 3).act, PLACEMENT_NOTHING);
}

TEST(Placement, LeadershipGoesOnlyToWhoIsSteadyAndHasCaughtUp)
{
    auto three = nodes({1, 2, 3});
    three[1].steady = false;
    EXPECT_EQ(decide(Group({{{1}, V}, {{2}, V}, {{3}, V}}), three, 1).act, PLACEMENT_NOTHING);
    three[1].steady = true;
    EXPECT_EQ(decide(Group({{{1}, V}, {{2}, V}, {{3}, V}}, {10000, 5000, 10000}), three, 1).act, PLACEMENT_NOTHING);
}

TEST(Placement, NothingIsDoneWithoutKnowledgeOrWhileAChangeIsUnderWay)
{
    Group g({{{1}, V}});
    EXPECT_EQ(decide(g, {}).act, PLACEMENT_NOTHING);
    g.st.changing = true;
    EXPECT_EQ(decide(g, nodes({1, 2, 3})).act, PLACEMENT_NOTHING);
    g.st.changing = false;
    g.st.serves = false;
    EXPECT_EQ(decide(g, nodes({1, 2, 3})).act, PLACEMENT_NOTHING);
}

} // namespace
