#include "replication/reads.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>

#include "fake_volume.h"
#include "proto/base/mem.h"
#include "replication/reads_frame.h"

namespace
{

struct Frame {
    uint64_t to;
    std::string bytes;
    struct reads_frame head() const
    {
        struct reads_frame f = {};
        EXPECT_EQ(reads_frame_get(slice_make(bytes.data(), bytes.size()), &f), OK);
        return f;
    }
};

struct Read {
    struct repl_read r; /* first */
    int answers = 0;
    enum err status = OK;
    explicit Read(uint32_t shard, uint64_t deadline_ms = UINT64_MAX)
    {
        memset(&r, 0, sizeof(r));
        r.shard.v = shard;
        r.deadline_ms = deadline_ms;
        r.done = done;
    }
    Read(const Read &) = delete;
    Read &operator=(const Read &) = delete;
    static void done(struct repl_read *r, enum err status)
    {
        Read *self = reinterpret_cast<Read *>(r);
        self->answers++;
        self->status = status;
    }
    bool waits() const
    {
        return answers == 0;
    }
    bool is(enum err e) const
    {
        return answers == 1 && status == e;
    }
};

/* Node 1 leads shard 0 in term 5; voters 1 to 3. */
class Reads : public testing::Test
{
  protected:
    void SetUp() override
    {
        lead(0);
        const struct repl_reads_config cfg = {&volume, {1}, 77, this, send};
        ASSERT_EQ(repl_reads_new(&cfg, &reads), OK);
    }
    void TearDown() override
    {
        repl_reads_free(reads);
    }
    static void send(void *ctx, struct node_id to, struct slice frame)
    {
        static_cast<Reads *>(ctx)->sent.push_back(
            {to.v, std::string(reinterpret_cast<const char *>(frame.p), frame.n)});
    }
    void lead(uint32_t shard, const std::vector<uint64_t> &voters = {1, 2, 3})
    {
        FakeShard s;
        s.leads_term = s.term = 5;
        s.commit = s.applied = 10;
        s.voters = voters;
        volume.shards[shard] = s;
    }
    void begin(Read *r)
    {
        repl_reads_begin(reads, &r->r, now);
    }
    std::vector<Frame> take()
    {
        std::vector<Frame> v;
        v.swap(sent);
        return v;
    }
    /* The answer of the node that the ping went to, with one term for all shards. */
    static std::string answer(const Frame &ping, uint64_t term)
    {
        struct reads_frame f = ping.head();
        std::string bytes(reads_frame_bytes(f.n), '\0');
        uint8_t *p = reinterpret_cast<uint8_t *>(&bytes[0]);
        f.kind = READS_FRAME_PONG;
        reads_frame_put_head(p, &f);
        for (size_t i = 0; i < f.n; i++) {
            reads_frame_put_row(p, i, {reads_frame_row(&f, i).shard, term});
        }
        return bytes;
    }
    void pong(const Frame &ping, uint64_t term = 5)
    {
        pong(ping.to, answer(ping, term));
    }
    void pong(uint64_t from, const std::string &bytes)
    {
        repl_reads_pong(reads, {from}, slice_make(bytes.data(), bytes.size()), now);
    }
    uint64_t tick()
    {
        return repl_reads_tick(reads, now);
    }

    struct volume volume;
    struct repl_reads *reads = nullptr;
    uint64_t now = 1000;
    std::vector<Frame> sent;
};

TEST_F(Reads, AMajorityOfTheVotersConfirmsARead)
{
    Read r(0);
    begin(&r);
    std::vector<Frame> pings = take();
    ASSERT_EQ(pings.size(), 2u);
    EXPECT_EQ(pings[0].to, 2u);
    EXPECT_EQ(pings[1].to, 3u);
    EXPECT_EQ(pings[0].bytes[0], 2);
    struct reads_frame f = pings[0].head();
    ASSERT_EQ(f.n, 1u);
    EXPECT_EQ(reads_frame_row(&f, 0).term, 5u);
    EXPECT_TRUE(r.waits());
    pong(pings[1]);
    EXPECT_TRUE(r.is(OK));
    EXPECT_EQ(r.r.at.index, 10u);
    EXPECT_EQ(tick(), UINT64_MAX) << "nothing is left to do";
}

TEST_F(Reads, WithFiveVotersOneAnswerIsNotEnoughAndARepeatedOneIsStillOne)
{
    lead(0, {1, 2, 3, 4, 5});
    Read r(0);
    begin(&r);
    std::vector<Frame> pings = take();
    ASSERT_EQ(pings.size(), 4u);
    pong(pings[0]);
    pong(pings[0]);
    EXPECT_TRUE(r.waits());
    pong(pings[3]);
    EXPECT_TRUE(r.is(OK));
}

TEST_F(Reads, ALeaderThatIsNoVoterIsNoAnswer)
{
    lead(0, {2, 3});
    Read r(0);
    begin(&r);
    std::vector<Frame> pings = take();
    pong(pings[0]);
    EXPECT_TRUE(r.waits());
    pong(pings[1]);
    EXPECT_TRUE(r.is(OK));
}

TEST_F(Reads, TheOnlyVoterAsksNobody)
{
    lead(0, {1}); /* the others are standbys */
    Read r(0);
    begin(&r);
    EXPECT_TRUE(r.is(OK));
    EXPECT_TRUE(sent.empty());
}

TEST_F(Reads, AGroupOfOneServerIsDoneAtOnceAndAFollowerRefuses)
{
    Read alone(0);
    Read follower(1);
    volume.shards[0].alone = true;
    begin(&alone);
    EXPECT_TRUE(alone.is(OK));
    begin(&follower);
    EXPECT_TRUE(follower.is(ERR_NOT_LEADER));
    EXPECT_TRUE(sent.empty());
}

TEST_F(Reads, UnderALeaseNobodyIsAskedAndAfterItEverybody)
{
    volume.shards[0].lease_ms = now + 1;
    Read under(0);
    begin(&under);
    EXPECT_TRUE(under.is(OK));
    EXPECT_TRUE(take().empty());
    now++;
    Read after(0);
    begin(&after);
    EXPECT_TRUE(after.waits());
    std::vector<Frame> pings = take();
    ASSERT_EQ(pings.size(), 2u);
    pong(pings[0]);
    EXPECT_TRUE(after.is(OK));
}

TEST_F(Reads, UnderALeaseWhatIsNotAppliedYetWaitsForTheTurnAndNotForTheLease)
{
    volume.shards[0].lease_ms = now + 1;
    volume.shards[0].commit = 11;
    Read r(0);
    begin(&r);
    EXPECT_TRUE(r.waits());
    now += 1000;
    volume.shards[0].applied = 11;
    tick();
    EXPECT_TRUE(r.is(OK));
    EXPECT_EQ(r.r.at.index, 11u);
    EXPECT_TRUE(take().empty());
}

TEST_F(Reads, WhatIsNotAppliedYetWaitsForTheTurn)
{
    Read r(0);
    volume.shards[0].applied = 9;
    begin(&r);
    pong(take()[0]);
    tick();
    EXPECT_TRUE(r.waits());
    volume.shards[0].applied = 10;
    tick();
    EXPECT_TRUE(r.is(OK));

    Read alone(0);
    volume.shards[0].alone = true;
    volume.shards[0].commit = 11;
    begin(&alone);
    EXPECT_TRUE(alone.waits());
    volume.shards[0].applied = 11;
    tick();
    EXPECT_TRUE(alone.is(OK));
}

TEST_F(Reads, AHigherTermAnywhereMeansThatItLeadsNoMore)
{
    Read r(0);
    begin(&r);
    pong(take()[0], 6);
    EXPECT_TRUE(r.is(ERR_NOT_LEADER));
}

TEST_F(Reads, ATermOfZeroIsNoAnswer)
{
    Read r(0);
    begin(&r);
    std::vector<Frame> pings = take();
    pong(pings[0], 0);
    EXPECT_TRUE(r.waits());
    pong(pings[1], 4); /* it has not heard of this term yet */
    EXPECT_TRUE(r.is(OK));
}

TEST_F(Reads, AnAnswerToAPingFromBeforeTheReadDoesNotCount)
{
    Read first(0);
    Read second(0);
    begin(&first);
    std::vector<Frame> before = take();
    begin(&second);
    EXPECT_TRUE(sent.empty()) << "one round at a time";
    pong(before[0]);
    EXPECT_TRUE(first.is(OK));
    EXPECT_TRUE(second.waits());
    std::vector<Frame> after = take();
    ASSERT_EQ(after.size(), 2u) << "the next round starts when the one before has its answers";
    pong(before[1]);
    pong(before[0]);
    EXPECT_TRUE(second.waits());
    pong(after[0]);
    EXPECT_TRUE(second.is(OK));
}

TEST_F(Reads, AnAnswerToAnotherLifeDoesNotCount)
{
    Read r(0);
    begin(&r);
    Frame ping = take()[0];
    std::string bytes = answer(ping, 5);
    bytes[4] = static_cast<char>(bytes[4] + 1);
    pong(2, bytes);
    EXPECT_TRUE(r.waits());
    pong(ping);
    EXPECT_TRUE(r.is(OK));
}

TEST_F(Reads, AnswersOfStrangersAndOfAnotherFormAreDropped)
{
    Read r(0);
    begin(&r);
    Frame ping = take()[0];
    std::string good = answer(ping, 5);
    pong(9, good);
    pong(1, good);
    pong(2, ping.bytes);
    pong(2, good.substr(0, good.size() - 1));
    struct reads_frame f = ping.head();
    f.kind = READS_FRAME_PONG;
    f.n = 2;
    std::string longer(reads_frame_bytes(2), '\0');
    reads_frame_put_head(reinterpret_cast<uint8_t *>(&longer[0]), &f);
    reads_frame_put_row(reinterpret_cast<uint8_t *>(&longer[0]), 0, {{0}, 5});
    reads_frame_put_row(reinterpret_cast<uint8_t *>(&longer[0]), 1, {{1}, 5});
    pong(2, longer);
    f.n = 1;
    std::string other(reads_frame_bytes(1), '\0');
    reads_frame_put_head(reinterpret_cast<uint8_t *>(&other[0]), &f);
    reads_frame_put_row(reinterpret_cast<uint8_t *>(&other[0]), 0, {{3}, 5});
    pong(2, other);
    EXPECT_TRUE(r.waits());
    pong(2, good);
    EXPECT_TRUE(r.is(OK));
}

TEST_F(Reads, LeadershipThatEndedAndBeganAgainStartsTheReadOver)
{
    Read r(0);
    begin(&r);
    std::vector<Frame> pings = take();
    volume.shards[0].leads_term = volume.shards[0].term = 7;
    volume.shards[0].commit = volume.shards[0].applied = 12;
    pong(pings[0]);
    EXPECT_TRUE(r.waits());
    std::vector<Frame> again = take();
    ASSERT_EQ(again.size(), 2u);
    pong(again[0], 7);
    EXPECT_TRUE(r.is(OK));
    EXPECT_EQ(r.r.at.index, 12u);
}

TEST_F(Reads, AnotherConfigurationStartsTheReadOver)
{
    Read r(0);
    begin(&r);
    std::vector<Frame> pings = take();
    volume.shards[0].configuration = 11;
    volume.shards[0].voters = {1, 2, 3, 4};
    pong(pings[0]);
    EXPECT_TRUE(r.waits());
    std::vector<Frame> again = take();
    ASSERT_EQ(again.size(), 3u);
    pong(again[0]);
    EXPECT_TRUE(r.waits()) << "two of four are no majority";
    pong(again[2]);
    EXPECT_TRUE(r.is(OK));
}

TEST_F(Reads, LeadershipThatIsLostWhileItAsksIsNotServed)
{
    Read r(0);
    begin(&r);
    std::vector<Frame> pings = take();
    volume.shards[0].leads_term = 0;
    pong(pings[0]);
    EXPECT_TRUE(r.is(ERR_NOT_LEADER));
}

TEST_F(Reads, WhoLeadsNoMoreGivesUpAsking)
{
    Read r(0);
    begin(&r);
    volume.shards[0].leads_term = 0;
    now += 100;
    tick();
    EXPECT_TRUE(r.is(ERR_NOT_LEADER));
}

TEST_F(Reads, ARoundWithoutItsMajorityIsSentAgainToWhomItMisses)
{
    lead(0, {1, 2, 3, 4, 5});
    Read r(0);
    begin(&r);
    std::vector<Frame> pings = take();
    pong(pings[0]);
    EXPECT_EQ(tick(), 100u);
    now += 99;
    EXPECT_EQ(tick(), 1u);
    EXPECT_TRUE(sent.empty());
    now += 1;
    tick();
    std::vector<Frame> again = take();
    ASSERT_EQ(again.size(), 3u);
    EXPECT_EQ(again[0].to, 3u);
    EXPECT_EQ(again[0].bytes, pings[1].bytes);
    pong(again[1]);
    EXPECT_TRUE(r.is(OK));
}

TEST_F(Reads, ReadsOfAllShardsTravelTogetherARowEach)
{
    Read first(0);
    lead(1, {1, 2, 3});
    lead(2, {1, 3, 4});
    begin(&first);
    std::vector<Frame> pings = take();
    Read a(1);
    Read b(2);
    Read c(1);
    Read d(0);
    begin(&a);
    begin(&b);
    begin(&c);
    begin(&d);
    pong(pings[0]);
    pings = take();
    ASSERT_EQ(pings.size(), 3u);
    std::map<uint64_t, size_t> rows;
    for (const Frame &f : pings) {
        rows[f.to] = f.head().n;
    }
    EXPECT_EQ(rows, (std::map<uint64_t, size_t>{{2, 2}, {3, 3}, {4, 1}}));
    for (const Frame &f : pings) {
        if (f.to == 3) {
            pong(f);
        }
    }
    EXPECT_TRUE(a.is(OK) && b.is(OK) && c.is(OK) && d.is(OK));
}

TEST_F(Reads, TheNextRoundDoesNotWaitLongForTheLastOne)
{
    Read first(0);
    Read second(0);
    begin(&first);
    std::vector<Frame> lost = take();
    now += 5;
    begin(&second);
    EXPECT_EQ(tick(), 15u);
    EXPECT_TRUE(sent.empty());
    now += 15;
    tick();
    std::vector<Frame> pings = take();
    ASSERT_EQ(pings.size(), 2u);
    pong(pings[0]);
    EXPECT_TRUE(second.is(OK));
    EXPECT_TRUE(first.waits());
    pong(lost[0]);
    EXPECT_TRUE(first.is(OK));
}

TEST_F(Reads, OpenRoundsAreBoundedAndAnOldOneMakesPlace)
{
    std::vector<std::unique_ptr<Read>> all;
    std::vector<std::vector<Frame>> rounds;
    for (int i = 0; i < 12; i++) { /* 8 within 240 ms, then one for each that is old enough */
        all.push_back(std::make_unique<Read>(0));
        begin(all.back().get());
        std::vector<Frame> pings = take();
        if (!pings.empty()) {
            rounds.push_back(pings);
        }
        now += 20;
    }
    EXPECT_EQ(rounds.size(), 8u);
    now = 1000 + 250;
    tick();
    std::vector<Frame> pings = take();
    uint64_t newest = 0;
    for (const Frame &f : pings) {
        newest = std::max(newest, f.head().round);
    }
    EXPECT_EQ(newest, 9u);
    pong(rounds[0][0]);
    EXPECT_TRUE(all[0]->waits()) << "its round was given up";
    for (const Frame &f : pings) {
        if (f.head().round == newest && f.to == 2) {
            pong(f);
        }
    }
    EXPECT_TRUE(all[0]->is(OK)) << "and another asked for it";
    EXPECT_TRUE(all[1]->waits());
    EXPECT_TRUE(all[11]->is(OK));
    repl_reads_free(reads);
    reads = nullptr;
}

TEST_F(Reads, ADeadlineIsKeptWhereverTheReadWaits)
{
    Read asking(0, now + 50);
    Read waiting(0, now + 51);
    Read applying(1, now + 52);
    Read late(0, now);
    lead(1);
    volume.shards[1].commit = 11;
    volume.shards[1].alone = true;
    begin(&late);
    EXPECT_TRUE(late.is(ERR_UNAVAILABLE));
    begin(&asking);
    begin(&waiting);
    begin(&applying);
    EXPECT_EQ(tick(), 20u);
    now += 19;
    tick();
    EXPECT_TRUE(asking.waits());
    now += 31;
    tick();
    EXPECT_TRUE(asking.is(ERR_UNAVAILABLE));
    EXPECT_TRUE(waiting.waits());
    now += 1;
    tick();
    EXPECT_TRUE(waiting.is(ERR_UNAVAILABLE));
    EXPECT_TRUE(applying.waits());
    EXPECT_EQ(tick(), 1u);
    now += 1;
    tick();
    EXPECT_TRUE(applying.is(ERR_UNAVAILABLE));
    EXPECT_EQ(tick(), UINT64_MAX);
}

TEST_F(Reads, TheEndAnswersWhatWaits)
{
    Read asking(0);
    Read waiting(0);
    Read applying(1);
    lead(1);
    volume.shards[1].commit = 11;
    volume.shards[1].alone = true;
    begin(&asking);
    begin(&waiting);
    begin(&applying);
    repl_reads_free(reads);
    reads = nullptr;
    EXPECT_TRUE(asking.is(ERR_UNAVAILABLE) && waiting.is(ERR_UNAVAILABLE) && applying.is(ERR_UNAVAILABLE));
}

TEST_F(Reads, WhatBeginsAfterTheStopIsAnsweredAtOnce)
{
    Read before(0);
    Read after(0);
    begin(&before);
    Frame ping = take()[0];
    repl_reads_stop(reads);
    EXPECT_TRUE(before.is(ERR_UNAVAILABLE));
    begin(&after);
    EXPECT_TRUE(after.is(ERR_UNAVAILABLE));
    pong(ping);
    EXPECT_EQ(tick(), UINT64_MAX);
    EXPECT_TRUE(sent.empty());
}

TEST_F(Reads, MoreShardsThanAFrameHoldsGoIntoTheNextRound)
{
    std::vector<std::unique_ptr<Read>> all;
    Read first(0);
    begin(&first);
    Frame ping = take()[0];
    for (uint32_t s = 1; s <= READS_FRAME_ROWS_MAX + 1; s++) {
        lead(s);
        all.push_back(std::make_unique<Read>(s));
        begin(all.back().get());
    }
    pong(ping);
    std::vector<Frame> pings = take();
    ASSERT_EQ(pings.size(), 2u);
    EXPECT_EQ(pings[0].head().n, READS_FRAME_ROWS_MAX);
    pong(pings[0]);
    pings = take();
    ASSERT_EQ(pings.size(), 2u);
    EXPECT_EQ(pings[0].head().n, 1u);
    pong(pings[0]);
    for (const auto &r : all) {
        ASSERT_TRUE(r->is(OK));
    }
}

TEST_F(Reads, APingIsAnsweredWithThePublishedTerms)
{
    Read a(0);
    Read b(4);
    lead(4);
    begin(&a);
    begin(&b);
    pong(take()[0]);
    Frame ping = take()[0];
    struct volume other;
    other.shards[4].term = 9;
    const struct repl_reads_config cfg = {&other, {2}, 1, this, send};
    struct repl_reads *follower;
    ASSERT_EQ(repl_reads_new(&cfg, &follower), OK);
    repl_reads_ping(follower, {1}, slice_make(ping.bytes.data(), ping.bytes.size()));
    std::vector<Frame> pongs = take();
    ASSERT_EQ(pongs.size(), 1u);
    EXPECT_EQ(pongs[0].to, 1u);
    EXPECT_EQ(pongs[0].bytes[0], 3);
    struct reads_frame f = pongs[0].head();
    EXPECT_EQ(f.life, 77u);
    EXPECT_EQ(f.round, ping.head().round);
    EXPECT_EQ(reads_frame_row(&f, 0).term, 9u);
    repl_reads_ping(follower, {1}, slice_make(pongs[0].bytes.data(), pongs[0].bytes.size()));
    repl_reads_ping(follower, {1}, slice_make("\2junk", 5));
    EXPECT_TRUE(sent.empty());
    repl_reads_free(follower);
    pong(2, pongs[0].bytes);
    EXPECT_TRUE(b.is(ERR_NOT_LEADER));
}

TEST_F(Reads, WithoutMemoryAReadIsAskedForLater)
{
    for (uint64_t nth = 1; nth <= 4; nth++) {
        Read r(0);
        mem_fail_nth(nth);
        begin(&r);
        EXPECT_TRUE(mem_fail_fired() == 1);
        mem_fail_nth(0);
        std::vector<Frame> pings = take();
        EXPECT_EQ(pings.size(), nth <= 2 ? 0u : 1u);
        EXPECT_TRUE(r.waits());
        now += std::min<uint64_t>(tick(), 100);
        tick();
        pings = take();
        ASSERT_FALSE(pings.empty());
        pong(pings[0]);
        EXPECT_TRUE(r.is(OK));
        take();
    }
}

/* done may begin another read. */
struct Chain {
    struct repl_read r; /* first */
    struct repl_reads *reads;
    int left;
    static void done(struct repl_read *r, enum err status)
    {
        Chain *c = reinterpret_cast<Chain *>(r);
        if (status == OK && --c->left > 0) {
            repl_reads_begin(c->reads, &c->r, 1000);
        }
    }
};

TEST_F(Reads, AnAnswerMayBeginTheNextRead)
{
    Chain c = {};
    c.r.deadline_ms = UINT64_MAX;
    c.r.done = Chain::done;
    c.reads = reads;
    c.left = 3;
    repl_reads_begin(reads, &c.r, now);
    for (int i = 0; i < 3; i++) {
        pong(take()[0]);
    }
    EXPECT_EQ(c.left, 0);
}

} // namespace
