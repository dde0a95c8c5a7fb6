#include "storage/node/placement.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>
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
        n.push_back({{id}, true, true, false, false, id});
    }
    return n;
}

/* Its first preferred leader is the lowest id, however many voters there are; not the directory. */
constexpr uint32_t SHARD = 60;

placement_step decide(const Group &g, const std::vector<placement_node> &n, uint32_t shard = SHARD, uint64_t self = 1,
                      uint64_t highest = 9, size_t replicas = 5, const node_table_pin *pins = nullptr)
{
    placement_step s;
    placement_table t = {n.data(), n.size(), {highest}, replicas, pins};
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
    s = decide(Group({{{1}, V}, {{2}, V}}), nodes({1, 2}));
    EXPECT_TRUE(s.act == PLACEMENT_CHANGE && has(s, 1, V) && has(s, 2, S)) << "an even number survives no more";
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
    EXPECT_EQ(decide(g, nodes({1, 2, 4}), SHARD, 1, 5).act, PLACEMENT_CHANGE) << "5 is known to be no more";
    placement_step s = decide(g, nodes({1, 2, 4}), SHARD, 1, 4);
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

/* --- draining --- */

std::vector<placement_node> draining(std::vector<placement_node> n, uint64_t id)
{
    for (placement_node &x : n) {
        x.draining = x.draining || x.id.v == id;
    }
    return n;
}

/* Carries steps out as a group would, with everybody caught up, until nothing is to be done; -1: it never ends. */
int run(Group *g, const std::vector<placement_node> &n, uint32_t shard, uint64_t *io_leader, size_t *out_least_voters)
{
    *out_least_voters = 99;
    for (int steps = 0; steps < 50; steps++) {
        placement_step s = decide(*g, n, shard, *io_leader, 99);
        *out_least_voters = std::min(*out_least_voters, s.voters);
        if (s.act == PLACEMENT_NOTHING) {
            return s.settled ? steps : -2;
        }
        if (s.act == PLACEMENT_TRANSFER) {
            *io_leader = s.to.v != 0                             ? s.to.v
                         : *io_leader == g->st.servers[0].node.v ? g->st.servers[1].node.v
                                                                 : g->st.servers[0].node.v;
            continue;
        }
        Group next(std::vector<raft_server_info>(s.servers, s.servers + s.n_servers));
        size_t change = 0; /* one server or one role at a time */
        for (size_t i = 0; i < s.n_servers; i++) {
            size_t j = 0;
            while (j < g->st.n_servers && g->st.servers[j].node.v != s.servers[i].node.v) {
                j++;
            }
            change += j == g->st.n_servers || g->st.servers[j].role != s.servers[i].role;
        }
        change += g->st.n_servers > s.n_servers ? g->st.n_servers - s.n_servers : 0;
        EXPECT_EQ(change, 1u);
        EXPECT_TRUE(has(s, *io_leader, V)) << "the leader stays while it leads";
        *g = next;
    }
    return -1;
}

std::string text(const Group &g)
{
    std::vector<std::string> all;
    for (size_t i = 0; i < g.st.n_servers; i++) {
        all.push_back(std::to_string(g.st.servers[i].node.v) + (g.st.servers[i].role == V ? "V" : "S"));
    }
    std::sort(all.begin(), all.end());
    std::string s;
    for (const std::string &x : all) {
        s += (s.empty() ? "" : " ") + x;
    }
    return s;
}

TEST(Placement, ADrainedNodeIsReplacedBeforeItGoes)
{
    Group g({{{1}, V}, {{2}, V}, {{3}, V}});
    uint64_t leader = 3;
    size_t least;
    ASSERT_GT(run(&g, draining(nodes({1, 2, 3, 4}), 3), SHARD, &leader, &least), 0);
    EXPECT_EQ(text(g), "1V 2V 4V");
    EXPECT_EQ(least, 3u) << "never fewer voters than before";
    EXPECT_NE(leader, 3u);
}

TEST(Placement, ThreeNodesDrainToOneAndGrowAgain)
{
    Group g({{{1}, V}, {{2}, V}, {{3}, V}});
    uint64_t leader = 1;
    size_t least;
    auto n = draining(nodes({1, 2, 3}), 1);
    ASSERT_GT(run(&g, n, SHARD, &leader, &least), 0);
    EXPECT_TRUE(text(g) == "2V 3S" || text(g) == "2S 3V") << text(g);
    n = draining(n, 2);
    ASSERT_GT(run(&g, n, SHARD, &leader, &least), 0);
    EXPECT_EQ(text(g), "3V");
    EXPECT_EQ(leader, 3u);
    ASSERT_GT(run(&g, nodes({1, 2, 3}), SHARD, &leader, &least), 0);
    EXPECT_EQ(text(g), "1V 2V 3V");
}

TEST(Placement, FiveVotersBecomeThreeAndLosesNoMoreThanOneOnTheWay)
{
    Group g({{{1}, V}, {{2}, V}, {{3}, V}, {{4}, V}, {{5}, V}});
    uint64_t leader = 5;
    size_t least;
    ASSERT_GT(run(&g, draining(draining(nodes({1, 2, 3, 4, 5}), 5), 4), SHARD, &leader, &least), 0);
    EXPECT_EQ(text(g), "1V 2V 3V");
    EXPECT_EQ(least, 3u);
}

TEST(Placement, TheDirectoryStaysOnADrainedNodeAsAStandby)
{
    Group g({{{1}, V}, {{2}, V}, {{3}, V}});
    uint64_t leader = 3;
    size_t least;
    ASSERT_GT(run(&g, draining(nodes({1, 2, 3, 4}), 3), 0, &leader, &least), 0);
    EXPECT_EQ(text(g), "1V 2V 3S 4V");
    ASSERT_GT(run(&g, nodes({1, 2, 4}), 0, &leader, &least), 0);
    EXPECT_EQ(text(g), "1V 2V 4V");
}

TEST(Placement, WithoutAnybodyToTakeOverADrainedNodeStays)
{
    auto n = draining(nodes({1, 2, 3, 4}), 3);
    n[3].up = false;
    EXPECT_EQ(decide(Group({{{1}, V}, {{2}, V}, {{3}, V}}), n).act, PLACEMENT_NOTHING) << "4 cannot take over";
    EXPECT_EQ(decide(Group({{{1}, V}}), draining(nodes({1}), 1)).act, PLACEMENT_NOTHING);
}

/* --- away --- */

std::vector<placement_node> away(std::vector<placement_node> n, uint64_t id)
{
    for (placement_node &x : n) {
        x.away = x.away || x.id.v == id;
        x.up = x.up && !x.away;
    }
    return n;
}

TEST(Placement, AStandbyTakesTheVoteOfANodeThatIsAwayAndGivesItBackToNobody)
{
    Group g({{{1}, V}, {{2}, V}, {{3}, V}, {{4}, S}});
    uint64_t leader = 1;
    size_t least;
    ASSERT_GT(run(&g, away(nodes({1, 2, 3, 4}), 3), SHARD, &leader, &least), 0);
    EXPECT_EQ(text(g), "1V 2V 3S 4V");
    EXPECT_EQ(least, 3u);
    run(&g, nodes({1, 2, 3, 4}), SHARD, &leader, &least);
    EXPECT_EQ(text(g), "1V 2V 3S 4V") << "back as what it is now";
}

TEST(Placement, WithoutRoomANodeThatIsAwayKeepsItsVote)
{
    auto n = away(nodes({1, 2, 3}), 3);
    EXPECT_EQ(decide(Group({{{1}, V}, {{2}, V}, {{3}, V}}), n).act, PLACEMENT_NOTHING);
    n = away(nodes({1, 2}), 2);
    EXPECT_EQ(decide(Group({{{1}, V}, {{2}, S}}), n).act, PLACEMENT_NOTHING);
}

TEST(Placement, OfMoreNodesAnotherGetsWhatOneThatIsAwayHeld)
{
    auto n = nodes({1, 2, 3, 4, 5, 6});
    for (uint32_t shard = 1; shard <= 30; shard++) {
        Group g({{{1}, V}, {{2}, V}, {{3}, V}, {{4}, V}, {{5}, V}});
        uint64_t leader = 1;
        size_t least;
        ASSERT_GE(run(&g, away(n, 5), shard, &leader, &least), 0) << shard;
        EXPECT_EQ(text(g), "1V 2V 3V 4V 6V");
        EXPECT_EQ(least, 5u);
    }
}

/* --- more nodes than a group has replicas --- */

std::set<uint64_t> wanted(const std::vector<placement_node> &n, uint32_t shard)
{
    placement_table t = {n.data(), n.size(), {99}, 5, nullptr};
    struct placement_wanted w;
    placement_wanted(&t, {shard}, &w);
    EXPECT_EQ(w.voters % 2, 1u);
    std::set<uint64_t> out;
    for (size_t i = 0; i < w.n; i++) {
        out.insert(w.nodes[i].v);
    }
    EXPECT_EQ(out.size(), w.n);
    return out;
}

TEST(Placement, ShardsAreSpreadOverAllNodes)
{
    auto n = nodes({1, 2, 3, 4, 5, 6, 7, 8, 9, 10});
    std::map<uint64_t, int> has;
    for (uint32_t shard = 1; shard <= 256; shard++) {
        auto w = wanted(n, shard);
        EXPECT_EQ(w.size(), 5u);
        for (uint64_t id : w) {
            has[id]++;
        }
    }
    ASSERT_EQ(has.size(), 10u);
    for (const auto &[id, count] : has) { /* 128 each */
        EXPECT_GT(count, 90) << id;
        EXPECT_LT(count, 170) << id;
    }
}

TEST(Placement, ANewNodeTakesOnlyItsShareAndOneThatGoesGivesOnlyItsOwn)
{
    auto n = nodes({1, 2, 3, 4, 5, 6, 7, 8});
    auto more = nodes({1, 2, 3, 4, 5, 6, 7, 8, 9});
    for (uint32_t shard = 1; shard <= 200; shard++) {
        auto before = wanted(n, shard);
        auto after = wanted(more, shard);
        for (uint64_t id : after) {
            EXPECT_TRUE(id == 9 || before.count(id) == 1);
        }
        auto drained = wanted(draining(n, 4), shard);
        before.erase(4);
        for (uint64_t id : before) {
            EXPECT_EQ(drained.count(id), 1u);
        }
    }
}

TEST(Placement, OneZoneNeverHasMoreOfAGroupThanItMust)
{
    auto n = nodes({1, 2, 3, 4, 5, 6, 7, 8, 9});
    for (placement_node &x : n) {
        x.zone = x.id.v <= 5 ? 1 : x.id.v <= 7 ? 2 : 3; /* 5, 2 and 2 nodes */
    }
    for (uint32_t shard = 1; shard <= 100; shard++) {
        std::map<uint64_t, int> zones;
        for (uint64_t id : wanted(n, shard)) {
            zones[n[id - 1].zone]++;
        }
        EXPECT_TRUE(zones[1] <= 2 && zones[2] <= 2 && zones[3] <= 2) << shard; /* losing one leaves a majority */
    }
}

TEST(Placement, AGroupMovesToWhereItBelongsAMemberAtATime)
{
    auto n = nodes({1, 2, 3, 4, 5, 6, 7});
    for (uint32_t shard = 0; shard <= 40; shard++) {
        Group g({{{1}, V}, {{2}, V}, {{3}, V}, {{4}, V}, {{5}, V}});
        uint64_t leader = 1 + shard % 5;
        size_t least;
        ASSERT_GE(run(&g, n, shard, &leader, &least), 0) << shard;
        EXPECT_EQ(least, 5u);
        auto w = wanted(n, shard);
        EXPECT_EQ(w.count(leader), 1u);
        EXPECT_EQ(g.st.n_servers, shard == 0 ? 7u : 5u) << "the directory is everywhere";
        for (size_t i = 0; i < g.st.n_servers; i++) {
            EXPECT_EQ(w.count(g.st.servers[i].node.v) == 1, g.st.servers[i].role == V);
        }
    }
}

/* --- what an operator asked for --- */

std::set<uint64_t> wanted_by(const std::vector<placement_node> &n, uint32_t shard, size_t replicas,
                             const node_table_pin *pins)
{
    placement_table t = {n.data(), n.size(), {99}, replicas, pins};
    struct placement_wanted w;
    placement_wanted(&t, {shard}, &w);
    std::set<uint64_t> out;
    for (size_t i = 0; i < w.n; i++) {
        out.insert(w.nodes[i].v);
    }
    return out;
}

TEST(Placement, OfFiveNodesThreeReplicasAreOnThreeEach)
{
    auto n = nodes({1, 2, 3, 4, 5});
    std::map<uint64_t, int> has;
    for (uint32_t shard = 1; shard <= 100; shard++) {
        auto w = wanted_by(n, shard, 3, nullptr);
        EXPECT_EQ(w.size(), 3u);
        for (uint64_t id : w) {
            has[id]++;
        }
    }
    for (uint64_t id = 1; id <= 5; id++) { /* 60 each */
        EXPECT_GT(has[id], 40) << id;
    }
    EXPECT_EQ(wanted_by(n, 7, 1, nullptr).size(), 1u);
}

TEST(Placement, APinnedShardBelongsWhereItIsPinnedAndWhoCannotHoldItIsReplaced)
{
    auto n = nodes({1, 2, 3, 4, 5, 6});
    std::vector<node_table_pin> pins(8);
    pins[7] = {{2, 6, 4}, 3, 0};
    EXPECT_EQ(wanted_by(n, 7, 5, pins.data()), (std::set<uint64_t>{2, 4, 6})) << "so many as it is pinned to";
    EXPECT_EQ(wanted_by(n, 6, 5, pins.data()), wanted(n, 6));
    auto w = wanted_by(draining(n, 6), 7, 5, pins.data());
    EXPECT_TRUE(w.size() == 3 && w.count(2) && w.count(4) && !w.count(6));
    w = wanted_by(away(n, 4), 7, 5, pins.data());
    EXPECT_TRUE(w.size() == 3 && w.count(2) && w.count(6) && !w.count(4));
    EXPECT_EQ(wanted_by(nodes({1, 2}), 7, 5, pins.data()), (std::set<uint64_t>{1, 2})) << "the nodes that there are";
}

TEST(Placement, APinnedLeaderLeadsWhileItCan)
{
    auto n = nodes({1, 2, 3});
    std::vector<node_table_pin> pins(SHARD + 1);
    pins[SHARD].leader = 3;
    Group g({{{1}, V}, {{2}, V}, {{3}, V}});
    placement_step s = decide(g, n, SHARD, 1, 9, 5, pins.data());
    ASSERT_EQ(s.act, PLACEMENT_TRANSFER);
    EXPECT_EQ(s.to.v, 3u);
    EXPECT_EQ(decide(g, n, SHARD, 3, 9, 5, pins.data()).act, PLACEMENT_NOTHING);
    n[2].up = false;
    EXPECT_EQ(decide(g, n, SHARD, 1, 9, 5, pins.data()).act, PLACEMENT_NOTHING) << "by its number, 1 leads";
    pins[SHARD].leader = 9;
    EXPECT_EQ(decide(g, nodes({1, 2, 3}), SHARD, 1, 9, 5, pins.data()).act, PLACEMENT_NOTHING) << "no member";
}

} // namespace
