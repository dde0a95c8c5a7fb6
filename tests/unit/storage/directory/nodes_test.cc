#include "storage/directory/nodes.h"

#include "tests/unit/storage/apply/shard.h"

using namespace shard_test;

namespace
{

class Nodes : public ::testing::Test
{
  protected:
    void TearDown() override
    {
        EXPECT_EQ("", s.check());
    }

    struct Set {
        uint64_t node = 0;
        std::string peer, rpc, events, zone = {};
        bool remove = false, replace = false;
        Pb__NodeMark drain = PB__NODE_MARK__MARK_KEEP, away = PB__NODE_MARK__MARK_KEEP;
    };

    Result set(const Set &in)
    {
        Pb__OpNodeSet op = PB__OP_NODE_SET__INIT;
        op.node = in.node;
        op.peer = const_cast<char *>(in.peer.c_str());
        op.rpc = const_cast<char *>(in.rpc.c_str());
        op.events = const_cast<char *>(in.events.c_str());
        op.remove = in.remove;
        op.replace = in.replace;
        op.zone = const_cast<char *>(in.zone.c_str());
        op.drain = in.drain;
        op.away = in.away;
        return s.apply(METHOD_NODE_SET, &op.base, 0);
    }

    uint64_t added(const Set &in)
    {
        Result r = set(in);
        EXPECT_EQ(OK, r.status) << in.peer;
        return r.status != OK ? 0 : UNPACK(Pb__OpNodeSetResult, pb__op_node_set_result, r)->node;
    }

    uint64_t add(const std::string &peer)
    {
        Set in;
        in.peer = peer;
        return added(in);
    }

    enum err remove(uint64_t node)
    {
        Set in;
        in.node = node;
        in.remove = true;
        return set(in).status;
    }

    Result claim(const std::string &peer, const std::string &token, const std::string &rpc = "")
    {
        Pb__OpNodeClaim op = PB__OP_NODE_CLAIM__INIT;
        op.peer = const_cast<char *>(peer.c_str());
        op.rpc = const_cast<char *>(rpc.c_str());
        op.token = bin(token);
        return s.apply(METHOD_NODE_CLAIM, &op.base, 0);
    }

    /* "2 tcp://b:1 member, 3 removed" */
    std::string table()
    {
        struct arena arena;
        struct dir_nodes t;
        struct store st;
        std::string text;
        arena_init(&arena, 1 << 20);
        EXPECT_EQ(OK, kv_begin(s.kv, false, &st.t));
        memcpy(st.prefix, s.prefix, sizeof(st.prefix));
        EXPECT_EQ(OK, dir_nodes_get(&st, &arena, &t));
        for (size_t i = 0; i < t.n; i++) {
            const Pb__NodeRow *r = t.rows[i];
            text += (i == 0 ? "" : ", ") + std::to_string(r->node) + " " + r->peer;
            text += r->removed ? " removed" : r->claim.len > 0 ? " member" : " waiting";
            text += r->draining ? " draining" : "";
            text += r->away ? " away" : "";
            text += r->zone[0] != '\0' ? std::string(" in ") + r->zone : "";
            text += r->rpc[0] != '\0' ? std::string(" ") + r->rpc : "";
        }
        kv_abort(st.t);
        arena_fini(&arena);
        return text;
    }

    Shard s{0};
    const std::string token = std::string(16, 't');
    const std::string other = std::string(16, 'o');
};

TEST_F(Nodes, get_ids_from_two_on_that_are_never_given_again)
{
    EXPECT_EQ(2u, add("tcp://b:1"));
    EXPECT_EQ(3u, add("tcp://c:1"));
    ASSERT_EQ(OK, remove(3));
    EXPECT_EQ(4u, add("tcp://c:1"));
    EXPECT_EQ("2 tcp://b:1 waiting, 3 tcp://c:1 removed, 4 tcp://c:1 waiting", table());
    EXPECT_EQ(ERR_NOTFOUND, remove(3)) << "twice";
    EXPECT_EQ(ERR_NOTFOUND, remove(99));
}

TEST_F(Nodes, have_one_live_row_for_an_address)
{
    EXPECT_EQ(2u, add("tcp://b:1"));
    Set again;
    again.peer = "tcp://b:1";
    EXPECT_EQ(ERR_EXISTS, set(again).status);
    again.replace = true;
    EXPECT_EQ(3u, added(again));
    EXPECT_EQ("2 tcp://b:1 removed, 3 tcp://b:1 waiting", table());
    again.peer = "tcp://never:1";
    EXPECT_EQ(ERR_NOTFOUND, set(again).status) << "nothing to replace";
    EXPECT_EQ(4u, add("tcp://d:1"));
    Set move;
    move.node = 4;
    move.peer = "tcp://b:1";
    EXPECT_EQ(ERR_EXISTS, set(move).status);
    move.peer = "tcp://e:1";
    move.rpc = "tcp://e:2";
    EXPECT_EQ(4u, added(move));
    move.peer = "";
    move.rpc = "";
    EXPECT_EQ(4u, added(move)) << "nothing to change";
    EXPECT_EQ("2 tcp://b:1 removed, 3 tcp://b:1 waiting, 4 tcp://e:1 waiting tcp://e:2", table());
    move.node = 2;
    move.peer = "tcp://f:1";
    EXPECT_EQ(ERR_NOTFOUND, set(move).status) << "a removed row comes not back";
}

TEST_F(Nodes, the_founders_row_makes_itself_and_nobody_claims_it)
{
    Set one;
    one.node = 1;
    EXPECT_EQ(ERR_INVAL, set(one).status) << "without an address";
    one.peer = "tcp://a:1";
    EXPECT_EQ(1u, added(one));
    one.rpc = "tcp://a:2";
    EXPECT_EQ(1u, added(one));
    EXPECT_EQ("1 tcp://a:1 member tcp://a:2", table());
    EXPECT_EQ(ERR_EXISTS, claim("tcp://a:1", token).status);
    EXPECT_EQ(ERR_PERM, remove(1)) << "the last one";
    EXPECT_EQ(2u, add("tcp://b:1"));
    EXPECT_EQ(ERR_PERM, remove(1)) << "the other one has no data directory yet";
    ASSERT_EQ(OK, claim("tcp://b:1", token).status);
    EXPECT_EQ(OK, remove(1));
    EXPECT_EQ(ERR_NOTFOUND, set(one).status) << "a removed founder comes not back";
    one.node = 7;
    EXPECT_EQ(ERR_NOTFOUND, set(one).status) << "only the founder's row makes itself";
}

TEST_F(Nodes, a_row_is_claimed_once_by_one_token)
{
    EXPECT_EQ(2u, add("tcp://b:1"));
    EXPECT_EQ(ERR_NOTFOUND, claim("tcp://x:1", token).status);
    EXPECT_EQ(ERR_INVAL, claim("tcp://b:1", "short").status);
    EXPECT_EQ(ERR_INVAL, claim("tcp://b:1", "").status);
    EXPECT_EQ(ERR_INVAL, claim("", token).status);
    for (const char *rpc : {"", "tcp://b:2", "tcp://b:3"}) {
        Result r = claim("tcp://b:1", token, rpc);
        ASSERT_EQ(OK, r.status);
        EXPECT_EQ(2u, UNPACK(Pb__OpNodeClaimResult, pb__op_node_claim_result, r)->node);
    }
    EXPECT_EQ("2 tcp://b:1 member tcp://b:3", table());
    EXPECT_EQ(ERR_EXISTS, claim("tcp://b:1", other).status) << "an emptied directory has another token";
    Set replace;
    replace.peer = "tcp://b:1";
    replace.replace = true;
    EXPECT_EQ(3u, added(replace));
    Result r = claim("tcp://b:1", other);
    ASSERT_EQ(OK, r.status);
    EXPECT_EQ(3u, UNPACK(Pb__OpNodeClaimResult, pb__op_node_claim_result, r)->node);
    EXPECT_EQ(ERR_EXISTS, claim("tcp://b:1", token).status) << "the old directory is nobody any more";
}

TEST_F(Nodes, a_damaged_table_is_found_by_the_check)
{
    EXPECT_EQ(2u, add("tcp://b:1"));
    EXPECT_EQ(3u, add("tcp://c:1"));
    auto put = [&](uint64_t id, const std::string *value) {
        struct store st;
        struct key k;
        ASSERT_EQ(OK, kv_begin(s.kv, true, &st.t));
        memcpy(st.prefix, s.prefix, sizeof(st.prefix));
        dir_key(&k, &st, DIRECTORY_NODES);
        key_u64(&k, id);
        ASSERT_EQ(OK, value == nullptr ? store_del_must(&st, &k)
                                       : store_put(&st, &k, slice_make(value->data(), value->size())));
        ASSERT_EQ(OK, kv_commit(st.t));
    };
    Pb__NodeRow row = PB__NODE_ROW__INIT;
    row.node = 9;
    row.peer = const_cast<char *>("tcp://b:1");
    std::string twin = packed(&row.base);
    std::string garbage = "\xff\xff";
    put(9, &twin);
    EXPECT_NE("", s.check()) << "two live rows of one address";
    put(9, nullptr);
    put(8, &twin);
    EXPECT_NE("", s.check()) << "a row of another id";
    put(8, &garbage);
    EXPECT_NE("", s.check());
    put(8, nullptr);
}

TEST_F(Nodes, strange_addresses_are_refused)
{
    for (const char *bad : {"", "tcp://a b:1", "tcp://a\n", "tcp://\x7f", "tcp://\xc3\xb6:1"}) {
        Set in;
        in.peer = bad;
        EXPECT_EQ(ERR_INVAL, set(in).status) << bad;
    }
    for (std::string Set::*field : {&Set::peer, &Set::rpc, &Set::events}) {
        Set in;
        in.peer = "tcp://b:1";
        in.*field = std::string(256, 'x');
        EXPECT_EQ(ERR_LIMIT, set(in).status);
        in.*field = "a b";
        EXPECT_EQ(ERR_INVAL, set(in).status);
    }
    Set longest;
    longest.peer = longest.rpc = longest.events = std::string(255, 'x');
    EXPECT_EQ(2u, added(longest));
    longest.remove = true;
    EXPECT_EQ(ERR_INVAL, set(longest).status) << "remove, and no node";
    EXPECT_EQ(ERR_LIMIT, claim(std::string(255, 'x'), token, std::string(256, 'y')).status);
    EXPECT_EQ(ERR_INVAL, claim(std::string(255, 'x'), token, "y y").status);
}

TEST_F(Nodes, are_at_most_16_and_removed_ones_make_room_at_last)
{
    for (int i = 0; i < DIR_NODES_LIVE_MAX; i++) {
        ASSERT_NE(0u, add("tcp://n" + std::to_string(i) + ":1"));
    }
    Set more;
    more.peer = "tcp://more:1";
    EXPECT_EQ(ERR_LIMIT, set(more).status);
    Set one;
    one.node = 1;
    one.peer = "tcp://a:1";
    EXPECT_EQ(ERR_LIMIT, set(one).status);
    uint64_t last = DIR_NODES_LIVE_MAX + 1;
    for (int i = 0; i < 2 * DIR_NODES_ROWS_MAX; i++) {
        Set again;
        again.peer = "tcp://n" + std::to_string(i % DIR_NODES_LIVE_MAX) + ":1";
        again.replace = true;
        uint64_t id = added(again);
        ASSERT_EQ(last + 1, id);
        last = id;
    }
    EXPECT_EQ(ERR_LIMIT, set(more).status);
}

TEST_F(Nodes, drain_and_stop_draining_as_long_as_another_can_take_over)
{
    Set drain;
    EXPECT_EQ(2u, add("tcp://b:1"));
    EXPECT_EQ(3u, add("tcp://c:1"));
    ASSERT_EQ(OK, claim("tcp://b:1", token).status);
    drain.node = 2;
    drain.drain = PB__NODE_MARK__MARK_ON;
    EXPECT_EQ(ERR_PERM, set(drain).status) << "3 has no data directory yet";
    ASSERT_EQ(OK, claim("tcp://c:1", other).status);
    EXPECT_EQ(OK, set(drain).status);
    EXPECT_EQ(OK, set(drain).status) << "again";
    EXPECT_EQ("2 tcp://b:1 member draining, 3 tcp://c:1 member", table());
    drain.node = 3;
    EXPECT_EQ(ERR_PERM, set(drain).status) << "the last one";
    EXPECT_EQ(ERR_PERM, remove(3));
    drain.node = 2;
    drain.drain = PB__NODE_MARK__MARK_OFF;
    EXPECT_EQ(OK, set(drain).status);
    EXPECT_EQ("2 tcp://b:1 member, 3 tcp://c:1 member", table());
    drain.node = 99;
    EXPECT_EQ(ERR_NOTFOUND, set(drain).status);
}

TEST_F(Nodes, are_marked_as_away_and_back_also_the_last_one)
{
    Set one;
    one.node = 1;
    one.peer = "tcp://a:1";
    EXPECT_EQ(1u, added(one));
    one.away = PB__NODE_MARK__MARK_ON;
    EXPECT_EQ(OK, set(one).status);
    EXPECT_EQ("1 tcp://a:1 member away", table());
    one.away = PB__NODE_MARK__MARK_KEEP;
    EXPECT_EQ(OK, set(one).status);
    EXPECT_EQ("1 tcp://a:1 member away", table());
    one.away = PB__NODE_MARK__MARK_OFF;
    EXPECT_EQ(OK, set(one).status);
    EXPECT_EQ("1 tcp://a:1 member", table());
}

TEST_F(Nodes, have_a_zone_that_goes_when_they_go)
{
    Set in;
    in.peer = "tcp://b:1";
    in.zone = "hall-1";
    EXPECT_EQ(2u, added(in));
    EXPECT_EQ(3u, add("tcp://c:1"));
    ASSERT_EQ(OK, claim("tcp://c:1", other).status);
    Set move;
    move.node = 2;
    move.zone = "hall 2";
    EXPECT_EQ(ERR_INVAL, set(move).status) << "no spaces";
    move.zone = std::string(300, 'z');
    EXPECT_EQ(ERR_LIMIT, set(move).status);
    move.zone = "hall-2";
    ASSERT_EQ(OK, set(move).status);
    EXPECT_EQ("2 tcp://b:1 waiting in hall-2, 3 tcp://c:1 member", table());
    ASSERT_EQ(OK, remove(2));
    EXPECT_EQ("2 tcp://b:1 removed, 3 tcp://c:1 member", table());
}

} // namespace
