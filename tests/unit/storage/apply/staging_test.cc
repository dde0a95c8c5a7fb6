#include "storage/apply/staging.h"

#include "storage/mailbox/row.h"
#include "tests/unit/storage/apply/shard.h"

using namespace shard_test;

namespace
{

constexpr uint64_t kAlice = 11;
constexpr uint32_t kUnit = REPL_BODY_CHUNK_DATA;

class Staging : public ::testing::Test
{
  protected:
    void SetUp() override
    {
        ASSERT_EQ(OK, s.create_account(kAlice));
        ASSERT_EQ(OK, s.create_account(12));
        mail = simple_mail(1, std::string(300000, 'x') + "\r\n");
    }
    void TearDown() override
    {
        EXPECT_EQ("", s.check());
    }

    Result begin(uint32_t size, uint64_t account = kAlice)
    {
        Pb__OpStageBegin op = PB__OP_STAGE_BEGIN__INIT;
        op.account = account;
        op.size = size;
        return s.apply(METHOD_STAGE_BEGIN, &op.base, account);
    }

    uint64_t upload()
    {
        Result r = begin(static_cast<uint32_t>(mail.raw.size()));
        EXPECT_EQ(OK, r.status);
        uint64_t at = UNPACK(Pb__OpStageBeginResult, pb__op_stage_begin_result, r)->staged_index;
        EXPECT_EQ(s.index - 1, at);
        s.put_staged(at, mail.raw);
        return at;
    }

    enum err check_chunk(uint64_t at, uint32_t offset, uint32_t bytes, uint64_t account = kAlice)
    {
        Pb__OpStageChunk op = PB__OP_STAGE_CHUNK__INIT;
        bool done;
        op.account = account;
        op.staged_index = at;
        op.offset = offset;
        return s.precheck(METHOD_STAGE_CHUNK, &op.base, account, bytes, {}, &done, nullptr);
    }

    Pb__OpAppend append_of(Pb__BodySource *body, uint64_t at)
    {
        Pb__OpAppend op = PB__OP_APPEND__INIT;
        pb__body_source__init(body);
        body->staged_index = at;
        body->size = static_cast<uint32_t>(mail.raw.size());
        op.account = kAlice;
        op.mailbox = const_cast<char *>("INBOX");
        op.body = body;
        op.record = bin(mail.record);
        return op;
    }

    uint64_t staged_bytes(uint64_t account)
    {
        for (const auto &row : s.state()) {
            if (row.first[0] == 'a' && row.first.size() == 10 && row.first[8] == char(account) && row.first[9] == 'A') {
                struct account_row a;
                memcpy(&a, row.second.data(), sizeof(a));
                return a.staged_bytes;
            }
        }
        return 0;
    }

    Shard s;
    Mail mail;
};

TEST_F(Staging, a_large_body_is_used_once)
{
    uint64_t at = upload();
    EXPECT_EQ(mail.raw.size(), staged_bytes(kAlice));
    EXPECT_EQ(mail.raw.size(), staged_bytes(0));
    Pb__BodySource body;
    Pb__OpAppend op = append_of(&body, at);
    bool done;
    EXPECT_EQ(OK, s.precheck(METHOD_APPEND, &op.base, kAlice, 0, {}, &done, nullptr));
    ASSERT_EQ(OK, s.apply(METHOD_APPEND, &op.base, kAlice).status);
    uint64_t inbox = s.mailbox_id(kAlice, "INBOX");
    EXPECT_EQ(mail.raw, s.body(kAlice, inbox, 1));
    EXPECT_EQ(0u, staged_bytes(kAlice));
    EXPECT_EQ(ERR_NOTFOUND, s.apply(METHOD_APPEND, &op.base, kAlice).status);
    ASSERT_EQ(OK, s.expunge(kAlice, inbox, uids({1})).status);
    EXPECT_TRUE(s.body_dead(at));
}

TEST_F(Staging, a_body_may_turn_out_smaller_than_its_reservation)
{
    Result r = begin(static_cast<uint32_t>(mail.raw.size()) + 100000);
    uint64_t at = UNPACK(Pb__OpStageBeginResult, pb__op_stage_begin_result, r)->staged_index;
    s.put_staged(at, mail.raw);
    Pb__BodySource body;
    Pb__OpAppend op = append_of(&body, at);
    bool done;
    EXPECT_EQ(OK, s.precheck(METHOD_APPEND, &op.base, kAlice, 0, {}, &done, nullptr));
    ASSERT_EQ(OK, s.apply(METHOD_APPEND, &op.base, kAlice).status);
    EXPECT_EQ(0u, staged_bytes(kAlice));
    EXPECT_EQ(0u, staged_bytes(0));
    EXPECT_EQ(mail.raw, s.body(kAlice, s.mailbox_id(kAlice, "INBOX"), 1));
}

TEST_F(Staging, a_delivery_to_several_uses_it_once)
{
    uint64_t at = upload();
    Pb__OpDeliver op = PB__OP_DELIVER__INIT;
    Pb__BodySource body = PB__BODY_SOURCE__INIT;
    Pb__Recipient r1 = PB__RECIPIENT__INIT;
    Pb__Recipient r2 = PB__RECIPIENT__INIT;
    Pb__Recipient *rs[] = {&r1, &r2};
    r1.account = 12;
    r2.account = kAlice;
    body.staged_index = at;
    body.size = static_cast<uint32_t>(mail.raw.size());
    op.recipients = rs;
    op.n_recipients = 2;
    op.body = &body;
    op.record = bin(mail.record);
    ASSERT_EQ(OK, s.apply(METHOD_DELIVER, &op.base, 12).status);
    EXPECT_EQ(mail.raw, s.body(12, s.mailbox_id(12, "INBOX"), 1));
    EXPECT_EQ(mail.raw, s.body(kAlice, s.mailbox_id(kAlice, "INBOX"), 1));
}

TEST_F(Staging, a_refused_use_leaves_the_reservation)
{
    uint64_t at = upload();
    Pb__BodySource body;
    Pb__OpAppend op = append_of(&body, at);
    op.mailbox = const_cast<char *>("nowhere");
    EXPECT_EQ(ERR_NOTFOUND, s.apply(METHOD_APPEND, &op.base, kAlice).status);
    op.mailbox = const_cast<char *>("INBOX");
    body.size++; /* more than was reserved */
    EXPECT_EQ(ERR_INVAL, s.apply(METHOD_APPEND, &op.base, kAlice).status);
    body.size--;
    EXPECT_EQ(ERR_INVAL, s.apply(METHOD_APPEND, &op.base, kAlice, "attached too").status);
    op.account = 12;
    EXPECT_EQ(ERR_NOTFOUND, s.apply(METHOD_APPEND, &op.base, 12).status);
    op.account = kAlice;
    EXPECT_EQ(OK, s.apply(METHOD_APPEND, &op.base, kAlice).status);
}

TEST_F(Staging, an_incomplete_body_is_refused_before_it_is_logged)
{
    Result r = begin(static_cast<uint32_t>(mail.raw.size()));
    uint64_t at = UNPACK(Pb__OpStageBeginResult, pb__op_stage_begin_result, r)->staged_index;
    s.put_staged(at, mail.raw.substr(0, 10 * kUnit));
    Pb__BodySource body;
    Pb__OpAppend op = append_of(&body, at);
    bool done;
    EXPECT_EQ(ERR_INVAL, s.precheck(METHOD_APPEND, &op.base, kAlice, 0, {}, &done, nullptr));
}

TEST_F(Staging, chunks_come_in_order_and_fill_rows)
{
    Result r = begin(10 * kUnit + 5);
    uint64_t at = UNPACK(Pb__OpStageBeginResult, pb__op_stage_begin_result, r)->staged_index;
    EXPECT_EQ(OK, check_chunk(at, 0, 4 * kUnit));
    EXPECT_EQ(ERR_INVAL, check_chunk(at, 0, 0));
    EXPECT_EQ(ERR_INVAL, check_chunk(at, 4 * kUnit, kUnit)); /* the one before is missing */
    s.put_staged(at, std::string(4 * kUnit, 'a'));
    EXPECT_EQ(OK, check_chunk(at, 4 * kUnit, kUnit));
    EXPECT_EQ(OK, check_chunk(at, 0, 4 * kUnit)); /* sent again */
    EXPECT_EQ(OK, check_chunk(at, 4 * kUnit, 6 * kUnit + 5));
    EXPECT_EQ(ERR_INVAL, check_chunk(at, 4 * kUnit, 6 * kUnit + 6));
    EXPECT_EQ(ERR_INVAL, check_chunk(at, 4 * kUnit + 1, kUnit));
    EXPECT_EQ(ERR_NOTFOUND, check_chunk(at, 0, kUnit, 12));
    EXPECT_EQ(ERR_NOTFOUND, check_chunk(at + 50, 0, kUnit));
}

TEST_F(Staging, aborting_kills_the_body)
{
    uint64_t at = upload();
    Pb__OpStageAbort op = PB__OP_STAGE_ABORT__INIT;
    op.account = 12;
    op.staged_index = at;
    EXPECT_EQ(ERR_NOTFOUND, s.apply(METHOD_STAGE_ABORT, &op.base, 12).status);
    op.account = kAlice;
    EXPECT_EQ(OK, s.apply(METHOD_STAGE_ABORT, &op.base, kAlice).status);
    EXPECT_TRUE(s.body_dead(at));
    EXPECT_EQ(0u, staged_bytes(kAlice));
    EXPECT_EQ(OK, s.apply(METHOD_STAGE_ABORT, &op.base, kAlice).status);
}

TEST_F(Staging, an_upload_that_nobody_uses_dies_after_an_hour)
{
    uint64_t at = upload();
    s.now_ms += STAGE_LIFETIME_MS / 2;
    s.purge_all();
    EXPECT_FALSE(s.body_dead(at));
    s.now_ms += STAGE_LIFETIME_MS;
    EXPECT_GT(s.purge_all(), 0);
    EXPECT_TRUE(s.body_dead(at));
    EXPECT_EQ(0u, staged_bytes(kAlice));
    EXPECT_EQ(0u, staged_bytes(0));
}

TEST_F(Staging, has_budgets)
{
    EXPECT_EQ(ERR_INVAL, begin(0).status);
    EXPECT_EQ(ERR_LIMIT, begin(STAGE_BODY_BYTES_MAX + 1).status);
    EXPECT_EQ(OK, begin(STAGE_BODY_BYTES_MAX).status);
    EXPECT_EQ(OK, begin(STAGE_BODY_BYTES_MAX).status);
    EXPECT_EQ(ERR_LIMIT, begin(1).status);
    EXPECT_EQ(OK, begin(1000, 12).status);
    ASSERT_EQ(OK, s.create_account(13, 0, 1));
    EXPECT_EQ(OK, begin(5001, 13).status);
    ASSERT_EQ(OK, s.append(13, "INBOX", simple_mail(1)).status);
    EXPECT_EQ(ERR_QUOTA, begin(1, 13).status);
    EXPECT_EQ(ERR_NOTFOUND, begin(1, 99).status);
}

TEST_F(Staging, requests_too_old_or_with_a_body_they_do_not_take_are_refused_early)
{
    Pb__OpMailboxCreate op = PB__OP_MAILBOX_CREATE__INIT;
    bool done;
    op.account = kAlice;
    op.name = const_cast<char *>("x");
    EXPECT_EQ(ERR_INVAL, s.precheck(METHOD_MAILBOX_CREATE, &op.base, kAlice, 10, {}, &done, nullptr));
    struct kv_txn *t = nullptr;
    struct entry_head h = s.head_of(METHOD_MAILBOX_CREATE, kAlice, {});
    bool grows;
    struct buf out;
    std::string bytes = packed(&op.base);
    buf_init(&out, 1000);
    ASSERT_EQ(OK, kv_begin(s.kv, false, &t));
    h.issue_ms = h.entry_ms - 300001;
    EXPECT_EQ(ERR_EXPIRED,
              storage_precheck(t, s.prefix, &h, slice_make(bytes.data(), bytes.size()), 0, &grows, &done, &out));
    h.issue_ms = h.entry_ms + 300000;
    EXPECT_EQ(OK, storage_precheck(t, s.prefix, &h, slice_make(bytes.data(), bytes.size()), 0, &grows, &done, &out));
    EXPECT_TRUE(grows);
    kv_abort(t);
    buf_fini(&out);
}

} // namespace
