#include "tests/unit/storage/apply/shard.h"

using namespace shard_test;

namespace
{

constexpr uint64_t kAlice = 11;
constexpr uint64_t kBob = 12;

class Deliver : public ::testing::Test
{
  protected:
    void SetUp() override
    {
        ASSERT_EQ(OK, s.create_account(kAlice));
        ASSERT_EQ(OK, s.create_account(kBob));
    }
    void TearDown() override
    {
        EXPECT_EQ("", s.check());
    }
    Shard s;
};

TEST_F(Deliver, puts_a_message_into_inbox_and_gives_back_its_bytes)
{
    Mail m = simple_mail(1);
    Result r = s.deliver({kAlice}, m);
    ASSERT_EQ(OK, r.error);
    ASSERT_EQ(OK, r.status);
    auto res = UNPACK(Pb__OpDeliverResult, pb__op_deliver_result, r);
    ASSERT_EQ(1u, res->n_recipients);
    EXPECT_EQ(0u, res->recipients[0]->err);
    EXPECT_EQ(1u, res->recipients[0]->uid);
    uint64_t inbox = s.mailbox_id(kAlice, "inbox");
    EXPECT_EQ(inbox, res->recipients[0]->mailbox);
    EXPECT_EQ(m.raw, s.body(kAlice, inbox, 1));
}

TEST_F(Deliver, stores_the_body_once_for_several_recipients_and_kills_it_with_the_last)
{
    Mail m = simple_mail(1);
    uint64_t at = s.index;
    ASSERT_EQ(OK, s.deliver({kAlice, kBob}, m).status);
    uint64_t a = s.mailbox_id(kAlice, "INBOX");
    uint64_t b = s.mailbox_id(kBob, "INBOX");
    EXPECT_EQ(m.raw, s.body(kBob, b, 1));
    EXPECT_EQ("", s.check());
    ASSERT_EQ(OK, s.expunge(kAlice, a, uids({1})).status);
    EXPECT_FALSE(s.body_dead(at));
    EXPECT_EQ("", s.check());
    ASSERT_EQ(OK, s.expunge(kBob, b, uids({1})).status);
    EXPECT_TRUE(s.body_dead(at));
}

TEST_F(Deliver, answers_each_recipient_and_delivers_to_those_it_can)
{
    ASSERT_EQ(OK, s.create_account(13, 10));
    Result r = s.deliver({kAlice, 99, 13}, simple_mail(1));
    ASSERT_EQ(OK, r.status);
    auto res = UNPACK(Pb__OpDeliverResult, pb__op_deliver_result, r);
    EXPECT_EQ(unsigned(OK), res->recipients[0]->err);
    EXPECT_EQ(unsigned(ERR_NOTFOUND), res->recipients[1]->err);
    EXPECT_EQ(unsigned(ERR_QUOTA), res->recipients[2]->err);
}

TEST_F(Deliver, answers_the_common_reason_when_nobody_gets_it_and_kills_the_body)
{
    uint64_t at = s.index;
    Result r = s.deliver({98, 99}, simple_mail(1));
    EXPECT_EQ(ERR_NOTFOUND, r.status);
    EXPECT_TRUE(r.bytes.empty());
    EXPECT_TRUE(s.body_dead(at));
    ASSERT_EQ(OK, s.create_account(13, 10));
    at = s.index;
    r = s.deliver({13, 99}, simple_mail(1));
    EXPECT_EQ(OK, r.status);
    auto res = UNPACK(Pb__OpDeliverResult, pb__op_deliver_result, r);
    EXPECT_EQ(2u, res->n_recipients);
    EXPECT_TRUE(s.body_dead(at));
}

TEST_F(Deliver, delivers_a_request_once_and_kills_the_second_body)
{
    Options o;
    o.request_id = "0123456789abcdef";
    Result first = s.deliver({kAlice}, simple_mail(1), o);
    uint64_t at = s.index;
    Result second = s.deliver({kAlice}, simple_mail(1), o);
    EXPECT_EQ(OK, second.status);
    EXPECT_EQ(first.bytes, second.bytes);
    EXPECT_TRUE(s.body_dead(at));
    Result r = s.select(kAlice, "INBOX");
    EXPECT_EQ(1u, UNPACK(Pb__ReadSelectResult, pb__read_select_result, r)->info->messages);
    bool done = false;
    std::string again;
    Pb__OpDeliver op = PB__OP_DELIVER__INIT;
    EXPECT_EQ(OK, s.precheck(METHOD_DELIVER, &op.base, kAlice, 0, o, &done, &again));
    EXPECT_TRUE(done);
    EXPECT_EQ(first.bytes, again.substr(4));
}

TEST_F(Deliver, a_refused_request_that_comes_late_is_refused_whatever_happened_since)
{
    Options o;
    o.request_id = "0123456789abcdef";
    o.account = 13;
    EXPECT_EQ(ERR_NOTFOUND, s.deliver({13}, simple_mail(1), o).status);
    ASSERT_EQ(OK, s.create_account(13, 10));
    EXPECT_EQ(ERR_NOTFOUND, s.deliver({13}, simple_mail(1), o).status);
    o.request_id = "123456789abcdef0";
    EXPECT_EQ(ERR_QUOTA, s.deliver({13}, simple_mail(1), o).status);
    Pb__OpQuotaSet q = PB__OP_QUOTA_SET__INIT;
    q.account = 13;
    ASSERT_EQ(OK, s.apply(METHOD_QUOTA_SET, &q.base, 13).status);
    EXPECT_EQ(ERR_QUOTA, s.deliver({13}, simple_mail(1), o).status);
    EXPECT_TRUE(s.body_dead(s.index - 1));
    Result r = s.select(13, "INBOX");
    EXPECT_EQ(0u, UNPACK(Pb__ReadSelectResult, pb__read_select_result, r)->info->messages);
    EXPECT_EQ(OK, s.deliver({13}, simple_mail(1)).status);
    EXPECT_EQ("", s.check());
}

TEST_F(Deliver, a_handoff_to_a_full_mailbox_may_come_again_until_there_is_room)
{
    Options o;
    o.request_id = "0123456789abcdef";
    o.handoff = true;
    ASSERT_EQ(OK, s.create_account(13, 10));
    EXPECT_EQ(ERR_QUOTA, s.deliver({13}, simple_mail(1), o).status);
    Pb__OpQuotaSet q = PB__OP_QUOTA_SET__INIT;
    q.account = 13;
    ASSERT_EQ(OK, s.apply(METHOD_QUOTA_SET, &q.base, 13).status);
    EXPECT_EQ(OK, s.deliver({13}, simple_mail(1), o).status);
    EXPECT_EQ(OK, s.deliver({13}, simple_mail(1), o).status);
    Result r = s.select(13, "INBOX");
    EXPECT_EQ(1u, UNPACK(Pb__ReadSelectResult, pb__read_select_result, r)->info->messages);
    o.request_id = "123456789abcdef0"; /* gone for good: no more tries */
    o.account = 14;
    EXPECT_EQ(ERR_NOTFOUND, s.deliver({14}, simple_mail(1), o).status);
    ASSERT_EQ(OK, s.create_account(14));
    EXPECT_EQ(ERR_NOTFOUND, s.deliver({14}, simple_mail(1), o).status);
}

TEST_F(Deliver, finds_the_record_of_a_delivery_made_before_the_account_of_its_head_was)
{
    Options o;
    o.request_id = "0123456789abcdef";
    o.account = 13;
    ASSERT_EQ(OK, s.deliver({13, kAlice}, simple_mail(1), o).status);
    ASSERT_EQ(OK, s.create_account(13));
    ASSERT_EQ(OK, s.deliver({13, kAlice}, simple_mail(1), o).status);
    Result r = s.select(kAlice, "INBOX");
    EXPECT_EQ(1u, UNPACK(Pb__ReadSelectResult, pb__read_select_result, r)->info->messages);
}

TEST_F(Deliver, to_the_same_account_twice_counts_twice)
{
    ASSERT_EQ(OK, s.deliver({kAlice, kAlice}, simple_mail(1)).status);
    Result r = s.select(kAlice, "INBOX");
    auto sel = UNPACK(Pb__ReadSelectResult, pb__read_select_result, r);
    EXPECT_EQ(2u, sel->info->messages);
    EXPECT_EQ((std::vector<uint32_t>{1, 2}), uid_list(str(sel->uids)));
}

TEST_F(Deliver, uses_the_mailbox_asked_for_or_inbox)
{
    ASSERT_EQ(OK, s.create(kAlice, "Lists/work").status);
    ASSERT_EQ(OK, s.deliver({kAlice}, simple_mail(1), {}, "Lists/work").status);
    ASSERT_EQ(OK, s.deliver({kAlice}, simple_mail(2), {}, "No/such").status);
    ASSERT_EQ(OK, s.deliver({kAlice}, simple_mail(3), {}, "bad//name").status);
    Result r = s.select(kAlice, "Lists/work");
    EXPECT_EQ(1u, UNPACK(Pb__ReadSelectResult, pb__read_select_result, r)->info->messages);
    r = s.select(kAlice, "INBOX");
    EXPECT_EQ(2u, UNPACK(Pb__ReadSelectResult, pb__read_select_result, r)->info->messages);
}

TEST_F(Deliver, refuses_records_and_bodies_that_do_not_fit)
{
    Mail good = simple_mail(1);
    Mail bad = good;
    bad.record = "nonsense";
    EXPECT_EQ(ERR_INVAL, s.deliver({kAlice}, bad).status);
    bad = good;
    bad.raw += "x";
    EXPECT_EQ(ERR_INVAL, s.deliver({kAlice}, bad).status);
    bad = good;
    bad.raw = "";
    EXPECT_EQ(ERR_INVAL, s.deliver({kAlice}, bad).status);
    EXPECT_EQ(ERR_INVAL, s.deliver({}, good).status);
    std::vector<uint64_t> many(OP_RECIPIENTS_MAX + 1, kAlice);
    EXPECT_EQ(ERR_LIMIT, s.deliver(many, good).status);
}

TEST_F(Deliver, threads_replies_with_what_they_answer)
{
    auto thread_of = [&](uint32_t uid) {
        Result r = s.fetch(kAlice, s.mailbox_id(kAlice, "INBOX"), uids({uid}), FETCH_COL_OBJECTID);
        return str(UNPACK(Pb__ReadFetchResult, pb__read_fetch_result, r)->objectid).substr(16);
    };
    Mail question = make_mail("Subject: plan\r\nMessage-ID: <q@x>\r\n\r\nx\r\n");
    Mail answer = make_mail("Subject: Re: plan\r\nMessage-ID: <a@x>\r\nIn-Reply-To: <q@x>\r\n\r\nx\r\n");
    Mail other = make_mail("Subject: lunch\r\nMessage-ID: <o@x>\r\nIn-Reply-To: <q@x>\r\n\r\nx\r\n");
    ASSERT_EQ(OK, s.deliver({kAlice}, answer).status);
    ASSERT_EQ(OK, s.deliver({kAlice}, question).status);
    ASSERT_EQ(OK, s.deliver({kAlice}, other).status);
    EXPECT_EQ(thread_of(1), thread_of(2));
    EXPECT_NE(thread_of(1), thread_of(3));
}

TEST_F(Deliver, hands_off_to_other_shards_with_a_reference_of_their_own)
{
    Mail m = simple_mail(1);
    Pb__OpDeliver op = PB__OP_DELIVER__INIT;
    Pb__BodySource body = PB__BODY_SOURCE__INIT;
    Pb__Recipient here = PB__RECIPIENT__INIT;
    Pb__Recipient there = PB__RECIPIENT__INIT;
    Pb__Handoff h = PB__HANDOFF__INIT;
    Pb__Recipient *hr[] = {&here};
    Pb__Recipient *tr[] = {&there};
    Pb__Handoff *hs[] = {&h};
    here.account = kAlice;
    there.account = 77;
    h.shard = 5;
    h.recipients = tr;
    h.n_recipients = 1;
    body.size = static_cast<uint32_t>(m.raw.size());
    op.recipients = hr;
    op.n_recipients = 1;
    op.body = &body;
    op.record = bin(m.record);
    op.reverse_path = const_cast<char *>("sender@example.org");
    op.handoffs = hs;
    op.n_handoffs = 1;
    uint64_t at = s.index;
    ASSERT_EQ(OK, s.apply(METHOD_DELIVER, &op.base, kAlice, m.raw).status);
    EXPECT_EQ("", s.check());
    ASSERT_EQ(OK, s.expunge(kAlice, s.mailbox_id(kAlice, "INBOX"), uids({1})).status);
    EXPECT_FALSE(s.body_dead(at));
    EXPECT_EQ("", s.check());

    struct kv_txn *t = nullptr;
    struct handoff_due due;
    struct buf packed_op;
    buf_init(&packed_op, 1 << 20);
    ASSERT_EQ(OK, kv_begin(s.kv, false, &t));
    ASSERT_EQ(OK, housekeeping_handoff_next(t, s.prefix, 0, {0}, &due, &packed_op));
    EXPECT_EQ(at, due.index);
    EXPECT_EQ(5u, due.to.v);
    EXPECT_EQ(m.raw.size(), due.body_bytes);
    EXPECT_EQ(ERR_NOTFOUND, housekeeping_handoff_next(t, s.prefix, due.index, due.to, &due, &packed_op));
    kv_abort(t);
    Pb__OpDeliver *forward = pb__op_deliver__unpack(nullptr, packed_op.len, buf_slice(&packed_op).p);
    ASSERT_NE(nullptr, forward);
    EXPECT_EQ(77u, forward->recipients[0]->account);
    EXPECT_TRUE(forward->handoff);
    EXPECT_EQ(m.record, str(forward->record));
    EXPECT_STREQ("sender@example.org", forward->reverse_path);
    pb__op_deliver__free_unpacked(forward, nullptr);
    buf_fini(&packed_op);
    struct u128 id1 = housekeeping_handoff_id({1}, at, {5});
    struct u128 id2 = housekeeping_handoff_id({1}, at, {6});
    EXPECT_FALSE(u128_eq(&id1, &id2));

    Pb__OpHandoffDone done = PB__OP_HANDOFF_DONE__INIT;
    done.index = at;
    done.shard = 5;
    ASSERT_EQ(OK, s.apply(METHOD_HANDOFF_DONE, &done.base, 0).status);
    EXPECT_TRUE(s.body_dead(at));
    ASSERT_EQ(OK, s.apply(METHOD_HANDOFF_DONE, &done.base, 0).status);
    ASSERT_EQ(OK, kv_begin(s.kv, false, &t));
    buf_init(&packed_op, 1 << 20);
    EXPECT_EQ(ERR_NOTFOUND, housekeeping_handoff_next(t, s.prefix, 0, {0}, &due, &packed_op));
    buf_fini(&packed_op);
    kv_abort(t);
}

TEST_F(Deliver, announces_what_changed_after_the_commit_only)
{
    (void)s.events();
    Options o;
    o.commit = false;
    (void)s.deliver({kAlice}, simple_mail(1), o);
    EXPECT_TRUE(s.events().empty());
    ASSERT_EQ(OK, s.deliver({kAlice, kBob}, simple_mail(1)).status);
    auto ev = s.events();
    ASSERT_EQ(2u, ev.size());
    EXPECT_EQ(kAlice, ev[0].account.v);
    EXPECT_EQ(s.mailbox_id(kAlice, "INBOX"), ev[0].mailbox.v);
    EXPECT_EQ(kBob, ev[1].account.v);
    EXPECT_EQ(2u, ev[1].modseq);
    EXPECT_TRUE(s.events().empty());
}

} // namespace
