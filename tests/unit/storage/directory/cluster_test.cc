#include "storage/directory/cluster.h"

#include "tests/unit/storage/apply/shard.h"

using namespace shard_test;

namespace
{

class Cluster : public ::testing::Test
{
  protected:
    void SetUp() override
    {
        for (const char *peer :
             {"tcp://b:1", "tcp://c:1", "tcp://d:1", "tcp://e:1"}) { /* 2 to 5; nobody has claimed 5 */
            Pb__OpNodeSet add = PB__OP_NODE_SET__INIT;
            add.peer = const_cast<char *>(peer);
            ASSERT_EQ(OK, s.apply(METHOD_NODE_SET, &add.base, 0).status);
            if (peer != std::string("tcp://e:1")) {
                EXPECT_EQ(OK, claim(peer, 1));
            }
        }
    }
    void TearDown() override
    {
        EXPECT_EQ("", s.check());
    }

    enum err claim(const char *peer, uint32_t level)
    {
        Pb__OpNodeClaim op = PB__OP_NODE_CLAIM__INIT;
        op.peer = const_cast<char *>(peer);
        op.token = bin(token);
        op.level = level;
        return s.apply(METHOD_NODE_CLAIM, &op.base, 0).status;
    }

    enum err set(uint32_t level, uint32_t replicas)
    {
        Pb__OpClusterSet op = PB__OP_CLUSTER_SET__INIT;
        op.level = level;
        op.replicas = replicas;
        return s.apply(METHOD_CLUSTER_SET, &op.base, 0).status;
    }

    enum err pin(uint32_t shard, std::vector<uint64_t> nodes, uint64_t leader = 0, bool unpin = false)
    {
        Pb__OpShardSet op = PB__OP_SHARD_SET__INIT;
        op.shard = shard;
        op.nodes = nodes.data();
        op.n_nodes = nodes.size();
        op.leader = leader;
        op.unpin = unpin;
        return s.apply(METHOD_SHARD_SET, &op.base, 0).status;
    }

    /* "level 1, replicas 5; 7 at 2 3 4 led by 3" */
    std::string text()
    {
        struct arena arena;
        struct dir_cluster c;
        struct dir_pins pins;
        struct store st;
        arena_init(&arena, 1 << 20);
        EXPECT_EQ(OK, kv_begin(s.kv, false, &st.t));
        memcpy(st.prefix, s.prefix, sizeof(st.prefix));
        EXPECT_EQ(OK, dir_cluster_get(&st, &arena, &c));
        EXPECT_EQ(OK, dir_pins_get(&st, &arena, &pins));
        std::string out = "level " + std::to_string(c.level) + ", replicas " + std::to_string(c.replicas);
        for (size_t i = 0; i < pins.n; i++) {
            out += "; " + std::to_string(pins.rows[i]->shard);
            for (size_t j = 0; j < pins.rows[i]->n_nodes; j++) {
                out += (j == 0 ? " at " : " ") + std::to_string(pins.rows[i]->nodes[j]);
            }
            out += pins.rows[i]->leader != 0 ? " led by " + std::to_string(pins.rows[i]->leader) : "";
        }
        kv_abort(st.t);
        arena_fini(&arena);
        return out;
    }

    Shard s{0};
    const std::string token = std::string(16, 't');
};

TEST_F(Cluster, settings_are_the_defaults_until_they_are_set)
{
    EXPECT_EQ("level 1, replicas 5", text());
    EXPECT_EQ(OK, set(0, 3));
    EXPECT_EQ("level 1, replicas 3", text());
    EXPECT_EQ(OK, set(2, 0));
    EXPECT_EQ("level 2, replicas 3", text());
    for (uint32_t bad : {2u, 4u, 6u, 7u, 1000u}) {
        EXPECT_EQ(ERR_INVAL, set(0, bad)) << bad;
    }
    EXPECT_EQ(ERR_INVAL, set(1, 0)) << "never down";
    EXPECT_EQ(ERR_INVAL, set(1000, 0));
    EXPECT_EQ("level 2, replicas 3", text());
}

TEST_F(Cluster, of_a_higher_level_takes_no_node_of_an_older_program)
{
    EXPECT_EQ(OK, claim("tcp://e:1", 0)) << "level 1";
    ASSERT_EQ(OK, set(2, 0));
    EXPECT_EQ(ERR_UNSUPPORTED, claim("tcp://b:1", 0)) << "a program from before levels";
    EXPECT_EQ(ERR_UNSUPPORTED, claim("tcp://b:1", 1));
    EXPECT_EQ(OK, claim("tcp://b:1", 2));
    EXPECT_EQ(OK, claim("tcp://b:1", 3));
}

TEST_F(Cluster, a_shard_is_pinned_to_members_an_odd_number_of_them)
{
    EXPECT_EQ(OK, pin(7, {2, 3, 4}));
    EXPECT_EQ(OK, pin(7, {}, 3));
    EXPECT_EQ(OK, pin(0, {}, 2));
    EXPECT_EQ("level 1, replicas 5; 0 led by 2; 7 at 2 3 4 led by 3", text());
    EXPECT_EQ(ERR_INVAL, pin(7, {2, 3}));
    EXPECT_EQ(ERR_INVAL, pin(7, {2, 3, 3}));
    EXPECT_EQ(ERR_INVAL, pin(7, {2, 3, 4, 2, 3, 4, 2}));
    EXPECT_EQ(ERR_INVAL, pin(DIR_SHARDS_MAX + 1, {2}));
    EXPECT_EQ(ERR_NOTFOUND, pin(7, {2, 3, 5})) << "nobody has claimed it";
    EXPECT_EQ(ERR_NOTFOUND, pin(7, {2, 3, 9}));
    EXPECT_EQ(ERR_NOTFOUND, pin(7, {}, 9));
    EXPECT_EQ(OK, pin(7, {4}, 0, true));
    EXPECT_EQ("level 1, replicas 5; 0 led by 2; 7 at 4", text());
    EXPECT_EQ(OK, pin(7, {}, 0, true));
    EXPECT_EQ(OK, pin(7, {}, 0, true)) << "again";
    EXPECT_EQ("level 1, replicas 5; 0 led by 2", text());
}

TEST_F(Cluster, damaged_rows_are_found_by_the_check)
{
    auto put = [&](bool settings, const std::string *value) {
        struct store st;
        struct key k;
        ASSERT_EQ(OK, kv_begin(s.kv, true, &st.t));
        memcpy(st.prefix, s.prefix, sizeof(st.prefix));
        dir_key(&k, &st, settings ? DIRECTORY_CLUSTER : DIRECTORY_PINS);
        if (!settings) {
            key_u32(&k, 7);
        }
        ASSERT_EQ(OK, value == nullptr ? store_del_must(&st, &k)
                                       : store_put(&st, &k, slice_make(value->data(), value->size())));
        ASSERT_EQ(OK, kv_commit(st.t));
    };
    Pb__ClusterRow even = PB__CLUSTER_ROW__INIT;
    even.replicas = 4;
    Pb__ShardRow other = PB__SHARD_ROW__INIT;
    other.shard = 8;
    for (const std::string &bad : {std::string("\xff\xff"), packed(&even.base)}) {
        put(true, &bad);
        EXPECT_NE("", s.check());
        put(true, nullptr);
    }
    for (const std::string &bad : {std::string("\xff\xff"), packed(&other.base)}) {
        put(false, &bad);
        EXPECT_NE("", s.check());
        put(false, nullptr);
    }
}

/* An entry of a newer program may mean anything: no replica may guess. */
TEST_F(Cluster, an_entry_of_a_level_that_the_program_does_not_know_is_not_applied)
{
    Pb__OpClusterSet op = PB__OP_CLUSTER_SET__INIT;
    op.replicas = 1;
    struct entry_head h = s.head_of(METHOD_CLUSTER_SET, 0, {});
    h.level = LEVEL_NOW + 1;
    EXPECT_EQ(ERR_CORRUPT, s.apply_head(h, packed(&op.base)).error);
    EXPECT_EQ("level 1, replicas 5", text());
    h.level = LEVEL_NOW;
    Result r = s.apply_head(h, packed(&op.base));
    EXPECT_TRUE(r.error == OK && r.status == OK);
    EXPECT_EQ("level 1, replicas 1", text());
}

} // namespace
