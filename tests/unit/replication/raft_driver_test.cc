#include "replication/raft_driver.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "proto/base/mem.h"

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
    struct raft_driver_config cfg = {NODE, 1, 2000, 300};
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
            struct raft_driver_config cfg = {NODE, 1, 2000, 300};
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

} // namespace
