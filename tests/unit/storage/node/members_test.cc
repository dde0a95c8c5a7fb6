/* A node among others: whose its store is, what it answers when it does not lead, its copy of the node table. */
#include <fstream>

#include "storage/node/node_dir.h"
#include "storage/node/node_table.h"
#include "tests/unit/storage/node/node_fixture.hh"

namespace
{

class Members : public NodeTest
{
  protected:
    static constexpr uint64_t kNode = 2;
    const struct u128 cluster = {{9, 9, 9}};

    /* As a directory that has joined a cluster. */
    void adopt(uint64_t id, const struct u128 &of)
    {
        struct node_identity identity = {of, {id}, 4, false, LEVEL_FIRST};
        struct buf why;
        buf_init(&why, 1024);
        mkdir(dir.c_str(), 0700);
        unlink((dir + "/node.id").c_str());
        store_move("volume.mdb", "volume.away");
        ASSERT_EQ(OK, node_dir_adopt(dir.c_str(), &identity, &why));
        store_move("volume.away", "volume.mdb");
        buf_fini(&why);
    }

    /* All of its files, those that are there. */
    void store_move(const char *from, const char *to) const
    {
        for (const char *file : {"", "-wal0", "-wal1", "-checkpoint"}) {
            rename((dir + "/" + from + file).c_str(), (dir + "/" + to + file).c_str());
        }
    }

    std::string id_text() const
    {
        std::ifstream in(dir + "/node.id");
        return std::string((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
    }

    bool is_made() const
    {
        return id_text().find("\nmade yes\n") != std::string::npos;
    }

    struct Map {
        uint64_t node = 0;
        std::vector<uint64_t> leaders, terms;
        std::vector<std::string> nodes; /* "1 peer rpc" */
    };

    Map map()
    {
        Map m;
        Pb__ReadMap req = PB__READ_MAP__INIT;
        Answer a = call(0, 0, METHOD_MAP, &req.base);
        EXPECT_EQ(OK, a.e());
        Pb__ReadMapResult *r = pb__read_map_result__unpack(nullptr, a.meta.size(), (const uint8_t *)a.meta.data());
        EXPECT_NE(nullptr, r);
        if (r != nullptr) {
            m.node = r->node;
            m.leaders.assign(r->leaders, r->leaders + r->n_leaders);
            m.terms.assign(r->terms, r->terms + r->n_terms);
            for (size_t i = 0; i < r->n_nodes; i++) {
                m.nodes.push_back(std::to_string(r->nodes[i]->node) + " " + r->nodes[i]->peer + " " + r->nodes[i]->rpc);
            }
            pb__read_map_result__free_unpacked(r, nullptr);
        }
        return m;
    }

    enum err add(const char *peer)
    {
        Pb__OpNodeSet set = PB__OP_NODE_SET__INIT;
        set.peer = (char *)peer;
        return call(0, 0, METHOD_NODE_SET, &set.base).e();
    }
};

TEST_F(Members, ANodeThatJoinedFollowsNobodyYetAndSaysSo)
{
    adopt(kNode, cluster);
    ASSERT_EQ(OK, start()) << why_text;
    connect();
    Map m = map();
    EXPECT_EQ(kNode, m.node);
    EXPECT_EQ(std::vector<uint64_t>(5, 0), m.leaders);
    EXPECT_EQ(5u, m.terms.size());
    EXPECT_TRUE(m.nodes.empty());
    Pb__ReadStatus status = PB__READ_STATUS__INIT;
    EXPECT_EQ(OK, call(0, 0, METHOD_STATUS, &status.base).e());
    Pb__ReadMailboxes read = PB__READ_MAILBOXES__INIT;
    EXPECT_EQ(ERR_NOT_LEADER, call(1, 11, METHOD_MAILBOXES, &read.base).e());
    EXPECT_EQ(0u, last_hint);
    EXPECT_EQ(ERR_NOT_LEADER, add("tcp://c:1"));
    EXPECT_FALSE(node_ready(node));
}

TEST_F(Members, ItsReplicasAreThereAfterItsFirstStartAndNeverMadeAnew)
{
    adopt(kNode, cluster);
    ASSERT_EQ(OK, start()) << why_text;
    connect();
    EXPECT_TRUE(is_made()) << "before a peer can reach it";
    down();
    ASSERT_EQ(OK, start()) << why_text;
    EXPECT_FALSE(node_ready(node));
    down();
    rename((dir + "/volume.mdb").c_str(), (dir + "/volume.away").c_str());
    EXPECT_EQ(ERR_CORRUPT, start());
    EXPECT_NE(std::string::npos, why_text.find("--replace")) << why_text;
    rename((dir + "/volume.away").c_str(), (dir + "/volume.mdb").c_str());
    EXPECT_EQ(OK, start()) << "put back: " << why_text;
}

TEST_F(Members, TheFoundersStoreMayNotComeBackEmpty)
{
    level_max = 1; /* node.id's last line is cut below */
    up();
    EXPECT_TRUE(is_made());
    down();
    up();
    down();
    store_move("volume.mdb", "volume.away");
    EXPECT_EQ(ERR_CORRUPT, start());
    EXPECT_NE(std::string::npos, why_text.find("volume.mdb")) << why_text;
    /* Another empty one in its place is no better: the replicas are missing. */
    std::string text = id_text();
    std::ofstream(dir + "/node.id") << text.substr(0, text.find("made"));
    up();
    down();
    std::string other = id_text();
    struct node_identity id;
    struct buf why;
    buf_init(&why, 1024);
    ASSERT_EQ(OK, node_dir_read(dir.c_str(), &id, &why));
    buf_fini(&why);
    id.shards++;
    std::ofstream(dir + "/node.id") << text.substr(0, text.find("shards")) << "shards " << id.shards << "\nmade yes\n";
    EXPECT_EQ(ERR_CORRUPT, start());
    EXPECT_NE(std::string::npos, why_text.find("replicas")) << why_text;
}

TEST_F(Members, AStoreOfAnotherNodeOrClusterIsRefused)
{
    adopt(kNode, cluster);
    ASSERT_EQ(OK, start()) << why_text;
    connect();
    down();
    adopt(kNode + 1, cluster);
    EXPECT_EQ(ERR_CORRUPT, start());
    EXPECT_NE(std::string::npos, why_text.find("node 2")) << why_text;
    struct u128 other = cluster;
    other.b[15] = 1;
    adopt(kNode, other);
    EXPECT_EQ(ERR_CORRUPT, start());
    EXPECT_NE(std::string::npos, why_text.find("of cluster 0909")) << why_text;
    adopt(kNode, cluster);
    EXPECT_EQ(OK, start()) << why_text;
}

TEST_F(Members, TheNodeTableIsInTheMapAndInMemoryAsSoonAsItChanges)
{
    up();
    ASSERT_TRUE(eventually([&] { return node_table_level(node) == LEVEL_NOW; }));
    uint64_t before = node_table_generation(node);
    struct node_table_row row;
    EXPECT_EQ(ERR_NOTFOUND, node_table_get(node, {2}, &row));
    ASSERT_EQ(OK, add("tcp://b:1"));
    EXPECT_EQ(std::vector<std::string>{"2 tcp://b:1 "}, map().nodes);
    ASSERT_TRUE(eventually([&] { return node_table_generation(node) != before; }, 500)) << "read after the turn";
    ASSERT_EQ(OK, node_table_get(node, {2}, &row));
    EXPECT_STREQ("tcp://b:1", row.peer);
    EXPECT_FALSE(row.claimed);
    uint64_t after = node_table_generation(node);
    make_domain();
    EXPECT_EQ(after, node_table_generation(node)) << "the directory changed, the table did not";
    ASSERT_EQ(OK, add("tcp://c:1"));
    struct node_table_row two[2] = {};
    ASSERT_TRUE(eventually([&] { return node_table_list(node, two, 2) == 2; }));
    EXPECT_EQ(3u, two[1].id.v);
    struct node_table_row one = {};
    EXPECT_EQ(2u, node_table_list(node, &one, 1));
    EXPECT_EQ(2u, one.id.v);
    down();
    up();
    EXPECT_EQ(2u, node_table_list(node, two, 2)) << "read at the start";
}

TEST_F(Members, ANodeAloneRaisesTheLevelByItselfAndNotesIt)
{
    Pb__OpClusterSet set = PB__OP_CLUSTER_SET__INIT;
    up();
    ASSERT_TRUE(eventually([&] { return node_table_level(node) == LEVEL_NOW; }));
    ASSERT_TRUE(eventually([&] { return id_text().find("\nlevel 2\n") != std::string::npos; })) << id_text();
    EXPECT_TRUE(is_made()) << "what it said before stays: " << id_text();
    set.replicas = 3;
    EXPECT_EQ(OK, call(0, 0, METHOD_CLUSTER_SET, &set.base).e());
    ASSERT_TRUE(eventually([&] { return node_table_cluster(node).replicas == 3; }));
    set.level = LEVEL_NOW + 1;
    EXPECT_EQ(ERR_PERM, call(0, 0, METHOD_CLUSTER_SET, &set.base).e()) << "nobody asks for a level";
    down();
    ASSERT_EQ(OK, start()) << why_text;
}

/* As long as some node may be older, nothing is proposed that it would not understand. */
TEST_F(Members, WhatIsNewIsRefusedBelowItsLevel)
{
    level_max = 1;
    up();
    Pb__OpClusterSet set = PB__OP_CLUSTER_SET__INIT;
    set.replicas = 3;
    EXPECT_EQ(ERR_UNSUPPORTED, call(0, 0, METHOD_CLUSTER_SET, &set.base).e());
    Pb__OpNodeSet zone = PB__OP_NODE_SET__INIT;
    zone.peer = const_cast<char *>("tcp://b:1");
    zone.zone = const_cast<char *>("east");
    EXPECT_EQ(ERR_UNSUPPORTED, call(0, 0, METHOD_NODE_SET, &zone.base).e());
    EXPECT_EQ(OK, add("tcp://b:1"));
    std::this_thread::sleep_for(std::chrono::milliseconds(1500)); /* more than one tick */
    EXPECT_EQ(1, node_table_level(node));
    EXPECT_EQ(std::string::npos, id_text().find("level")) << id_text();
}

TEST_F(Members, TheFounderWritesItsRowAndKeepsItRight)
{
    peer_address = "tcp://a:1";
    up();
    ASSERT_TRUE(eventually([&] { return map().nodes == std::vector<std::string>{"1 tcp://a:1 " + rpc_url}; }));
    down();
    peer_address = "tcp://a:2";
    up();
    ASSERT_TRUE(eventually([&] { return map().nodes == std::vector<std::string>{"1 tcp://a:2 " + rpc_url}; }));
    struct node_table_row row;
    ASSERT_EQ(OK, node_table_get(node, {1}, &row));
    EXPECT_TRUE(row.claimed);
}

TEST_F(Members, ANodeOfItsOwnSaysWhoLeadsAndInWhichTerm)
{
    up();
    Map m = map();
    EXPECT_EQ(1u, m.node);
    EXPECT_EQ(std::vector<uint64_t>(5, 1), m.leaders);
    for (uint64_t term : m.terms) {
        EXPECT_GE(term, 1u);
    }
    EXPECT_TRUE(m.nodes.empty()) << "it has no peer address";
}

} // namespace
