#include "tests/unit/frontend/session/cluster_fixture.hh"

#include "frontend/session/backend_internal.h"
#include "frontend/session/nodes_internal.h"

namespace
{

uint64_t now_ms()
{
    return clock_mono_ms(clock_system());
}

/* A call that runs while the test goes on. */
struct Pending {
    Session s;
    uint64_t by = 0;
    enum err status = ERR_CORRUPT;
    uint64_t began = now_ms(), took = 0;

    template <class F> Pending(uint16_t port, const F &f) : s(port)
    {
        s.start([this, f](struct conn *) {
            by = f(&status);
            took = now_ms() - began;
        });
    }

    uint64_t finish()
    {
        s.finish();
        return by;
    }
};

} // namespace

#define PENDING(name, shard, timeout)                                                                                  \
    Pending name(server_port(server, 0), [this](enum err *e) { return call_on_fiber(shard, timeout, e); })

TEST_F(ClusterTest, CallsGoToTheLeaderThatTheMapNames)
{
    everybody({1, 1, 2, 3}, 5);
    start(nodes[1]->url);
    ASSERT_TRUE(eventually([&] { return call(2) == 2 && call(3) == 3; }));
    int at_one = nodes[1]->calls(METHOD_ACCOUNT);
    for (int i = 0; i < 10; i++) {
        EXPECT_EQ(2u, call(2));
        EXPECT_EQ(3u, call(3));
    }
    EXPECT_EQ(at_one, nodes[1]->calls(METHOD_ACCOUNT));
    EXPECT_EQ(1u, call(1));
    EXPECT_EQ(1u, call(0));
}

/* --- accounts that moved --- */

/* A node's answer about accounts of a shard that went to another one. */
static FakeNode::Answer moved_from(uint32_t shard, uint64_t to)
{
    return [=](const struct rpc_request *r, uint64_t *hint) {
        *hint = to;
        return r->head.shard.v == shard ? ERR_MOVED : OK;
    };
}

TEST_F(ClusterTest, ACallFollowsItsAccountWithTheSameId)
{
    everybody({1, 1, 2, 3}, 5);
    nodes[1]->answer = moved_from(1, 2);
    start(nodes[1]->url);
    ASSERT_TRUE(eventually([&] { return call(2) == 2; }));
    size_t before = nodes[1]->ids(METHOD_ACCOUNT).size();
    EXPECT_EQ(2u, call(1));
    EXPECT_EQ(2u, answered_in.load());
    ASSERT_EQ(before + 1, nodes[1]->ids(METHOD_ACCOUNT).size());
    EXPECT_EQ(nodes[1]->ids(METHOD_ACCOUNT).back(), nodes[2]->ids(METHOD_ACCOUNT).back());
}

TEST_F(ClusterTest, AReferenceFollowsItsAccount)
{
    everybody({1, 1, 2, 3}, 5);
    nodes[1]->answer = moved_from(1, 2);
    start(nodes[1]->url);
    ASSERT_TRUE(eventually([&] { return call(2) == 2; }));
    size_t before = nodes[1]->ids(METHOD_ACCOUNT).size();
    struct account_ref r = ref(1);
    Session s(server_port(server, 0));
    s.run([&](struct conn *) {
        for (int i = 0; i < 3; i++) {
            struct arena arena;
            struct backend_reply reply;
            Pb__ReadAccount q = PB__READ_ACCOUNT__INIT;
            arena_init(&arena, 65536);
            EXPECT_EQ(OK, backend_account_call(backend, &r, METHOD_ACCOUNT, &q.base, slice_str(""), &arena, &reply));
            backend_reply_fini(&reply);
            arena_fini(&arena);
        }
    });
    EXPECT_EQ(2u, r.shard.v);
    EXPECT_EQ(before + 1, nodes[1]->ids(METHOD_ACCOUNT).size()) << "only the first call asked there";
}

TEST_F(ClusterTest, WhatIsInOneShardOnlyDoesNotFollow)
{
    everybody({1, 1, 2, 3}, 5);
    nodes[1]->answer = moved_from(1, 2);
    start(nodes[1]->url);
    ASSERT_TRUE(eventually([&] { return call(2) == 2; }));
    size_t before = nodes[2]->ids(METHOD_ACCOUNT).size();
    Session s(server_port(server, 0));
    enum err e = OK;
    s.run([&](struct conn *) { call_on_fiber(1, 0, &e, true); });
    EXPECT_EQ(ERR_UNAVAILABLE, e);
    EXPECT_EQ(before, nodes[2]->ids(METHOD_ACCOUNT).size());
}

/* Sealed there and not live here yet: both name the other, for a moment. */
TEST_F(ClusterTest, ACallBetweenTwoShardsThatNameEachOtherWaits)
{
    everybody({1, 1, 2, 3}, 5);
    nodes[1]->answer = moved_from(1, 2);
    nodes[2]->answer = moved_from(2, 1);
    start(nodes[1]->url);
    PENDING(p, 1, 0);
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    size_t asked = nodes[1]->ids(METHOD_ACCOUNT).size();
    EXPECT_GT(asked, 1u);
    EXPECT_LT(asked, 100u) << "not without pauses";
    nodes[2]->change([&] { nodes[2]->answer = nullptr; });
    EXPECT_EQ(2u, p.finish());
    enum err e = OK;
    nodes[2]->change([&] { nodes[2]->answer = moved_from(2, 1); });
    call(1, 300, &e);
    EXPECT_EQ(ERR_UNAVAILABLE, e) << "its deadline ends it";
}

TEST_F(ClusterTest, OneNodeWithoutATableAnswersEverything)
{
    nodes.erase(2);
    nodes.erase(3);
    nodes[1]->answer = [](const struct rpc_request *, uint64_t *) { return OK; };
    everybody({1, 1, 1, 1}, 0);
    nodes[1]->terms.clear(); /* as before there were clusters */
    nodes[1]->up();
    struct backend_config cfg = {};
    cfg.rpc_urls = nodes[1]->url.c_str();
    cfg.pub_url = nodes[1]->pub.c_str();
    ASSERT_EQ(OK, backend_open(&cfg, &backend, nullptr));
    ASSERT_TRUE(eventually([&] { return backend_ready(backend); }));
    EXPECT_TRUE(nodes_alone(backend->nodes));
    EXPECT_EQ(1u, call(3));
    EXPECT_EQ(1u, call(900)) << "a shard that the map does not have";
}

TEST_F(ClusterTest, AHintIsFollowedAtOnceByTheSameRequest)
{
    everybody({1, 1, 1, 1}, 5);
    nodes[1]->answer = [](const struct rpc_request *, uint64_t *hint) {
        *hint = 3;
        return ERR_NOT_LEADER;
    };
    nodes[3]->answer = [](const struct rpc_request *, uint64_t *) { return OK; };
    start(nodes[2]->url);
    ASSERT_TRUE(eventually([&] { return nodes_slot_of(backend->nodes, 3) != SLOT_NONE; }));
    ASSERT_EQ(3u, call(1));
    long before = metric("pillarbox_route_not_leader_total");
    uint64_t began = now_ms();
    Session s(server_port(server, 0));
    s.run([&](struct conn *) {
        for (int i = 0; i < 200; i++) {
            EXPECT_EQ(3u, call_on_fiber(1));
        }
    });
    EXPECT_LT(now_ms() - began, 1000u) << "the shortest pause of a retry is 5 ms";
    EXPECT_EQ(before + 200, metric("pillarbox_route_not_leader_total"));
    EXPECT_EQ(nodes[1]->ids(METHOD_ACCOUNT), nodes[3]->ids(METHOD_ACCOUNT));
    EXPECT_EQ(0, nodes[2]->calls(METHOD_ACCOUNT));
}

TEST_F(ClusterTest, NodesThatNameEachOtherAreNotAskedForEver)
{
    everybody({1, 1, 1, 1}, 5);
    for (uint64_t id : {1, 2}) {
        nodes[id]->answer = [id](const struct rpc_request *, uint64_t *hint) {
            *hint = 3 - id;
            return ERR_NOT_LEADER;
        };
    }
    std::atomic<bool> elected{false};
    nodes[3]->answer = [&](const struct rpc_request *, uint64_t *) { return elected ? OK : ERR_NOT_LEADER; };
    start(nodes[1]->url + ", " + nodes[2]->url + "," + nodes[3]->url);
    enum err e;
    uint64_t began = now_ms();
    EXPECT_EQ(0u, call(1, 1500, &e));
    EXPECT_TRUE(e == ERR_UNAVAILABLE || e == ERR_TIMEOUT) << err_name(e); /* the last try may be under way then */
    EXPECT_GT(now_ms() - began, 900u);
    EXPECT_LT(nodes[1]->calls(METHOD_ACCOUNT) + nodes[2]->calls(METHOD_ACCOUNT), 60);
    EXPECT_GT(nodes[3]->calls(METHOD_ACCOUNT), 0) << "the others have a turn";
    elected = true;
    EXPECT_EQ(3u, call(1));
}

TEST_F(ClusterTest, TheHighestTermWins)
{
    everybody({1, 1, 1, 1}, 5);
    nodes[3]->leads({3, 3, 3, 3}, 7);
    start(nodes[1]->url);
    ASSERT_TRUE(eventually([&] { return call(1) == 3; }));
    int asked = nodes[1]->calls(METHOD_MAP);
    ASSERT_TRUE(eventually([&] { return nodes[1]->calls(METHOD_MAP) > asked + 2; }));
    int before = nodes[1]->calls(METHOD_ACCOUNT);
    for (int i = 0; i < 5; i++) {
        EXPECT_EQ(3u, call(1));
    }
    EXPECT_EQ(before, nodes[1]->calls(METHOD_ACCOUNT));
    nodes[2]->leads({2, 0, 2, 2}, 9); /* voted, but nobody has won shard 1 */
    ASSERT_TRUE(eventually([&] { return call(2) == 2; }));
    EXPECT_EQ(3u, call(1));
    EXPECT_GT(metric("pillarbox_route_changes_total"), 0);
}

TEST_F(ClusterTest, ADeadNodesCallsGoToItsSuccessor)
{
    everybody({2, 2, 2, 2}, 5);
    start(nodes[1]->url);
    ASSERT_TRUE(eventually([&] { return call(1) == 2; }));
    nodes[2]->down();
    everybody({0, 0, 0, 0}, 6);
    PENDING(p, 1, 10000);
    std::this_thread::sleep_for(std::chrono::milliseconds(600));
    everybody({3, 3, 3, 3}, 6);
    EXPECT_EQ(3u, p.finish());
    EXPECT_LT(p.took, 3000u);
    std::vector<std::string> ids = nodes[3]->ids(METHOD_ACCOUNT);
    ASSERT_FALSE(nodes[1]->ids(METHOD_ACCOUNT).empty());
    EXPECT_EQ(nodes[1]->ids(METHOD_ACCOUNT).back(), ids.back()) << "the same request all the way";
}

TEST_F(ClusterTest, APausedNodesCallIsTakenBackWhenAnotherLeads)
{
    everybody({2, 2, 2, 2}, 5);
    start(nodes[1]->url);
    ASSERT_TRUE(eventually([&] { return call(1) == 2; }));
    int before = nodes[2]->calls(METHOD_ACCOUNT);
    nodes[2]->pause();
    PENDING(p, 1, 20000);
    ASSERT_TRUE(eventually([&] { return nodes[2]->calls(METHOD_ACCOUNT) == before + 1; }));
    nodes[1]->leads({3, 3, 3, 3}, 6);
    nodes[3]->leads({3, 3, 3, 3}, 6);
    EXPECT_EQ(3u, p.finish());
    EXPECT_LT(p.took, 2500u);
    EXPECT_EQ(nodes[2]->ids(METHOD_ACCOUNT).back(), nodes[3]->ids(METHOD_ACCOUNT).back());
    nodes[2]->resume(); /* its late replies */
    EXPECT_EQ(3u, call(1));
}

TEST_F(ClusterTest, ANodeThatStopsAnsweringIsAskedLastUntilItAnswers)
{
    everybody({2, 2, 2, 2}, 5);
    nodes[3]->answer = [](const struct rpc_request *, uint64_t *) { return OK; };
    nodes[1]->answer = nodes[3]->answer;
    start(nodes[1]->url);
    ASSERT_TRUE(eventually([&] { return call(1) == 2; }));
    long before = metric("pillarbox_circuit_opens_total");
    nodes[2]->pause();
    PENDING(p, 1, 20000);
    EXPECT_NE(2u, p.finish());
    EXPECT_EQ(OK, p.status);
    EXPECT_GT(p.took, 1500u);
    EXPECT_LT(p.took, 5000u);
    EXPECT_EQ(before + 1, metric("pillarbox_circuit_opens_total"));
    uint64_t began = now_ms();
    EXPECT_NE(2u, call(1));
    EXPECT_LT(now_ms() - began, 1000u);
    nodes[2]->resume();
    EXPECT_TRUE(eventually([&] { return call(1) == 2; }));
}

TEST_F(ClusterTest, ALongCallToANodeThatAnswersIsNotTakenBack)
{
    everybody({2, 2, 2, 2}, 5);
    start(nodes[1]->url);
    ASSERT_TRUE(eventually([&] { return call(1) == 2; }));
    int before = nodes[2]->calls(METHOD_ACCOUNT);
    nodes[2]->pause(FakeNode::BUT_MAP);
    PENDING(p, 1, 20000);
    std::this_thread::sleep_for(std::chrono::milliseconds(6000));
    EXPECT_EQ(before + 1, nodes[2]->calls(METHOD_ACCOUNT));
    nodes[2]->resume();
    EXPECT_EQ(2u, p.finish());
    EXPECT_EQ(before + 1, nodes[2]->calls(METHOD_ACCOUNT));
    EXPECT_EQ(0, nodes[1]->calls(METHOD_ACCOUNT) + nodes[3]->calls(METHOD_ACCOUNT));
}

TEST_F(ClusterTest, ALeaderThatIsTooBusyForTheMapStillServes)
{
    everybody({2, 2, 2, 2}, 5);
    start(nodes[1]->url);
    ASSERT_TRUE(eventually([&] { return call(1) == 2; }));
    long before = metric("pillarbox_circuit_opens_total");
    nodes[2]->pause(FakeNode::MAP);
    ASSERT_TRUE(eventually([&] { return metric("pillarbox_circuit_opens_total") > before; }));
    EXPECT_EQ(2u, call(1)) << "the others name it";
    EXPECT_EQ(2u, call(2));
}

TEST_F(ClusterTest, WithoutALeaderACallEndsAtItsDeadlineAndTheNextOneWorks)
{
    everybody({0, 0, 0, 0}, 5);
    start(nodes[1]->url, false);
    ASSERT_TRUE(eventually([&] { return nodes[3]->calls(METHOD_MAP) > 0; }));
    EXPECT_FALSE(backend_ready(backend)) << "nobody leads the directory";
    enum err e;
    uint64_t began = now_ms();
    EXPECT_EQ(0u, call(1, 1200, &e));
    EXPECT_EQ(ERR_UNAVAILABLE, e);
    EXPECT_GE(now_ms() - began, 600u);
    EXPECT_LT(now_ms() - began, 2500u);
    everybody({3, 3, 3, 3}, 6);
    EXPECT_EQ(3u, call(1));
    EXPECT_TRUE(eventually([&] { return backend_ready(backend); }));
}

TEST_F(ClusterTest, ReadinessEndsWithTheLastNode)
{
    everybody({1, 1, 1, 1}, 5);
    start(nodes[1]->url);
    EXPECT_TRUE(backend_ready(backend));
    for (auto &n : nodes) {
        n.second->down();
    }
    EXPECT_TRUE(eventually([&] { return !backend_ready(backend); }));
}

TEST_F(ClusterTest, NodesComeGoAndMove)
{
    everybody({1, 1, 1, 1}, 5);
    nodes[4] = std::make_unique<FakeNode>(4, dir);
    nodes[4]->leads({1, 4, 1, 1}, 6);
    start(nodes[1]->url);
    ASSERT_TRUE(eventually([&] { return call(1) == 4; })) << "a node of the table";
    /* moved */
    std::string old = nodes[4]->url;
    FakeNode moved(4, dir);
    moved.url += "-moved";
    moved.pub += "-moved";
    moved.leads({1, 4, 1, 1}, 6);
    std::vector<Row> rows = table();
    rows[3].rpc = moved.url;
    rows[3].events = moved.pub;
    moved.rows = rows;
    moved.up();
    for (auto &n : nodes) {
        n.second->change([&] { n.second->rows = rows; });
    }
    ASSERT_TRUE(eventually([&] { return call(1) == 4 && moved.calls(METHOD_ACCOUNT) > 0; }));
    int at_old = nodes[4]->calls(METHOD_ACCOUNT);
    EXPECT_EQ(4u, call(1));
    EXPECT_EQ(at_old, nodes[4]->calls(METHOD_ACCOUNT));
    /* removed */
    rows[3].removed = true;
    for (auto &n : nodes) {
        n.second->leads({1, 1, 1, 1}, 7);
        n.second->change([&] { n.second->rows = rows; });
    }
    ASSERT_TRUE(eventually([&] { return nodes_slot_of(backend->nodes, 4) == SLOT_NONE && call(1) == 1; }));
    ASSERT_TRUE(eventually([&] {
        unsigned open = 0;
        for (const struct node &n : backend->nodes->nodes) {
            open += node_state(&n) != NODE_FREE;
        }
        return open == 3;
    })) << "their clients are closed";
}

TEST_F(ClusterTest, OnlyTheDirectorysLeaderMovesAnAddress)
{
    everybody({1, 1, 1, 1}, 5);
    start(nodes[1]->url);
    ASSERT_TRUE(eventually([&] { return nodes_slot_of(backend->nodes, 3) != SLOT_NONE; }));
    nodes[2]->change([&] { nodes[2]->rows[2].rpc = "ipc://" + dir + "/of-old"; });
    int asked = nodes[2]->calls(METHOD_MAP);
    ASSERT_TRUE(eventually([&] { return nodes[2]->calls(METHOD_MAP) > asked + 2; }));
    uint32_t slot = nodes_slot_of(backend->nodes, 3);
    ASSERT_NE(SLOT_NONE, slot);
    EXPECT_EQ(nodes[3]->url, backend->nodes->nodes[slot].rpc);
}

TEST_F(ClusterTest, RowsThatCannotBeUsedHideNoOthers)
{
    everybody({3, 3, 3, 3}, 5);
    start(nodes[1]->url, false);
    std::vector<Row> rows = {{0, nodes[2]->url, nodes[2]->pub, false},
                             {7, "", "", false},
                             {8, "nonsense", "", false},
                             {9, "ipc://" + dir + "/nine", "nonsense", false}};
    for (const Row &r : table()) {
        rows.push_back(r);
    }
    for (uint64_t id = 100; id < 200; id++) {
        rows.push_back({id, "ipc://" + dir + "/" + std::to_string(id), "ipc://" + dir + "/none", false});
    }
    for (auto &n : nodes) {
        n.second->change([&] { n.second->rows = rows; });
    }
    nodes[2]->leads({}, 0);
    ASSERT_TRUE(eventually([&] { return call(1) == 3; }));
    EXPECT_TRUE(eventually([&] { return nodes_used(backend->nodes) == NODES_MAX; })) << "no more than that";
    EXPECT_EQ(3u, call(1));
}

TEST_F(ClusterTest, ASeedsOwnNameOnlyFindsTheNodes)
{
    everybody({1, 1, 1, 1}, 5);
    FakeNode alias(1, dir); /* the same node behind another name, as a service's */
    alias.url += "-service";
    alias.pub += "-service";
    alias.leads({1, 1, 1, 1}, 5);
    alias.rows = table();
    alias.up();
    start(alias.url + ",ipc://" + dir + "/nobody");
    ASSERT_TRUE(eventually([&] { return call(1) == 1 && nodes[1]->calls(METHOD_ACCOUNT) > 0; }));
    int before = alias.calls(METHOD_ACCOUNT);
    EXPECT_EQ(1u, call(1));
    EXPECT_EQ(before, alias.calls(METHOD_ACCOUNT));
    server_stop(server);
    server = nullptr;
    backend_close(backend);
    backend = nullptr;
}

TEST_F(ClusterTest, ManyCallsSurviveNodesThatComeAndGo)
{
    everybody({1, 1, 1, 1}, 5);
    for (auto &n : nodes) {
        n.second->answer = [](const struct rpc_request *, uint64_t *) { return OK; };
    }
    start(nodes[1]->url);
    std::vector<std::unique_ptr<Session>> sessions;
    std::atomic<int> good{0};
    for (int i = 0; i < 20; i++) {
        sessions.push_back(std::make_unique<Session>(server_port(server, 0)));
        sessions.back()->start([&](struct conn *) {
            for (int k = 0; k < 50; k++) {
                good += call_on_fiber((uint32_t)k % 4) != 0;
                fiber_sleep(20);
            }
        });
    }
    for (uint64_t term = 6; term < 14; term++) {
        uint64_t id = term % 3 + 1;
        nodes[id]->down();
        uint64_t leader = id % 3 + 1;
        everybody({leader, leader, leader, leader}, term);
        std::this_thread::sleep_for(std::chrono::milliseconds(100));
        nodes[id]->up();
    }
    sessions.clear();
    EXPECT_EQ(1000, good);
}

/* --- hints of several nodes --- */

namespace
{

struct Watching {
    Session s;
    struct backend_watch *w = nullptr;

    Watching(uint16_t port, struct backend *b, struct account_ref ref) : s(port)
    {
        s.run([&](struct conn *c) { EXPECT_EQ(OK, backend_watch_add(b, &ref, c, &w)); });
    }

    ~Watching()
    {
        s.run([&](struct conn *) { backend_watch_remove(w); });
    }
};

} // namespace

class ClusterHints : public ClusterTest
{
  protected:
    void watch_two()
    {
        everybody({1, 1, 2, 3}, 5);
        nodes[1]->modseqs[101] = 10;
        nodes[2]->modseqs[102] = 20;
        start(nodes[1]->url);
        one = std::make_unique<Watching>(server_port(server, 0), backend, ref(1));
        two = std::make_unique<Watching>(server_port(server, 0), backend, ref(2));
        beat();
        ASSERT_TRUE(eventually([&] {
            beat();
            return backend_watch_modseq(one->w) == 10 && backend_watch_modseq(two->w) == 20;
        })) << "the first check, each shard at its leader";
        settle();
    }

    void TearDown() override
    {
        one.reset();
        two.reset();
        ClusterTest::TearDown();
    }

    void beat()
    {
        for (auto &n : nodes) {
            n.second->heartbeat();
        }
    }

    /* Until no check is under way any more. */
    void settle()
    {
        int last = -1;
        ASSERT_TRUE(eventually([&] {
            beat();
            std::this_thread::sleep_for(std::chrono::milliseconds(300));
            int now = checks();
            bool same = now == last;
            last = now;
            return same;
        }));
    }

    int checks()
    {
        return nodes[1]->calls(METHOD_WATCH) + nodes[2]->calls(METHOD_WATCH) + nodes[3]->calls(METHOD_WATCH);
    }

    std::unique_ptr<Watching> one, two;
};

TEST_F(ClusterHints, HintsOfEveryNodeCount)
{
    watch_two();
    int before_one = one->s.notified, before_two = two->s.notified, before = checks();
    nodes[1]->publish(1, 101, 11);
    EXPECT_TRUE(eventually([&] { return one->s.notified > before_one; }));
    EXPECT_EQ(before_two, two->s.notified);
    nodes[2]->publish(2, 102, 21);
    EXPECT_TRUE(eventually([&] { return two->s.notified > before_two; }));
    EXPECT_EQ(11u, backend_watch_modseq(one->w));
    EXPECT_EQ(21u, backend_watch_modseq(two->w));
    beat();
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    EXPECT_EQ(before, checks()) << "each node's count is its own";
}

TEST_F(ClusterHints, LostHintsOfANodeAreLookedForInItsShards)
{
    watch_two();
    int before_one = nodes[1]->calls(METHOD_WATCH);
    nodes[2]->change([&] { nodes[2]->modseqs[102] = 25; });
    nodes[2]->seq++; /* lost */
    nodes[2]->heartbeat();
    EXPECT_TRUE(eventually([&] { return backend_watch_modseq(two->w) == 25; }, 2000));
    EXPECT_EQ(before_one, nodes[1]->calls(METHOD_WATCH));
}

TEST_F(ClusterHints, ASilentNodesShardsAreLookedAt)
{
    watch_two();
    int before_one = nodes[1]->calls(METHOD_WATCH);
    nodes[2]->change([&] { nodes[2]->modseqs[102] = 26; });
    EXPECT_TRUE(eventually(
        [&] {
            nodes[1]->heartbeat();
            nodes[3]->heartbeat();
            return backend_watch_modseq(two->w) == 26;
        },
        5000));
    EXPECT_EQ(before_one, nodes[1]->calls(METHOD_WATCH));
}

TEST_F(ClusterHints, ANewEpochOfAnyNodeMakesAllBeLookedAt)
{
    watch_two();
    nodes[1]->change([&] { nodes[1]->modseqs[101] = 15; });
    nodes[3]->epoch++;
    nodes[3]->heartbeat();
    EXPECT_TRUE(eventually([&] { return backend_watch_modseq(one->w) == 15; }, 2000));
}

TEST_F(ClusterHints, AShardWithANewLeaderIsLookedAtThere)
{
    watch_two();
    int before_one = nodes[1]->calls(METHOD_WATCH);
    nodes[3]->change([&] { nodes[3]->modseqs[102] = 30; });
    everybody({1, 1, 3, 3}, 6);
    EXPECT_TRUE(eventually(
        [&] {
            beat();
            return backend_watch_modseq(two->w) == 30;
        },
        4000));
    EXPECT_EQ(before_one, nodes[1]->calls(METHOD_WATCH)) << "shard 1 has not moved";
    EXPECT_EQ(10u, backend_watch_modseq(one->w));
}

TEST_F(ClusterHints, ACheckFollowsAnAccountToItsShard)
{
    watch_two();
    nodes[1]->change([&] { nodes[1]->moved[101] = 2; });
    nodes[2]->change([&] { nodes[2]->modseqs[101] = 50; });
    nodes[1]->seq++;
    nodes[1]->heartbeat();
    EXPECT_TRUE(eventually([&] { return backend_watch_modseq(one->w) == 50; }, 3000));
    settle();
    int at_one = nodes[1]->calls(METHOD_WATCH);
    nodes[2]->change([&] { nodes[2]->modseqs[101] = 51; });
    nodes[2]->seq++;
    nodes[2]->heartbeat();
    EXPECT_TRUE(eventually([&] { return backend_watch_modseq(one->w) == 51; }, 3000));
    EXPECT_EQ(at_one, nodes[1]->calls(METHOD_WATCH));
}

TEST_F(ClusterHints, AHintFromAnotherShardSaysWhereTheAccountLives)
{
    watch_two();
    nodes[2]->publish(2, 101, 60);
    EXPECT_TRUE(eventually([&] { return backend_watch_modseq(one->w) == 60; }));
    nodes[2]->change([&] { nodes[2]->modseqs[101] = 61; });
    nodes[2]->seq++; /* the next one is lost */
    nodes[2]->heartbeat();
    EXPECT_TRUE(eventually([&] { return backend_watch_modseq(one->w) == 61; }, 3000));
}

TEST_F(ClusterHints, ACheckFollowsHintsToTheLeader)
{
    watch_two();
    nodes[1]->change([&] {
        nodes[1]->answer = [](const struct rpc_request *, uint64_t *hint) {
            *hint = 3;
            return ERR_NOT_LEADER;
        };
    });
    nodes[3]->change([&] {
        nodes[3]->answer = [](const struct rpc_request *, uint64_t *) { return OK; };
        nodes[3]->modseqs[101] = 40;
    });
    nodes[1]->seq++;
    nodes[1]->heartbeat();
    EXPECT_TRUE(eventually([&] { return backend_watch_modseq(one->w) == 40; }, 2000));
}

TEST_F(ClusterHints, ASessionThatCouldNotReadIsWokenWhenItsShardAnswers)
{
    watch_two();
    nodes[2]->change(
        [&] { nodes[2]->answer = [](const struct rpc_request *, uint64_t *) { return ERR_UNAVAILABLE; }; });
    int before = two->s.notified, before_one = one->s.notified;
    backend_watch_again(two->w);
    std::this_thread::sleep_for(std::chrono::milliseconds(700));
    EXPECT_EQ(before, two->s.notified);
    nodes[2]->change([&] { nodes[2]->answer = nullptr; });
    EXPECT_TRUE(eventually(
        [&] {
            beat();
            return two->s.notified > before;
        },
        3000));
    EXPECT_EQ(before_one, one->s.notified);
    settle();
    before = two->s.notified;
    nodes[2]->seq++;
    nodes[2]->heartbeat();
    settle();
    EXPECT_EQ(before, two->s.notified) << "once";
}
