#include "replication/raft_driver.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "proto/base/mem.h"
#include "replication/lease.h"
#include "replication/message.h"

namespace
{

constexpr struct node_id NODE = {7};

std::string sole()
{
    struct buf b;
    buf_init(&b, 1000);
    const struct raft_server_info self = {NODE, RAFT_ROLE_VOTER};
    EXPECT_EQ(raft_configuration_put(&self, 1, &b), OK);
    std::string s(reinterpret_cast<const char *>(buf_slice(&b).p), b.len);
    buf_fini(&b);
    return s;
}

struct raft_driver_update update; /* of the last step */

/* As the volume asks: ERR_CORRUPT, or whether the node is the only voter. */
enum err check(const void *p, size_t n, struct node_id node, bool *out_sole)
{
    struct raft_server_info servers[RAFT_SERVERS_MAX];
    size_t count = 0;
    enum err e = raft_configuration_get(slice_make(p, n), servers, &count);
    *out_sole = e == OK && raft_configuration_is_sole(servers, count, node);
    return e;
}

struct raft_driver *make()
{
    struct raft_driver_config cfg = {NODE, 1, 2000, 300, 0};
    struct raft_driver *d = nullptr;
    EXPECT_EQ(raft_driver_new(&cfg, &d), OK);
    return d;
}

/* A log of n entries whose first is the configuration; from entry 2 on in term 3. */
struct Start {
    std::string conf = sole();
    struct raft_term_range ranges[2] = {{1, 1}, {2, 3}};
    struct raft_log_change change = {1, slice_make(conf.data(), conf.size())};
    struct raft_start s = {};
    explicit Start(uint64_t last)
    {
        s.now_ms = 1000;
        s.term = 3;
        s.log_first = 1;
        s.log_last = last;
        s.ranges = ranges;
        s.n_ranges = last > 1 ? 2 : 1;
        s.changes = &change;
        s.n_changes = 1;
    }
};

TEST(RaftDriver, ASoleVoterLeadsFromTheStartWithEverythingCommitted)
{
    struct raft_driver *d = make();
    Start start(5);
    ASSERT_EQ(raft_driver_start(d, &start.s, &update), OK);
    EXPECT_TRUE(raft_driver_leads(d));
    EXPECT_TRUE(raft_driver_is_sole(d));
    EXPECT_EQ(raft_driver_term(d), 3u);
    EXPECT_EQ(raft_driver_last_index(d), 5u);
    EXPECT_EQ(raft_driver_commit_index(d), 5u);
    raft_driver_free(d);
}

TEST(RaftDriver, WhatASoleVoterStoredIsCommitted)
{
    struct raft_driver *d = make();
    Start start(2);
    ASSERT_EQ(raft_driver_start(d, &start.s, &update), OK);
    ASSERT_EQ(raft_driver_append(d, 1001, 3, 1), OK);
    ASSERT_EQ(raft_driver_append(d, 1001, 4, 1000), OK); /* several events of the library */
    EXPECT_EQ(raft_driver_last_index(d), 1003u);
    EXPECT_EQ(raft_driver_commit_index(d), 1003u);
    raft_driver_free(d);
}

TEST(RaftDriver, AppendsWithoutAllocatingOnceTheTermHasAnEntry)
{
    struct raft_driver *d = make();
    Start start(2);
    ASSERT_EQ(raft_driver_start(d, &start.s, &update), OK);
    mem_fail_nth(1);
    EXPECT_EQ(raft_driver_append(d, 1001, 3, 500), OK);
    EXPECT_EQ(raft_driver_compact(d, 1001, 300, 3, 1), OK);
    EXPECT_EQ(mem_fail_fired(), 0);
    mem_fail_nth(0);
    raft_driver_free(d);
}

TEST(RaftDriver, RunsOnBehindACompactedLog)
{
    struct raft_driver *d = make();
    Start start(10);
    ASSERT_EQ(raft_driver_start(d, &start.s, &update), OK);
    ASSERT_EQ(raft_driver_compact(d, 1001, 4, 3, 1), OK);
    ASSERT_EQ(raft_driver_append(d, 1001, 11, 5), OK);
    ASSERT_EQ(raft_driver_compact(d, 1001, 14, 3, 1), OK);
    ASSERT_EQ(raft_driver_append(d, 1001, 16, 5), OK);
    EXPECT_EQ(raft_driver_commit_index(d), 20u);
    raft_driver_free(d);
}

TEST(RaftDriver, StartsFromASnapshotAndTheLogBehindIt)
{
    struct raft_driver *d = make();
    std::string conf = sole();
    struct raft_term_range ranges[] = {{95, 4}, {101, 6}};
    struct raft_start s = {};
    s.now_ms = 1000;
    s.term = 6;
    s.snapshot_index = 99;
    s.snapshot_term = 4;
    s.configuration_index = 1;
    s.configuration = slice_make(conf.data(), conf.size());
    s.log_first = 100;
    s.log_last = 101;
    s.ranges = ranges;
    s.n_ranges = 2;
    ASSERT_EQ(raft_driver_start(d, &s, &update), OK);
    EXPECT_TRUE(raft_driver_is_sole(d));
    EXPECT_EQ(raft_driver_commit_index(d), 101u);
    ASSERT_EQ(raft_driver_append(d, 1001, 102, 3), OK);
    EXPECT_EQ(raft_driver_commit_index(d), 104u);
    raft_driver_free(d);
}

TEST(RaftDriver, OutOfMemoryAtAnyPlaceOfAStartIsReportedAndLeaksNothing)
{
    for (bool snapshot : {false, true}) {
        Start start(20);
        if (snapshot) {
            start.s.snapshot_index = 3;
            start.s.snapshot_term = 3;
            start.s.configuration_index = 1;
            start.s.configuration = start.change.configuration;
        }
        uint64_t nth = 1;
        for (;; nth++) {
            struct raft_driver_config cfg = {NODE, 1, 2000, 300, 0};
            struct raft_driver *d = nullptr;
            mem_fail_nth(nth);
            enum err e = raft_driver_new(&cfg, &d);
            if (e == OK) {
                e = raft_driver_start(d, &start.s, &update);
                raft_driver_free(d);
            }
            bool fired = mem_fail_fired() != 0;
            mem_fail_nth(0);
            ASSERT_EQ(e, fired ? ERR_NOMEM : OK) << nth;
            if (!fired) {
                break;
            }
        }
        EXPECT_GT(nth, 5u);
    }
}

TEST(RaftConfiguration, OnlyTheOwnNodeAsOnlyVoterIsSole)
{
    std::string conf = sole();
    bool is_sole = false;
    struct node_id other = {8};
    ASSERT_EQ(check(conf.data(), conf.size(), NODE, &is_sole), OK);
    EXPECT_TRUE(is_sole);
    ASSERT_EQ(check(conf.data(), conf.size(), other, &is_sole), OK);
    EXPECT_FALSE(is_sole);
}

TEST(RaftConfiguration, RefusesEveryTruncationAndSurvivesEveryFlippedBit)
{
    std::string conf = sole();
    bool is_sole = false;
    size_t meaningful = 1 + 8 + 8 + 2 + 1; /* format, count, id, "7", role; the rest is padding */
    for (size_t n = 0; n < meaningful; n++) {
        std::vector<uint8_t> cut(conf.begin(), conf.begin() + static_cast<long>(n));
        EXPECT_EQ(check(cut.data(), n, NODE, &is_sole), ERR_CORRUPT) << n;
    }
    for (size_t bit = 0; bit < conf.size() * 8; bit++) {
        std::vector<uint8_t> flipped(conf.begin(), conf.end());
        flipped[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
        enum err e = check(flipped.data(), flipped.size(), NODE, &is_sole);
        EXPECT_TRUE(e == OK || e == ERR_CORRUPT);
    }
    conf += std::string(8, '\0');
    EXPECT_EQ(check(conf.data(), conf.size(), NODE, &is_sole), ERR_CORRUPT);
}

/* --- several servers --- */

using Servers = std::vector<struct raft_server_info>;

std::string configuration_of(const Servers &servers)
{
    struct buf b;
    buf_init(&b, 1000);
    EXPECT_EQ(raft_configuration_put(servers.data(), servers.size(), &b), OK);
    std::string s(reinterpret_cast<const char *>(buf_slice(&b).p), b.len);
    buf_fini(&b);
    return s;
}

constexpr uint64_t ELECTION_MS = 2000;

struct Entry {
    uint64_t term;
    enum repl_entry_type type;
    std::string data;
};

/* A driver with the disk that it is told to have: durable at once. */
struct Server {
    uint64_t id;
    struct raft_driver *d = nullptr;
    std::vector<Entry> log; /* from index 1 */
    uint64_t term = 0;
    uint64_t vote = 0;
    uint64_t applied = 1;
    uint64_t cut_from = UINT64_MAX; /* the lowest index that was replaced */
};

struct Letter {
    struct repl_message m;
    std::vector<Entry> entries;
};

class Group : public testing::Test
{
  protected:
    void TearDown() override
    {
        for (Server &s : servers) {
            raft_driver_free(s.d);
        }
    }
    void add(uint64_t id, const std::vector<Entry> &log, uint64_t term, uint64_t vote = 0)
    {
        servers.push_back({});
        Server *s = &servers.back();
        s->id = id;
        s->log = log;
        s->term = term;
        s->vote = vote;
        start(s);
    }
    void start(Server *s)
    {
        struct raft_driver_config cfg = {{s->id}, static_cast<unsigned>(s->id), ELECTION_MS, 300, drift_percent};
        std::vector<struct raft_term_range> ranges;
        std::vector<struct raft_log_change> changes;
        for (size_t i = 0; i < s->log.size(); i++) {
            if (i == 0 || s->log[i].term != s->log[i - 1].term) {
                ranges.push_back({i + 1, s->log[i].term});
            }
            if (s->log[i].type == REPL_ENTRY_CHANGE) {
                changes.push_back({i + 1, slice_make(s->log[i].data.data(), s->log[i].data.size())});
            }
        }
        struct raft_start st = {};
        struct raft_driver_update u;
        st.now_ms = now;
        st.term = s->term;
        st.vote = s->vote;
        st.log_first = 1;
        st.log_last = s->log.size();
        st.ranges = ranges.data();
        st.n_ranges = ranges.size();
        st.changes = changes.data();
        st.n_changes = changes.size();
        st.applied = s->log.empty() ? 0 : s->applied;
        ASSERT_EQ(raft_driver_new(&cfg, &s->d), OK);
        ASSERT_EQ(raft_driver_start(s->d, &st, &u), OK);
        take(s, u, {}, 0);
    }
    /* Three voters with nothing but their configuration. */
    void start_three()
    {
        const std::string conf =
            configuration_of({{{1}, RAFT_ROLE_VOTER}, {{2}, RAFT_ROLE_VOTER}, {{3}, RAFT_ROLE_VOTER}});
        for (uint64_t id = 1; id <= 3; id++) {
            add(id, {{1, REPL_ENTRY_CHANGE, conf}}, 1);
        }
    }
    /* first: index of source[0]. */
    void take(Server *s, const struct raft_driver_update &u, const std::vector<Entry> &source, uint64_t first)
    {
        if (u.hard_state) {
            s->term = raft_driver_term(s->d);
            s->vote = raft_driver_vote(s->d);
        }
        if (u.append_first != 0) {
            ASSERT_LE(u.append_first, s->log.size() + 1);
            s->cut_from =
                u.append_first <= s->log.size() && u.append_first < s->cut_from ? u.append_first : s->cut_from;
            s->log.resize(u.append_first - 1);
            for (size_t i = 0; i < u.append_n; i++) {
                s->log.push_back(u.barrier ? Entry{s->term, REPL_ENTRY_BARRIER, ""}
                                           : source[u.append_first + i - first]);
            }
        }
        for (size_t i = 0; i < u.n_messages; i++) {
            Letter l = {u.messages[i], {}};
            l.m.from = {s->id};
            for (size_t k = 0; k < l.m.n_entries; k++) {
                l.entries.push_back(s->log[l.m.index + k]);
            }
            wire.push_back(l);
        }
        if (u.append_first != 0) {
            struct raft_driver_update more;
            ASSERT_EQ(raft_driver_persisted(s->d, now, s->log.size(), &more), OK);
            take(s, more, {}, 0);
        }
        for (; s->applied < raft_driver_commit_index(s->d); s->applied++) {
            const Entry &e = s->log[s->applied];
            if (e.type == REPL_ENTRY_CHANGE) {
                ASSERT_EQ(raft_driver_configuration_applied(s->d, now, s->applied + 1,
                                                            slice_make(e.data.data(), e.data.size())),
                          OK);
            }
        }
    }
    void receive(Server *s, const Letter &l)
    {
        std::vector<struct repl_entry> entries(l.entries.size() + 1);
        struct raft_driver_update u;
        memset(entries.data(), 0, entries.size() * sizeof(entries[0]));
        for (size_t i = 0; i < l.entries.size(); i++) {
            entries[i].head.index = l.m.index + 1 + i;
            entries[i].head.term = l.entries[i].term;
            entries[i].head.type = l.entries[i].type;
            entries[i].head.data = slice_make(l.entries[i].data.data(), l.entries[i].data.size());
        }
        ASSERT_EQ(raft_driver_receive(s->d, now, &l.m, entries.data(), &u), OK);
        take(s, u, l.entries, l.m.index + 1);
    }
    void run(uint64_t ms)
    {
        for (uint64_t end = now + ms; now < end; now += 50) {
            for (Server &s : servers) {
                struct raft_driver_update u;
                if (now >= raft_driver_deadline_ms(s.d)) {
                    ASSERT_EQ(raft_driver_timeout(s.d, now, &u), OK);
                    take(&s, u, {}, 0);
                }
            }
            for (int i = 0; i < 20 && !wire.empty(); i++) {
                std::vector<Letter> letters;
                letters.swap(wire);
                for (const Letter &l : letters) {
                    if (l.m.from.v != isolated && l.m.to.v != isolated) {
                        receive(&servers[l.m.to.v - 1], l);
                    }
                }
            }
        }
    }
    Server *leader()
    {
        Server *found = nullptr;
        for (Server &s : servers) {
            if (s.id != isolated && raft_driver_serves(s.d)) {
                found = &s;
            }
        }
        EXPECT_NE(found, nullptr);
        return found;
    }
    void submit(Server *s, size_t n)
    {
        struct raft_driver_update u;
        std::vector<Entry> source(n,
                                  Entry{raft_driver_term(s->d), REPL_ENTRY_COMMAND, "from " + std::to_string(s->id)});
        uint64_t first = s->log.size() + 1;
        ASSERT_EQ(raft_driver_submit(s->d, now, n, &u), OK);
        ASSERT_EQ(u.append_first, first);
        ASSERT_EQ(u.append_n, n);
        take(s, u, source, first);
    }
    struct repl_message message(enum repl_message_type type, uint64_t from, uint64_t to, uint64_t term)
    {
        struct repl_message m = {};
        m.type = type;
        m.from = {from};
        m.to = {to};
        m.term = term;
        return m;
    }
    /* The only answer to a message. */
    struct repl_message answer(Server *s, const struct repl_message &m)
    {
        struct raft_driver_update u;
        EXPECT_EQ(raft_driver_receive(s->d, now, &m, nullptr, &u), OK);
        EXPECT_EQ(u.n_messages, 1u);
        return u.n_messages == 1 ? u.messages[0] : m;
    }
    std::vector<Server> servers;
    std::vector<Letter> wire;
    uint64_t now = 1000;
    uint64_t isolated = 0;
    unsigned drift_percent = 0;
};

TEST_F(Group, ThreeElectOneAndCommitWhatItIsGiven)
{
    start_three();
    run(8000);
    Server *l = leader();
    submit(l, 5);
    EXPECT_LT(raft_driver_commit_index(l->d), l->log.size());
    run(1000);
    EXPECT_EQ(raft_driver_commit_index(l->d), l->log.size());
    for (Server &s : servers) {
        EXPECT_EQ(s.log.size(), l->log.size());
        EXPECT_EQ(s.log.back().data, l->log.back().data);
        EXPECT_EQ(raft_driver_commit_index(s.d), l->log.size());
        EXPECT_EQ(raft_driver_leader(s.d).v, l->id);
        EXPECT_EQ(raft_driver_leads(s.d), s.id == l->id);
        EXPECT_EQ(raft_driver_match(l->d, {s.id}), l->log.size());
        EXPECT_FALSE(raft_driver_is_sole(s.d));
        EXPECT_EQ(s.term, l->term);
    }
}

/* Each first write of a group waited for the next heartbeat, 300 ms, while one of three servers was down. */
TEST_F(Group, WithOneServerDownNewEntriesGoToTheOtherAtOnce)
{
    start_three();
    run(8000);
    Server *l = leader();
    isolated = l->id % 3 + 1;
    run(3000);
    ASSERT_EQ(leader(), l);
    for (int i = 0; i < 20; i++) {
        submit(l, 1);
        size_t told = 0;
        for (const Letter &x : wire) {
            told += x.m.to.v != isolated && !x.entries.empty();
        }
        EXPECT_EQ(told, 1u) << "write " << i;
        run(50 * static_cast<uint64_t>(i + 1)); /* heartbeats to the two at other times */
        EXPECT_EQ(raft_driver_commit_index(l->d), l->log.size()) << "write " << i;
    }
}

TEST_F(Group, WhatADeposedLeaderHadAloneIsReplaced)
{
    start_three();
    run(8000);
    Server *old = leader();
    submit(old, 2);
    run(500);
    uint64_t kept = old->log.size();
    isolated = old->id;
    submit(old, 7);
    run(12000);
    EXPECT_FALSE(raft_driver_leads(old->d));
    Server *l = leader();
    ASSERT_NE(l->id, old->id);
    submit(l, 3);
    run(500);
    isolated = 0;
    run(3000);
    EXPECT_EQ(old->cut_from, kept + 1);
    ASSERT_EQ(old->log.size(), l->log.size());
    for (size_t i = 0; i < l->log.size(); i++) {
        EXPECT_EQ(old->log[i].term, l->log[i].term);
        EXPECT_EQ(old->log[i].data, l->log[i].data);
    }
}

TEST_F(Group, LeadershipIsTransferred)
{
    struct raft_driver_update u;
    start_three();
    run(8000);
    Server *l = leader();
    uint64_t to = l->id % 3 + 1;
    EXPECT_EQ(raft_driver_transfer(servers[to - 1].d, now, {l->id}, &u), ERR_NOT_LEADER);
    EXPECT_EQ(raft_driver_transfer(l->d, now, {9}, &u), ERR_NOTFOUND);
    ASSERT_EQ(raft_driver_transfer(l->d, now, {to}, &u), OK);
    take(l, u, {}, 0);
    run(500);
    EXPECT_EQ(leader()->id, to);
    EXPECT_FALSE(raft_driver_leads(l->d));
}

TEST_F(Group, AFollowerTakesNoSubmissionAndIsAsBefore)
{
    struct raft_driver_update u;
    const std::string conf = configuration_of({{{1}, RAFT_ROLE_VOTER}, {{2}, RAFT_ROLE_VOTER}});
    start_three();
    run(8000);
    Server *l = leader();
    Server *f = &servers[l->id % 3];
    uint64_t last = raft_driver_last_index(f->d);
    EXPECT_EQ(raft_driver_submit(f->d, now, 3, &u), ERR_NOT_LEADER);
    EXPECT_EQ(u.append_first, 0u);
    EXPECT_EQ(raft_driver_change(f->d, now, slice_make(conf.data(), conf.size()), &u), ERR_NOT_LEADER);
    EXPECT_EQ(raft_driver_last_index(f->d), last);
    EXPECT_FALSE(raft_driver_changing(f->d));
    submit(l, 1);
    run(500);
    EXPECT_EQ(raft_driver_commit_index(f->d), last + 1);
}

TEST_F(Group, OneChangeAtATime)
{
    struct raft_driver_update u;
    start_three();
    run(8000);
    Server *l = leader();
    submit(l, 1);
    run(500);
    const Servers two = {{{l->id}, RAFT_ROLE_VOTER}, {{l->id % 3 + 1}, RAFT_ROLE_VOTER}};
    const std::string conf = configuration_of(two);
    const struct slice bytes = slice_make(conf.data(), conf.size());
    uint64_t at = l->log.size() + 1;
    ASSERT_EQ(raft_driver_change(l->d, now, bytes, &u), OK);
    take(l, u, {{l->term, REPL_ENTRY_CHANGE, conf}}, at);
    EXPECT_TRUE(raft_driver_changing(l->d));
    EXPECT_EQ(raft_driver_change_index(l->d), at);
    EXPECT_EQ(raft_driver_change(l->d, now, bytes, &u), ERR_LOCKED);
    run(500);
    EXPECT_FALSE(raft_driver_changing(l->d));
    struct raft_server_info in_force[RAFT_SERVERS_MAX];
    EXPECT_EQ(raft_driver_servers(l->d, in_force), 2u);
}

TEST_F(Group, NoChangeBeforeAnEntryOfTheLeadersTermIsCommitted)
{
    struct raft_driver_update u;
    start_three();
    run(8000);
    Server *l = leader();
    const std::string conf = configuration_of({{{l->id}, RAFT_ROLE_VOTER}, {{l->id % 3 + 1}, RAFT_ROLE_VOTER}});
    const struct slice bytes = slice_make(conf.data(), conf.size());
    uint64_t last = l->log.size();
    EXPECT_TRUE(raft_driver_wants_barrier(l->d));
    EXPECT_EQ(raft_driver_change(l->d, now, bytes, &u), ERR_LOCKED);
    EXPECT_EQ(raft_driver_last_index(l->d), last);
    ASSERT_EQ(raft_driver_barrier(l->d, now, &u), OK);
    EXPECT_EQ(u.append_first, last + 1);
    EXPECT_TRUE(u.barrier);
    take(l, u, {}, last + 1);
    EXPECT_FALSE(raft_driver_wants_barrier(l->d));
    EXPECT_EQ(raft_driver_change(l->d, now, bytes, &u), ERR_LOCKED) << "it is not committed yet";
    run(500);
    EXPECT_EQ(raft_driver_commit_index(l->d), last + 1);
    EXPECT_EQ(raft_driver_change(l->d, now, bytes, &u), OK);
}

/* One voter before, two now, and only the first knows: it needs the vote of the second, which does not count it yet. */
class Promotion : public Group
{
  protected:
    void SetUp() override
    {
        conf = configuration_of({{{1}, RAFT_ROLE_VOTER}, {{2}, RAFT_ROLE_STANDBY}});
        promoted = configuration_of({{{1}, RAFT_ROLE_VOTER}, {{2}, RAFT_ROLE_VOTER}});
    }
    std::string conf;
    std::string promoted;
};

TEST_F(Promotion, TheTwoOfThemElectALeader)
{
    add(1, {{1, REPL_ENTRY_CHANGE, conf}, {1, REPL_ENTRY_CHANGE, promoted}}, 1);
    add(2, {{1, REPL_ENTRY_CHANGE, conf}}, 1);
    run(10000);
    EXPECT_EQ(leader()->id, 1u);
    EXPECT_EQ(servers[1].log.size(), servers[0].log.size());
    struct raft_server_info in_force[RAFT_SERVERS_MAX];
    ASSERT_EQ(raft_driver_servers(servers[1].d, in_force), 2u);
    EXPECT_EQ(in_force[1].role, RAFT_ROLE_VOTER);
}

TEST_F(Promotion, AStandbyLendsItsVoteOnceItsLeaderIsSilent)
{
    struct raft_driver_update u;
    struct raft_server_info in_force[RAFT_SERVERS_MAX];
    add(2, {{1, REPL_ENTRY_CHANGE, conf}}, 1);
    Server *s = &servers[0];
    struct repl_message m = message(REPL_MESSAGE_APPEND, 1, 2, 1);
    m.index = 1;
    m.index_term = 1;
    now += ELECTION_MS;
    ASSERT_EQ(raft_driver_receive(s->d, now, &m, nullptr, &u), OK);
    EXPECT_EQ(raft_driver_leader(s->d).v, 1u);
    m = message(REPL_MESSAGE_VOTE, 1, 2, 2);
    m.index = 2;
    m.index_term = 1;
    m.pre_vote = true;
    now += 1999;
    EXPECT_FALSE(answer(s, m).granted);
    now += 1;
    EXPECT_TRUE(answer(s, m).granted);
    m.pre_vote = false;
    EXPECT_TRUE(answer(s, m).granted);
    EXPECT_EQ(raft_driver_vote(s->d), 1u);
    ASSERT_EQ(raft_driver_servers(s->d, in_force), 2u);
    EXPECT_EQ(in_force[1].role, RAFT_ROLE_STANDBY); /* for that step only */
}

TEST_F(Promotion, ALogThatIsBehindGetsNoVoteFromAStandby)
{
    add(2, {{1, REPL_ENTRY_CHANGE, conf}, {1, REPL_ENTRY_COMMAND, "x"}}, 1);
    struct repl_message m = message(REPL_MESSAGE_VOTE, 1, 2, 2);
    m.index = 1;
    m.index_term = 1;
    now += ELECTION_MS;
    EXPECT_FALSE(answer(&servers[0], m).granted);
}

TEST_F(Group, ADeniedPreVoteTellsTheHigherTerm)
{
    start_three();
    Server *s = &servers[1];
    raft_driver_free(s->d);
    s->term = 9;
    start(s);
    struct repl_message m = message(REPL_MESSAGE_VOTE, 1, 2, 3);
    m.index = 5; /* its log is ahead, its term behind */
    m.index_term = 2;
    m.pre_vote = true;
    now += ELECTION_MS;
    struct repl_message a = answer(s, m);
    EXPECT_EQ(a.type, REPL_MESSAGE_VOTE_RESULT);
    EXPECT_FALSE(a.granted);
    EXPECT_TRUE(a.pre_vote);
    EXPECT_EQ(a.term, 9u);
}

/* One has the longer log, one the higher term, the third is gone. */
TEST_F(Group, TheLongerLogWinsAgainstTheHigherTerm)
{
    start_three();
    raft_driver_free(servers[0].d);
    servers[0].log.push_back({2, REPL_ENTRY_COMMAND, "x"});
    servers[0].term = 2;
    start(&servers[0]);
    raft_driver_free(servers[1].d);
    servers[1].term = 9;
    start(&servers[1]);
    isolated = 3;
    run(20000);
    EXPECT_EQ(leader()->id, 1u);
}

TEST_F(Group, AStaleLeaderIsAnsweredWithTheTermAndNothingElse)
{
    start_three();
    Server *s = &servers[1];
    raft_driver_free(s->d);
    s->term = 9;
    start(s);
    for (int i = 0; i < 3; i++) {
        struct repl_message m = message(REPL_MESSAGE_APPEND, 1, 2, 4);
        m.index = 77;
        m.index_term = 4;
        struct repl_message a = answer(s, m);
        EXPECT_EQ(a.type, REPL_MESSAGE_APPEND_RESULT);
        EXPECT_EQ(a.term, 9u);
        EXPECT_EQ(a.index, 0u);
    }
}

TEST_F(Group, ASecondLeaderOfTheTermIsNotHeard)
{
    const std::string conf = configuration_of({{{1}, RAFT_ROLE_VOTER}, {{2}, RAFT_ROLE_VOTER}});
    struct raft_driver_update u;
    start_three();
    run(8000);
    Server *l = leader();
    uint64_t other = l->id % 3 + 1;
    struct repl_message m = message(REPL_MESSAGE_APPEND, other, l->id, l->term);
    m.index = l->log.size();
    m.index_term = l->log.back().term;
    ASSERT_EQ(raft_driver_receive(l->d, now, &m, nullptr, &u), OK);
    EXPECT_EQ(u.n_messages, 0u);
    m = message(REPL_MESSAGE_SNAPSHOT, other, l->id, l->term);
    m.index = 100;
    m.index_term = l->term;
    m.configuration_index = 1;
    m.configuration = slice_make(conf.data(), conf.size());
    ASSERT_EQ(raft_driver_receive(l->d, now, &m, nullptr, &u), OK);
    EXPECT_FALSE(u.snapshot);
    EXPECT_TRUE(raft_driver_leads(l->d));
    submit(l, 1);
    run(1000);
    EXPECT_EQ(raft_driver_commit_index(l->d), l->log.size());
}

/* The sanitizer sees what the library would leak. */
TEST_F(Group, ASnapshotOfferedAgainWhileItIsInstalledIsIgnored)
{
    const std::string conf = configuration_of({{{1}, RAFT_ROLE_VOTER}, {{2}, RAFT_ROLE_VOTER}});
    struct raft_driver_update u;
    start_three();
    struct repl_message m = message(REPL_MESSAGE_SNAPSHOT, 1, 2, 3);
    m.index = 100;
    m.index_term = 2;
    m.configuration_index = 1;
    m.configuration = slice_make(conf.data(), conf.size());
    ASSERT_EQ(raft_driver_receive(servers[1].d, now, &m, nullptr, &u), OK);
    EXPECT_TRUE(u.snapshot);
    for (uint64_t term : {3, 3, 4, 2}) { /* again, of a newer leader, of a stale one */
        m.term = term;
        ASSERT_EQ(raft_driver_receive(servers[1].d, now, &m, nullptr, &u), OK);
        EXPECT_FALSE(u.snapshot);
    }
}

/* --- leases (replication/lease.h) --- */

/* Five voters; server 1 leads, and the others' answers are made by hand. */
class Lease : public Group
{
  protected:
    void SetUp() override
    {
        drift_percent = 10;
        Servers five;
        for (uint64_t id = 1; id <= 5; id++) {
            five.push_back({{id}, RAFT_ROLE_VOTER});
        }
        conf = configuration_of(five);
    }
    void elect()
    {
        struct raft_driver_update u;
        add(1, {{1, REPL_ENTRY_CHANGE, conf}}, 1);
        now = raft_driver_deadline_ms(servers[0].d);
        ASSERT_EQ(raft_driver_timeout(servers[0].d, now, &u), OK);
        for (bool pre_vote : {true, false}) {
            for (uint64_t from : {2, 3}) {
                struct repl_message m = message(REPL_MESSAGE_VOTE_RESULT, from, 1, 2);
                m.granted = true;
                m.pre_vote = pre_vote;
                ASSERT_EQ(raft_driver_receive(servers[0].d, now, &m, nullptr, &u), OK);
            }
        }
        ASSERT_TRUE(raft_driver_leads(servers[0].d));
        ASSERT_EQ(raft_driver_term(servers[0].d), 2u);
    }
    void heard(uint64_t from, uint64_t sent_ms, uint64_t term = 2)
    {
        struct raft_driver_update u;
        struct repl_message m = message(REPL_MESSAGE_APPEND_RESULT, from, 1, term);
        m.index = 1;
        m.sent_ms = sent_ms;
        ASSERT_EQ(raft_driver_receive(servers[0].d, now, &m, nullptr, &u), OK);
    }
    uint64_t lease()
    {
        return raft_driver_lease_ms(servers[0].d);
    }
    struct repl_message append(uint64_t from, uint64_t term, uint64_t sent_ms)
    {
        struct repl_message m = message(REPL_MESSAGE_APPEND, from, 1, term);
        m.index = 1;
        m.index_term = 1;
        m.sent_ms = sent_ms;
        return m;
    }
    struct repl_message vote(uint64_t term)
    {
        struct repl_message m = message(REPL_MESSAGE_VOTE, 3, 1, term);
        m.index = 9;
        m.index_term = 9;
        return m;
    }
    std::string conf;
};

TEST(LeaseLength, IsTheElectionTimeoutLessTheDriftRoundedDown)
{
    EXPECT_EQ(lease_length_ms(1000, 10), 908u); /* 999 / 1.1 */
    EXPECT_EQ(lease_length_ms(1000, 50), 666u);
    EXPECT_EQ(lease_length_ms(1, 10), 0u);
    EXPECT_EQ(lease_length_ms(0, 10), 0u);
    EXPECT_EQ(lease_length_ms(1000, 0), 0u); /* off */
    for (uint64_t election_ms = 1; election_ms < 3000; election_ms++) {
        for (unsigned drift : {1, 7, 10, 33, 50}) {
            ASSERT_LE(lease_length_ms(election_ms, drift) * (100 + drift), (election_ms - 1) * 100);
        }
    }
}

TEST_F(Lease, LastsFromWhatAMajorityHasHeard)
{
    uint64_t length = lease_length_ms(ELECTION_MS, drift_percent);
    elect();
    now += 100;
    EXPECT_EQ(lease(), 0u);
    heard(2, now - 10);
    EXPECT_EQ(lease(), 0u); /* two of five */
    heard(2, now - 5);
    EXPECT_EQ(lease(), 0u);
    heard(4, now - 50);
    EXPECT_EQ(lease(), now - 50 + length);
    heard(5, now - 30);
    EXPECT_EQ(lease(), now - 30 + length); /* the leader, 2 and 5 */
    heard(3, now - 40);
    EXPECT_EQ(lease(), now - 30 + length);
    heard(4, now - 60); /* late */
    heard(5, now - 70);
    EXPECT_EQ(lease(), now - 30 + length);
}

TEST_F(Lease, AnswersThatSayNothingOrTheImpossibleMakeNone)
{
    elect();
    now += 100;
    heard(2, now + 1); /* later than now */
    heard(3, 0);
    heard(4, now - 1, 1); /* of another term */
    heard(9, now - 1);    /* of no server */
    EXPECT_EQ(lease(), 0u);
    heard(4, now);
    EXPECT_EQ(lease(), 0u);
}

TEST_F(Lease, IsNotOfAnotherLeadership)
{
    elect();
    now += 100;
    heard(2, now - 10);
    heard(3, now - 10);
    ASSERT_NE(lease(), 0u);
    struct raft_driver_update u;
    heard(2, 0, 7); /* it steps down */
    EXPECT_EQ(lease(), 0u);
    ASSERT_FALSE(raft_driver_leads(servers[0].d));
    heard(2, now, 7);
    heard(3, now, 7);
    now = raft_driver_deadline_ms(servers[0].d);
    ASSERT_EQ(raft_driver_timeout(servers[0].d, now, &u), OK);
    for (bool pre_vote : {true, false}) {
        for (uint64_t from : {2, 3}) {
            struct repl_message m = message(REPL_MESSAGE_VOTE_RESULT, from, 1, 8);
            m.granted = true;
            m.pre_vote = pre_vote;
            ASSERT_EQ(raft_driver_receive(servers[0].d, now, &m, nullptr, &u), OK);
        }
    }
    ASSERT_TRUE(raft_driver_leads(servers[0].d));
    EXPECT_EQ(lease(), 0u);
    heard(2, now, 8);
    heard(3, now, 8);
    EXPECT_NE(lease(), 0u);
}

TEST_F(Lease, IsGoneForTheTermOnceATransferHasBegun)
{
    struct raft_driver_update u;
    elect();
    heard(2, now);
    heard(3, now);
    ASSERT_NE(lease(), 0u);
    EXPECT_EQ(raft_driver_transfer(servers[0].d, now, {77}, &u), ERR_NOTFOUND);
    ASSERT_NE(lease(), 0u); /* nothing has begun */
    ASSERT_EQ(raft_driver_transfer(servers[0].d, now, {5}, &u), OK);
    EXPECT_EQ(lease(), 0u);
    for (int i = 0; i < 20; i++) { /* it comes to nothing */
        now += 300;
        heard(2, now);
        heard(3, now);
        ASSERT_EQ(raft_driver_timeout(servers[0].d, now, &u), OK);
    }
    ASSERT_TRUE(raft_driver_leads(servers[0].d));
    EXPECT_EQ(lease(), 0u);
}

TEST_F(Lease, AFollowerSaysWhatItHasHeardOfThatLeaderOnly)
{
    add(1, {{1, REPL_ENTRY_CHANGE, conf}}, 1);
    Server *s = &servers[0];
    EXPECT_EQ(answer(s, append(2, 3, 500)).sent_ms, 500u);
    EXPECT_EQ(answer(s, append(2, 3, 400)).sent_ms, 500u); /* overtaken: it has heard the other */
    EXPECT_EQ(answer(s, append(4, 2, 900)).sent_ms, 0u);   /* of an earlier term: refused */
    EXPECT_EQ(answer(s, append(2, 3, 600)).sent_ms, 600u);
    EXPECT_EQ(answer(s, append(4, 4, 100)).sent_ms, 100u); /* another leader */
    EXPECT_EQ(answer(s, append(4, 4, 0)).sent_ms, 100u);
    EXPECT_EQ(answer(s, append(2, 3, 700)).sent_ms, 0u);
    struct repl_message gap = append(4, 4, 200);
    gap.index = 7;
    struct repl_message a = answer(s, gap); /* it lacks the entry, and has heard its leader */
    EXPECT_EQ(a.rejected, 7u);
    EXPECT_EQ(a.sent_ms, 200u);
}

TEST_F(Lease, WhoHasJustStartedVotesForNobody)
{
    add(1, {{1, REPL_ENTRY_CHANGE, conf}}, 1);
    Server *s = &servers[0];
    now += ELECTION_MS - 1;
    for (bool pre_vote : {true, false}) {
        for (bool disrupt : {true, false}) {
            struct raft_driver_update u;
            struct repl_message m = vote(2);
            m.pre_vote = pre_vote;
            m.disrupt = disrupt;
            ASSERT_EQ(raft_driver_receive(s->d, now, &m, nullptr, &u), OK);
            EXPECT_EQ(u.n_messages, 0u);
            EXPECT_FALSE(u.hard_state);
        }
    }
    EXPECT_EQ(raft_driver_term(s->d), 1u);
    EXPECT_GT(raft_driver_deadline_ms(s->d), now); /* nor for itself */
    now++;
    EXPECT_TRUE(answer(s, vote(2)).granted);
}

TEST_F(Lease, WhoStartsForTheFirstTimeVotesAtOnce)
{
    add(1, {}, 0);
    EXPECT_TRUE(answer(&servers[0], vote(2)).granted);
}

TEST_F(Lease, WhoHasHeardALeaderVotesForNobodyElse)
{
    add(1, {{1, REPL_ENTRY_CHANGE, conf}}, 1);
    Server *s = &servers[0];
    now += ELECTION_MS;
    answer(s, append(2, 1, 500));
    now += ELECTION_MS - 1;
    EXPECT_GT(raft_driver_deadline_ms(s->d), now);
    EXPECT_FALSE(answer(s, vote(2)).granted);
    EXPECT_EQ(raft_driver_term(s->d), 1u);
    struct repl_message told = vote(2); /* by its leader */
    told.disrupt = true;
    EXPECT_TRUE(answer(s, told).granted);
}

TEST_F(Lease, PermissionToDisruptIsForOneTerm)
{
    struct raft_driver_update u;
    add(1, {{1, REPL_ENTRY_CHANGE, conf}}, 1);
    Server *s = &servers[0];
    answer(s, append(2, 3, 500));
    struct repl_message m = message(REPL_MESSAGE_TIMEOUT_NOW, 2, 1, 3);
    m.index = 1;
    m.index_term = 1;
    ASSERT_EQ(raft_driver_receive(s->d, now, &m, nullptr, &u), OK);
    ASSERT_EQ(u.n_messages, 4u);
    EXPECT_EQ(u.messages[0].type, REPL_MESSAGE_VOTE);
    EXPECT_EQ(u.messages[0].term, 4u);
    EXPECT_TRUE(u.messages[0].disrupt);
    now = raft_driver_deadline_ms(s->d);
    ASSERT_EQ(raft_driver_timeout(s->d, now, &u), OK);
    ASSERT_EQ(u.n_messages, 4u);
    EXPECT_EQ(u.messages[0].type, REPL_MESSAGE_VOTE);
    EXPECT_EQ(u.messages[0].term, 5u);
    EXPECT_FALSE(u.messages[0].disrupt);
}

} // namespace
