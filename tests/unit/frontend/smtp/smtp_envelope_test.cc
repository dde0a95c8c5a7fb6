#include "frontend/smtp/smtp_envelope.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "proto/base/mem.h"

namespace
{

struct To {
    uint64_t account;
    uint32_t shard;
    const char *detail;
};

class SmtpEnvelope : public testing::Test
{
  protected:
    SmtpEnvelope()
    {
        arena_init(&memory, 4 << 20);
        e.arena = &memory;
        e.targets_max = 1000;
        e.reverse_path = const_cast<char *>("");
    }
    ~SmtpEnvelope() override
    {
        arena_fini(&memory);
    }
    err add(const std::string &address, const std::vector<To> &to)
    {
        Pb__ReadResolveResult r = PB__READ_RESOLVE_RESULT__INIT;
        std::vector<Pb__ResolvedTarget> rows(to.size());
        std::vector<Pb__ResolvedTarget *> pointers;
        for (size_t i = 0; i < to.size(); i++) {
            pb__resolved_target__init(&rows[i]);
            rows[i].account = to[i].account;
            rows[i].shard = to[i].shard;
            rows[i].detail = const_cast<char *>(to[i].detail);
            pointers.push_back(&rows[i]);
        }
        r.n_targets = pointers.size();
        r.targets = pointers.data();
        return smtp_envelope_add(&e, address.c_str(), &r, true);
    }
    /* "account[/mailbox] ... > shard: account ..." of a home's DELIVER */
    std::string plan(uint32_t home)
    {
        Pb__OpDeliver op = PB__OP_DELIVER__INIT;
        EXPECT_EQ(smtp_envelope_fill(&e, home, &memory, &op), OK);
        std::string s = row(op.recipients, op.n_recipients);
        for (size_t i = 0; i < op.n_handoffs; i++) {
            s += "> " + std::to_string(op.handoffs[i]->shard) + ": " +
                 row(op.handoffs[i]->recipients, op.handoffs[i]->n_recipients);
        }
        return s;
    }
    static std::string row(Pb__Recipient **r, size_t n)
    {
        std::string s;
        for (size_t i = 0; i < n; i++) {
            s += std::to_string(r[i]->account) + (r[i]->mailbox[0] != 0 ? std::string("/") + r[i]->mailbox : "") + " ";
        }
        return s;
    }
    arena memory;
    smtp_envelope e = {};
};

} // namespace

TEST_F(SmtpEnvelope, SmtpCommitsInTheFirstShardAndHandsTheRestOver)
{
    ASSERT_EQ(add("a", {{1, 10, ""}}), OK);
    ASSERT_EQ(add("b", {{2, 20, ""}}), OK);
    ASSERT_EQ(add("c", {{3, 10, "work"}}), OK);
    ASSERT_EQ(add("d", {{4, 20, ""}, {5, 30, ""}}), OK);
    ASSERT_EQ(e.n_homes, 1u);
    EXPECT_EQ(plan(0), "1 3/work > 20: 2 4 > 30: 5 ");
}

TEST_F(SmtpEnvelope, LmtpCommitsEachRecipientInItsOwnShard)
{
    e.per_rcpt = true;
    ASSERT_EQ(add("a", {{1, 10, ""}}), OK);
    ASSERT_EQ(add("b", {{2, 20, ""}}), OK);
    ASSERT_EQ(add("c", {{3, 10, ""}}), OK);
    ASSERT_EQ(add("list", {{4, 20, ""}, {5, 30, ""}, {1, 10, ""}}), OK);
    ASSERT_EQ(e.n_homes, 2u);
    EXPECT_EQ(plan(0), "1 3 ");
    EXPECT_EQ(plan(1), "2 4 > 30: 5 > 10: 1 ");
}

TEST_F(SmtpEnvelope, TheSameMailboxTwiceIsDeliveredOnce)
{
    ASSERT_EQ(add("a", {{1, 10, ""}}), OK);
    ASSERT_EQ(add("alias", {{1, 10, ""}, {2, 10, ""}, {2, 10, ""}}), OK);
    ASSERT_EQ(add("a+x", {{1, 10, "x"}}), OK);
    EXPECT_EQ(plan(0), "1 2 1/x ");
    EXPECT_EQ(e.n_rcpts, 3u);
}

TEST_F(SmtpEnvelope, TooManyTargetsLeaveItAsItWas)
{
    e.targets_max = 3;
    ASSERT_EQ(add("a", {{1, 10, ""}, {2, 10, ""}}), OK);
    EXPECT_EQ(add("b", {{3, 10, ""}, {4, 10, ""}}), ERR_LIMIT);
    EXPECT_EQ(plan(0), "1 2 ");
    EXPECT_EQ(add("c", {{5, 10, ""}}), OK);
    EXPECT_EQ(plan(0), "1 2 5 ");
    EXPECT_EQ(add("d", {{6, 10, ""}}), ERR_LIMIT);
}

TEST_F(SmtpEnvelope, OneShardTakesAsManyAsItsEntryDoes)
{
    uint64_t n = 0;
    while (add("a", {{n + 1, 10, ""}}) == OK) {
        n++;
    }
    EXPECT_EQ(n, (uint64_t)SMTP_HOME_TARGETS_MAX);
    EXPECT_EQ(add("b", {{5000, 20, ""}}), ERR_LIMIT) << "a handoff is a row of the same entry";
}

TEST_F(SmtpEnvelope, ManyShardsTakeMore)
{
    for (uint64_t i = 0; i < 1000; i++) {
        ASSERT_EQ(add("a", {{i + 1, 1 + (uint32_t)(i % 64), ""}}), OK) << i;
    }
    EXPECT_EQ(add("a", {{5000, 1, ""}}), ERR_LIMIT) << "targets_max";
}

TEST_F(SmtpEnvelope, RecipientRowsFitAnEntry)
{
    const std::string address(500, 'a');
    uint64_t n = 0;
    while (add(address, {{++n, (uint32_t)n % 20, ""}}) == OK) {
        ASSERT_LT(n, 1000u);
    }
    Pb__OpDeliver op = PB__OP_DELIVER__INIT;
    ASSERT_EQ(smtp_envelope_fill(&e, 0, &memory, &op), OK);
    EXPECT_LE(protobuf_c_message_get_packed_size(&op.base), (size_t)SMTP_TARGET_BYTES_MAX);
    EXPECT_GT(n, 100u);
}

TEST_F(SmtpEnvelope, OutcomesReachTheRecipientsTheyBelongTo)
{
    e.per_rcpt = true;
    ASSERT_EQ(add("a", {{1, 10, ""}}), OK);
    ASSERT_EQ(add("b", {{2, 20, ""}}), OK);
    ASSERT_EQ(add("c", {{3, 10, ""}}), OK);
    ASSERT_EQ(add("both", {{1, 10, ""}, {4, 10, ""}}), OK);
    Pb__DeliverStatus s[3] = {PB__DELIVER_STATUS__INIT, PB__DELIVER_STATUS__INIT, PB__DELIVER_STATUS__INIT};
    Pb__DeliverStatus *rows[3] = {&s[0], &s[1], &s[2]};
    s[1].err = ERR_NOTFOUND;
    s[2].err = ERR_QUOTA;
    Pb__OpDeliverResult result = PB__OP_DELIVER_RESULT__INIT;
    result.n_recipients = 3;
    result.recipients = rows;
    smtp_envelope_settle(&e, 0, OK, &result);
    smtp_envelope_settle(&e, 1, ERR_UNAVAILABLE, nullptr);
    EXPECT_EQ(smtp_envelope_rcpt_status(&e, &e.rcpts[0]), OK);
    EXPECT_EQ(smtp_envelope_rcpt_status(&e, &e.rcpts[1]), ERR_UNAVAILABLE);
    EXPECT_EQ(smtp_envelope_rcpt_status(&e, &e.rcpts[2]), ERR_NOTFOUND);
    EXPECT_EQ(smtp_envelope_rcpt_status(&e, &e.rcpts[3]), ERR_QUOTA) << "one copy failed: the alias is not done";
    EXPECT_EQ(smtp_envelope_status(&e), ERR_UNAVAILABLE) << "what may succeed later wins over what never will";
}

TEST_F(SmtpEnvelope, ATemporaryRefusalWinsInEitherOrder)
{
    ASSERT_EQ(add("a", {{1, 10, ""}}), OK);
    ASSERT_EQ(add("b", {{2, 10, ""}}), OK);
    e.targets[0].status = ERR_NOTFOUND;
    e.targets[1].status = ERR_QUOTA;
    EXPECT_EQ(smtp_envelope_status(&e), ERR_QUOTA);
    e.targets[0].status = ERR_QUOTA;
    e.targets[1].status = ERR_NOTFOUND;
    EXPECT_EQ(smtp_envelope_status(&e), ERR_QUOTA);
    e.targets[0].status = OK;
    EXPECT_EQ(smtp_envelope_status(&e), ERR_NOTFOUND);
}

TEST_F(SmtpEnvelope, AFailedAllocationChangesNothing)
{
    ASSERT_EQ(add("a", {{1, 10, ""}}), OK);
    for (uint64_t nth = 1; nth < 50; nth++) {
        mem_fail_nth(nth);
        std::vector<To> many;
        for (uint64_t i = 0; i < 900; i++) {
            many.push_back({100 + i, 20, "d"});
        }
        err err = add(std::string(5000, 'x'), many); /* too long in all: ERR_LIMIT unless memory ends first */
        bool fired = mem_fail_fired() != 0;
        mem_fail_nth(0);
        ASSERT_NE(err, OK);
        ASSERT_EQ(plan(0), "1 ");
        if (!fired) {
            return;
        }
    }
    FAIL() << "the loop never ended";
}
