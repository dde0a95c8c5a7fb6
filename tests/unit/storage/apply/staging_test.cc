#include "storage/apply/staging.h"

#include <functional>

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

    Result begin(uint32_t size, uint64_t account = kAlice, uint32_t expected = 0)
    {
        Pb__OpStageBegin op = PB__OP_STAGE_BEGIN__INIT;
        op.account = account;
        op.size = size;
        op.expected = expected;
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

    uint64_t reserve(uint32_t size, uint64_t account = kAlice)
    {
        Result r = begin(size, account);
        EXPECT_EQ(OK, r.status);
        return r.status != OK ? 0 : UNPACK(Pb__OpStageBeginResult, pb__op_stage_begin_result, r)->staged_index;
    }

    /* What the state machine says to a chunk of so many bytes, which is not stored. */
    enum err charge(uint64_t at, uint32_t bytes)
    {
        struct kv_txn *t = nullptr;
        EXPECT_EQ(OK, kv_begin(s.kv, true, &t));
        enum err e = s.bound.staged(s.bound.ctx, t, at, bytes);
        EXPECT_EQ(OK, kv_commit(t));
        return e;
    }

    enum err abort_upload(uint64_t at, uint64_t account = kAlice)
    {
        Pb__OpStageAbort op = PB__OP_STAGE_ABORT__INIT;
        op.account = account;
        op.staged_index = at;
        return s.apply(METHOD_STAGE_ABORT, &op.base, account).status;
    }

    void with_row(uint64_t account, const std::function<void(struct account_row *)> &change)
    {
        struct account_row a = {};
        struct store in = {};
        memcpy(in.prefix, s.prefix, sizeof(in.prefix));
        EXPECT_EQ(OK, kv_begin(s.kv, true, &in.t));
        enum err e = account_get(&in, {account}, &a);
        EXPECT_TRUE(e == OK || e == ERR_NOTFOUND);
        change(&a);
        EXPECT_EQ(OK, e == OK ? account_put(&in, {account}, &a) : OK);
        EXPECT_EQ(OK, kv_commit(in.t));
    }

    uint64_t staged_bytes(uint64_t account)
    {
        uint64_t n = 0;
        with_row(account, [&](struct account_row *a) { n = a->staged_bytes; });
        return n;
    }

    uint32_t uploads(uint64_t account)
    {
        uint32_t n = 0;
        with_row(account, [&](struct account_row *a) { n = a->uploads; });
        return n;
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

TEST_F(Staging, an_incomplete_body_is_refused_before_it_is_logged_and_when_it_is_applied)
{
    Result r = begin(static_cast<uint32_t>(mail.raw.size()));
    uint64_t at = UNPACK(Pb__OpStageBeginResult, pb__op_stage_begin_result, r)->staged_index;
    s.put_staged(at, mail.raw.substr(0, 10 * kUnit));
    Pb__BodySource body;
    Pb__OpAppend op = append_of(&body, at);
    bool done;
    EXPECT_EQ(ERR_INVAL, s.precheck(METHOD_APPEND, &op.base, kAlice, 0, {}, &done, nullptr));
    EXPECT_EQ(ERR_INVAL, s.apply(METHOD_APPEND, &op.base, kAlice).status);
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
    EXPECT_EQ(ERR_LIMIT, check_chunk(at, 4 * kUnit, 6 * kUnit + 6));
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

TEST_F(Staging, a_reservation_has_a_size_and_an_account_with_room)
{
    EXPECT_EQ(ERR_INVAL, begin(0).status);
    EXPECT_EQ(ERR_LIMIT, begin(STAGE_BODY_BYTES_MAX + 1).status);
    ASSERT_EQ(OK, s.create_account(13, 0, 1));
    EXPECT_EQ(OK, begin(5001, 13).status);
    ASSERT_EQ(OK, s.append(13, "INBOX", simple_mail(1)).status);
    EXPECT_EQ(ERR_QUOTA, begin(1, 13).status);
    EXPECT_EQ(ERR_NOTFOUND, begin(1, 99).status);
}

/* A client that declares nothing makes the frontend reserve the largest size there is. */
TEST_F(Staging, what_is_reserved_and_not_sent_takes_nobodys_room)
{
    for (int i = 0; i < 40; i++) {
        Result r = begin(STAGE_BODY_BYTES_MAX, 11 + i % 2, i < 20 ? STAGE_BODY_BYTES_MAX : 0);
        ASSERT_EQ(OK, r.status);
        uint64_t at = UNPACK(Pb__OpStageBeginResult, pb__op_stage_begin_result, r)->staged_index;
        s.put_staged(at, std::string(kUnit, 'a'));
    }
    EXPECT_EQ(20u * kUnit, staged_bytes(kAlice));
    EXPECT_EQ(40u * kUnit, staged_bytes(0));
    EXPECT_EQ(40u, uploads(0));
    uint64_t at = upload();
    Pb__BodySource body;
    Pb__OpAppend op = append_of(&body, at);
    EXPECT_EQ(OK, s.apply(METHOD_APPEND, &op.base, kAlice).status);
    EXPECT_EQ(20u * kUnit, staged_bytes(kAlice));
    EXPECT_EQ(20u, uploads(kAlice));
}

TEST_F(Staging, a_chunk_is_charged_once)
{
    uint64_t at = reserve(3 * kUnit);
    std::string one(kUnit, 'a');
    EXPECT_EQ(0u, staged_bytes(kAlice));
    for (int sent = 0; sent < 2; sent++) {
        EXPECT_EQ(OK, s.chunk(at, one, 0));
        EXPECT_EQ(kUnit, staged_bytes(kAlice));
    }
    EXPECT_EQ(OK, s.chunk(at, one, kUnit));
    EXPECT_EQ(2 * kUnit, staged_bytes(kAlice));
    EXPECT_EQ(2 * kUnit, staged_bytes(0));
    EXPECT_EQ(OK, abort_upload(at));
    EXPECT_EQ(ERR_NOTFOUND, s.chunk(at, one, 2 * kUnit));
    EXPECT_EQ(0u, staged_bytes(kAlice));
    EXPECT_EQ(0u, staged_bytes(0));
    EXPECT_EQ(0u, uploads(kAlice));
    EXPECT_EQ(0u, uploads(0));
}

TEST_F(Staging, a_reservation_is_an_upper_bound)
{
    uint64_t at = reserve(2 * kUnit);
    s.put_staged(at, std::string(kUnit, 'a'));
    auto before = s.state();
    EXPECT_EQ(ERR_LIMIT, check_chunk(at, kUnit, kUnit + 1));
    EXPECT_EQ(ERR_LIMIT, s.chunk(at, std::string(kUnit + 1, 'b'), kUnit));
    EXPECT_EQ(before, s.state());
    EXPECT_EQ(OK, s.chunk(at, std::string(kUnit, 'b'), kUnit));
}

TEST_F(Staging, an_account_and_a_shard_have_budgets)
{
    constexpr uint64_t most = STAGE_BODY_BYTES_MAX;
    std::vector<std::pair<uint64_t, uint64_t>> open;
    for (uint64_t used = 0; used < STAGE_SHARD_BYTES_MAX; used += most) {
        uint64_t account = 20 + used / STAGE_ACCOUNT_BYTES_MAX;
        if (used % STAGE_ACCOUNT_BYTES_MAX == 0) {
            ASSERT_EQ(OK, s.create_account(account));
        }
        open.push_back({reserve(most, account), account});
        ASSERT_EQ(OK, charge(open.back().first, most)) << used;
        if (used == most) {
            uint64_t at = reserve(most, account);
            EXPECT_EQ(ERR_LIMIT, charge(at, 1)) << "the account's is used up";
            EXPECT_EQ(ERR_LIMIT, check_chunk(at, 0, 1, account)) << "known before it is logged";
            EXPECT_EQ(OK, charge(at, 0)) << "nothing more is nothing";
            EXPECT_EQ(ERR_LIMIT, begin(10, account, 1).status) << "it would come for nothing";
            EXPECT_EQ(OK, abort_upload(at, account));
        }
    }
    uint64_t at = reserve(most);
    EXPECT_EQ(ERR_LIMIT, charge(at, 1)) << "the shard's is used up";
    EXPECT_EQ(ERR_LIMIT, check_chunk(at, 0, 1));
    EXPECT_EQ(ERR_LIMIT, begin(10, kAlice, 1).status);
    EXPECT_EQ(OK, abort_upload(open.back().first, open.back().second));
    EXPECT_EQ(OK, charge(at, most));
    open.back() = {at, kAlice};
    for (const auto &[index, account] : open) {
        EXPECT_EQ(OK, abort_upload(index, account));
    }
    EXPECT_EQ(0u, uploads(0));
    EXPECT_EQ(0u, staged_bytes(0));
}

TEST_F(Staging, reservations_are_counted)
{
    for (uint64_t account : {kAlice, uint64_t(0)}) {
        uint32_t before = uploads(account);
        uint32_t most = account == 0 ? STAGE_SHARD_UPLOADS_MAX : STAGE_ACCOUNT_UPLOADS_MAX;
        with_row(account, [&](struct account_row *a) { a->uploads = most - 1; });
        EXPECT_EQ(OK, begin(1).status);
        EXPECT_EQ(ERR_LIMIT, begin(1).status);
        EXPECT_EQ(account == 0 ? ERR_LIMIT : OK, begin(1, 12).status);
        with_row(account, [&](struct account_row *a) { a->uploads = before + 1; });
    }
}

/* Nothing of them is staged. */
TEST_F(Staging, empty_reservations_go_with_their_account)
{
    uint64_t at = reserve(1000);
    Pb__OpAccountRemove op = PB__OP_ACCOUNT_REMOVE__INIT;
    op.account = kAlice;
    ASSERT_EQ(OK, s.apply(METHOD_ACCOUNT_REMOVE, &op.base, kAlice).status);
    EXPECT_GT(s.purge_all(), 0);
    EXPECT_EQ(ERR_NOTFOUND, s.chunk(at, "late", 0));
    EXPECT_EQ(0u, uploads(0));
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
