/* Volumes and a network driven by hand. */
#ifndef TESTS_UNIT_REPLICATION_PEERS_FIXTURE_H
#define TESTS_UNIT_REPLICATION_PEERS_FIXTURE_H

#include <deque>
#include <memory>
#include <set>

#include "replication/check.h"
#include "replication/message.h"
#include "volume_fixture.h"

constexpr struct shard_id SHARD = {0};

struct Mail {
    struct repl_received r; /* first */
    std::string bytes;
    static void release(struct repl_received *r)
    {
        delete reinterpret_cast<Mail *>(r);
    }
};

struct Letter {
    uint64_t from;
    uint64_t to;
    bool bulk;
    std::string bytes;
};

struct Node {
    uint64_t id = 0;
    struct kv *kv = nullptr;
    struct rng rng;
    struct volume *volume = nullptr;
    Machine machine;
    std::deque<Letter> *wire = nullptr;
    std::vector<Write *> queued;
    std::vector<std::pair<uint64_t, std::string>> inbox; /* from whom, and messages */

    static void send(void *ctx, struct node_id to, bool bulk, struct slice message)
    {
        Node *n = static_cast<Node *>(ctx);
        n->wire->push_back({n->id, to.v, bulk, string_of(message)});
    }
    static void moved(void *ctx, const uint8_t prefix[5])
    {
        memcpy(static_cast<Machine *>(ctx)->prefix, prefix, 5);
    }
};

inline std::string encode(const struct repl_message &m)
{
    struct buf b;
    buf_init(&b, 10000);
    EXPECT_EQ(repl_message_put(&m, &b), OK);
    std::string s = string_of(buf_slice(&b));
    buf_fini(&b);
    return s;
}

class Peers : public testing::Test
{
  protected:
    explicit Peers(uint64_t n = 3) : n_nodes(n)
    {
    }
    void SetUp() override
    {
        clock.base.mono_ms = TestClock::mono;
        clock.base.wall_ms = TestClock::wall;
        clock.ms = 1000;
        for (uint64_t id = 1; id <= n_nodes; id++) {
            nodes[id] = std::make_unique<Node>();
            nodes[id]->id = id;
            nodes[id]->wire = &wire;
            rng_seeded_init(&nodes[id]->rng, id);
            ASSERT_EQ(kv_mem_new(&nodes[id]->kv), OK);
        }
    }
    void TearDown() override
    {
        for (auto &n : nodes) {
            if (n.second->volume != nullptr) {
                expect_clean(n.first);
                volume_close(n.second->volume);
            }
            kv_close(n.second->kv);
        }
    }
    void open(uint64_t id)
    {
        Node *n = nodes[id].get();
        struct volume_config c = {};
        c.kv = n->kv;
        c.clock = &clock.base;
        c.rng = &n->rng;
        c.log_entries_max = log_entries_max;
        c.log_bytes_max = log_bytes_max;
        c.log_age_ms = log_age_ms;
        c.lease_drift_percent = lease_drift_percent;
        c.copy_bytes_per_s = copy_bytes_per_s;
        c.send = Node::send;
        c.send_ctx = n;
        struct repl_fsm fsm = n->machine.fsm();
        fsm.moved = Node::moved;
        ASSERT_EQ(volume_open(&c, &n->volume), OK);
        ASSERT_EQ(id == 1 ? volume_replica_open(n->volume, SHARD, {id}, &fsm)
                          : volume_replica_join(n->volume, SHARD, {id}, &fsm),
                  OK);
        ASSERT_EQ(volume_state_prefix(n->volume, SHARD, n->machine.prefix), OK);
        turn(id);
    }
    void stop(uint64_t id)
    {
        volume_close(nodes[id]->volume);
        nodes[id]->volume = nullptr;
        nodes[id]->inbox.clear();
    }
    uint64_t turn(uint64_t id)
    {
        Node *n = nodes[id].get();
        struct proposal *list = nullptr;
        struct repl_received *received = nullptr;
        for (auto it = n->queued.rbegin(); it != n->queued.rend(); ++it) {
            (*it)->p.node.next = list == nullptr ? nullptr : &list->node;
            list = &(*it)->p;
        }
        n->queued.clear();
        for (auto it = n->inbox.rbegin(); it != n->inbox.rend(); ++it) {
            Mail *m = new Mail();
            memset(&m->r, 0, sizeof(m->r));
            m->bytes = it->second;
            m->r.node.next = received == nullptr ? nullptr : &received->node;
            m->r.from.v = it->first;
            m->r.bytes = slice_of(m->bytes);
            m->r.release = Mail::release;
            received = &m->r;
        }
        n->inbox.clear();
        return volume_turn(n->volume, list, received);
    }
    /* from 0: of whom it says. */
    void receive(uint64_t to, const std::string &message, uint64_t from = 0)
    {
        uint8_t n[4];
        struct repl_message m;
        put_le32(n, static_cast<uint32_t>(message.size()));
        if (from == 0 && repl_message_get(slice_of(message), &m) == OK) {
            from = m.from.v;
        }
        nodes[to]->inbox.emplace_back(from, std::string(reinterpret_cast<char *>(n), 4) + message);
    }
    /* What is on its way arrives, or is lost. */
    void deliver()
    {
        std::deque<Letter> now;
        now.swap(wire);
        for (const Letter &l : now) {
            if (cut.count({l.from, l.to}) == 0 && !(l.bulk && no_bulk) && nodes[l.to]->volume != nullptr) {
                receive(l.to, l.bytes, l.from);
            }
        }
    }
    /* Until nothing is on its way: no time passes. */
    void exchange()
    {
        for (int i = 0; i < 50; i++) {
            deliver();
            for (auto &n : nodes) {
                if (n.second->volume != nullptr) {
                    turn(n.first);
                }
            }
            if (wire.empty()) {
                return;
            }
        }
    }
    void run(uint64_t ms)
    {
        for (uint64_t end = clock.ms + ms; clock.ms < end; clock.ms += 50) {
            exchange();
        }
    }
    void isolate(uint64_t id)
    {
        for (uint64_t other = 1; other <= n_nodes; other++) {
            cut.insert({id, other});
            cut.insert({other, id});
        }
    }
    bool leads(uint64_t id)
    {
        uint64_t term;
        return nodes[id]->volume != nullptr && volume_leads(nodes[id]->volume, SHARD, &term);
    }
    uint64_t leader()
    {
        for (int i = 0; i < 400; i++) {
            for (uint64_t id = 1; id <= n_nodes; id++) {
                if (leads(id)) {
                    return id;
                }
            }
            run(50);
        }
        ADD_FAILURE() << "no leader";
        return 1;
    }
    struct volume_status status(uint64_t id)
    {
        struct volume_status s = {};
        EXPECT_EQ(volume_status(nodes[id]->volume, SHARD, &s), OK);
        return s;
    }
    uint64_t elections(uint64_t id)
    {
        struct volume_stats s;
        volume_stats(nodes[id]->volume, &s);
        return s.elections;
    }
    void propose(uint64_t id, Write *w)
    {
        nodes[id]->queued.push_back(w);
        turn(id);
    }
    enum err one(uint64_t id, const std::string &data, const std::string &body = "")
    {
        Write w(SHARD.v, data, body);
        propose(id, &w);
        for (int i = 0; i < 200 && w.answers == 0; i++) {
            run(50);
        }
        EXPECT_EQ(w.answers, 1);
        return w.status;
    }
    void change(const std::vector<struct raft_server_info> &servers)
    {
        uint64_t l = leader();
        ASSERT_EQ(volume_change(nodes[l]->volume, SHARD, servers.data(), servers.size()), OK);
        for (int i = 0; i < 600 && (status(l).changing || status(l).n_servers != servers.size()); i++) {
            run(50);
        }
        ASSERT_FALSE(status(l).changing);
    }
    void start()
    {
        for (uint64_t id = 1; id <= n_nodes; id++) {
            open(id);
        }
        const enum raft_server_role voter = RAFT_ROLE_VOTER;
        const enum raft_server_role standby = RAFT_ROLE_STANDBY;
        run(100);
        change({{{1}, voter}, {{2}, standby}});
        change({{{1}, voter}, {{2}, voter}});
        change({{{1}, voter}, {{2}, voter}, {{3}, standby}});
        change({{{1}, voter}, {{2}, voter}, {{3}, voter}});
        ASSERT_TRUE(leads(1));
        run(500);
    }
    /* Rows of the state, without the replica's number. */
    std::string state(uint64_t id)
    {
        std::string all;
        struct kv_txn *t;
        struct kv_cursor *c;
        struct slice k;
        struct slice v;
        Node *n = nodes[id].get();
        EXPECT_EQ(kv_begin(n->kv, false, &t), OK);
        EXPECT_EQ(kv_cursor_open(t, &c), OK);
        enum err e = kv_cursor_seek(c, slice_make(n->machine.prefix, 5), &k, &v);
        for (; e == OK && memcmp(k.p, n->machine.prefix, 5) == 0; e = kv_cursor_next(c, &k, &v)) {
            all += string_of(slice_sub(k, 4, k.n)) + string_of(v);
        }
        kv_cursor_close(c);
        kv_abort(t);
        return all;
    }
    size_t count(uint64_t id, const std::string &prefix)
    {
        size_t n = 0;
        struct kv_txn *t;
        struct kv_cursor *c;
        struct slice k;
        struct slice v;
        EXPECT_EQ(kv_begin(nodes[id]->kv, false, &t), OK);
        EXPECT_EQ(kv_cursor_open(t, &c), OK);
        for (enum err e = kv_cursor_seek(c, slice_of(prefix), &k, &v); e == OK; e = kv_cursor_next(c, &k, &v)) {
            if (string_of(k).compare(0, prefix.size(), prefix) != 0) {
                break;
            }
            n++;
        }
        kv_cursor_close(c);
        kv_abort(t);
        return n;
    }
    static void problem(void *, const char *what, struct slice)
    {
        ADD_FAILURE() << what;
    }
    static void replica(void *, struct shard_id, const uint8_t *)
    {
    }
    static void body(void *, const uint8_t *, uint64_t, uint16_t, uint64_t, bool)
    {
    }
    void expect_clean(uint64_t id)
    {
        const struct repl_check c = {this, problem, replica, body};
        struct repl_check_totals totals;
        struct kv_txn *t;
        ASSERT_EQ(kv_begin(nodes[id]->kv, false, &t), OK);
        EXPECT_EQ(repl_check_run(t, &c, &totals), OK);
        kv_abort(t);
    }
    uint64_t n_nodes;
    TestClock clock;
    std::map<uint64_t, std::unique_ptr<Node>> nodes;
    std::deque<Letter> wire;
    std::set<std::pair<uint64_t, uint64_t>> cut;
    bool no_bulk = false;
    uint64_t log_entries_max = 0;
    uint64_t log_bytes_max = 0;
    uint64_t log_age_ms = 0;
    unsigned lease_drift_percent = 0;
    uint64_t copy_bytes_per_s = 0;
};

#endif /* TESTS_UNIT_REPLICATION_PEERS_FIXTURE_H */
