#include "storage/node/leaders.h"
#include "storage/node/linear.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "proto/base/mem.h"
#include "replication/reads_frame.h"
#include "storage/node/node_internal.h"
#include "storage/node/others.h"

/* What linear.c asks of the volume and gives to others, said and seen by the test. */
namespace
{

struct Fake {
    struct volume_read at = {};
    uint64_t leader = 0;
    std::vector<struct rpc_request *> read;
    struct Reply {
        struct rpc_request *request;
        enum err status;
        uint64_t hint;
    };
    std::vector<Reply> replies;
    std::vector<std::string> frames;
} fake;

} // namespace

bool volume_read_begin(struct volume *, struct shard_id, struct volume_read *out)
{
    *out = fake.at;
    return fake.at.term != 0;
}

bool volume_leads(struct volume *, struct shard_id, uint64_t *out_term)
{
    *out_term = fake.at.term;
    return fake.at.term != 0;
}

uint64_t volume_applied(struct volume *, struct shard_id)
{
    return fake.at.index;
}

uint64_t volume_term(struct volume *, struct shard_id)
{
    return fake.at.term;
}

struct node_id leaders_get(struct leaders *, struct shard_id, uint64_t *)
{
    return {fake.leader};
}

bool others_forward(struct others *, struct rpc_request *)
{
    return false;
}

void readers_submit(struct reader_pool *, struct rpc_request *r)
{
    fake.read.push_back(r);
}

void rpc_request_reply(struct rpc_request *r, enum err status, uint64_t hint, struct slice, struct slice)
{
    fake.replies.push_back({r, status, hint});
}

namespace
{

uint64_t mono_ms(struct clock *c)
{
    return c->mono_ms == nullptr ? 0 : 1000;
}

class Linear : public testing::Test
{
  protected:
    void SetUp() override
    {
        fake = Fake();
        fake.at.term = 5;
        fake.at.n_voters = 3;
        for (uint64_t i = 0; i < 3; i++) {
            fake.at.voters[i].v = i + 1;
        }
        fake.leader = 1;
        clock.mono_ms = mono_ms;
        node = std::make_unique<struct node>();
        node->identity.node.v = 1;
        node->clock = &clock;
        node->rng = rng_system();
        node->peer_send = send;
        ASSERT_EQ(linear_open(node.get()), OK);
        request.deadline_ms = 5000;
    }
    void TearDown() override
    {
        linear_close(node.get());
    }
    static void send(void *, struct node_id, struct slice frame)
    {
        fake.frames.emplace_back(reinterpret_cast<const char *>(frame.p), frame.n);
    }
    void pong(uint64_t term)
    {
        struct reads_frame f;
        std::string bytes = fake.frames.back();
        ASSERT_EQ(reads_frame_get(slice_make(bytes.data(), bytes.size()), &f), OK);
        f.kind = READS_FRAME_PONG;
        reads_frame_put_head(reinterpret_cast<uint8_t *>(&bytes[0]), &f);
        reads_frame_put_row(reinterpret_cast<uint8_t *>(&bytes[0]), 0, {{0}, term});
        linear_frame(node.get(), {3}, slice_make(bytes.data(), bytes.size()));
    }
    bool replied(enum err status, uint64_t hint)
    {
        return fake.replies.size() == 1 && fake.replies[0].status == status && fake.replies[0].hint == hint &&
               fake.read.empty();
    }
    struct clock clock = {};
    std::unique_ptr<struct node> node;
    struct rpc_request request = {};
};

TEST_F(Linear, AReadOfAGroupThatIsAloneGoesToTheReadersWithoutMemory)
{
    fake.at.alone = true;
    mem_fail_nth(1);
    linear_submit(node.get(), &request);
    EXPECT_EQ(mem_fail_fired(), 0);
    mem_fail_nth(0);
    ASSERT_EQ(fake.read.size(), 1u);
    EXPECT_EQ(fake.read[0], &request);
    EXPECT_TRUE(fake.frames.empty());
}

TEST_F(Linear, WhoDoesNotLeadSaysWhoDoes)
{
    fake.at.term = 0;
    fake.leader = 2;
    linear_submit(node.get(), &request);
    EXPECT_TRUE(replied(ERR_NOT_LEADER, 2));
}

TEST_F(Linear, WhoIsElectedAndDoesNotServeYetNamesNobody)
{
    fake.at.term = 0;
    linear_submit(node.get(), &request);
    EXPECT_TRUE(replied(ERR_NOT_LEADER, 0));
}

TEST_F(Linear, AReadGoesToTheReadersWhenAMajorityHasAnswered)
{
    linear_submit(node.get(), &request);
    EXPECT_EQ(fake.frames.size(), 2u);
    EXPECT_TRUE(fake.read.empty());
    pong(5);
    ASSERT_EQ(fake.read.size(), 1u);
    EXPECT_EQ(fake.read[0], &request);
    EXPECT_TRUE(fake.replies.empty());
    EXPECT_EQ(node->reads_waiting, 0u);
}

TEST_F(Linear, AReadAtALeaderOfThePastIsRefusedWithTheHint)
{
    linear_submit(node.get(), &request);
    fake.leader = 3;
    pong(6);
    EXPECT_TRUE(replied(ERR_NOT_LEADER, 3));
}

TEST_F(Linear, ThePingOfAnotherIsAnswered)
{
    linear_submit(node.get(), &request);
    std::string ping = fake.frames.back();
    linear_frame(node.get(), {3}, slice_make(ping.data(), ping.size()));
    EXPECT_EQ(fake.frames.back()[0], READS_FRAME_PONG);
    linear_frame(node.get(), {3}, slice_make("", 0));
}

TEST_F(Linear, TheDeadlineIsTheRequests)
{
    linear_submit(node.get(), &request);
    linear_tick(node.get(), 4999);
    EXPECT_TRUE(fake.replies.empty());
    linear_tick(node.get(), 5000);
    EXPECT_TRUE(replied(ERR_UNAVAILABLE, 0));
}

TEST_F(Linear, WithoutPeersAReadWaitsInVainAndTheEndAnswersIt)
{
    node->peer_send = nullptr;
    linear_submit(node.get(), &request);
    EXPECT_TRUE(fake.replies.empty());
    linear_stop(node.get());
    EXPECT_TRUE(replied(ERR_UNAVAILABLE, 0));
    fake.replies.clear();
    linear_submit(node.get(), &request);
    EXPECT_TRUE(replied(ERR_UNAVAILABLE, 0));
}

TEST_F(Linear, WhatWaitsIsBounded)
{
    std::vector<struct rpc_request> many(8193, request);
    for (struct rpc_request &r : many) {
        linear_submit(node.get(), &r);
    }
    ASSERT_EQ(fake.replies.size(), 1u);
    EXPECT_EQ(fake.replies[0].status, ERR_OVERLOAD);
    linear_stop(node.get());
    EXPECT_EQ(fake.replies.size(), many.size());
    EXPECT_EQ(node->reads_waiting, 0u);
}

TEST_F(Linear, WithoutMemoryAReadIsRefused)
{
    mem_fail_nth(1);
    linear_submit(node.get(), &request);
    mem_fail_nth(0);
    EXPECT_TRUE(replied(ERR_NOMEM, 0));
    EXPECT_EQ(node->reads_waiting, 0u);
}

} // namespace
