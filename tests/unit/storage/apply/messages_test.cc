#include <algorithm>

#include "tests/unit/storage/apply/shard.h"

using namespace shard_test;

namespace
{

constexpr uint64_t kAlice = 11;

class Messages : public ::testing::Test
{
  protected:
    void SetUp() override
    {
        ASSERT_EQ(OK, s.create_account(kAlice));
        inbox = s.mailbox_id(kAlice, "INBOX");
    }
    void TearDown() override
    {
        EXPECT_EQ("", s.check());
    }

    void fill(int n)
    {
        for (int i = 1; i <= n; i++) {
            ASSERT_EQ(OK, s.append(kAlice, "INBOX", simple_mail(i)).status);
        }
    }

    /* 2^k times as many messages by copying the mailbox into itself. */
    void fill_large(uint32_t n)
    {
        ASSERT_EQ(OK, s.append(kAlice, "INBOX", simple_mail(1)).status);
        for (uint32_t have = 1; have < n;) {
            uint32_t add = std::min<uint32_t>({have, 1000, n - have});
            ASSERT_EQ(OK, s.copy(kAlice, inbox, uid_range(1, add), "INBOX").status);
            have += add;
        }
    }

    uint32_t count(const std::string &name)
    {
        Result r = s.select(kAlice, name);
        EXPECT_EQ(OK, r.status);
        return UNPACK(Pb__ReadSelectResult, pb__read_select_result, r)->info->messages;
    }

    Shard s;
    uint64_t inbox = 0;
};

TEST_F(Messages, append_answers_place_and_id)
{
    Result r = s.append(kAlice, "INBOX", simple_mail(1), FLAG_SEEN, {"$Label1", "$label1", "Other"});
    ASSERT_EQ(OK, r.status);
    auto a = UNPACK(Pb__OpAppendResult, pb__op_append_result, r);
    EXPECT_EQ(1u, a->uid);
    EXPECT_EQ(inbox, a->mailbox);
    EXPECT_EQ(16u, a->email_objectid.len);
    r = s.select(kAlice, "INBOX");
    auto sel = UNPACK(Pb__ReadSelectResult, pb__read_select_result, r);
    ASSERT_EQ(2u, sel->n_keywords); /* the same name in another case is the same keyword */
    EXPECT_STREQ("$Label1", sel->keywords[0]);
    EXPECT_EQ(ERR_NOTFOUND, s.append(kAlice, "nowhere", simple_mail(1)).status);
    EXPECT_EQ(ERR_NOTFOUND, s.append(99, "INBOX", simple_mail(1)).status);
    EXPECT_EQ(ERR_INVAL, s.append(kAlice, "INBOX", simple_mail(1), 0, {"two words"}).status);
    EXPECT_EQ(ERR_INVAL, s.append(kAlice, "INBOX", simple_mail(1), 0, {""}).status);
    Options o;
    o.account = 12; /* the head is about another account */
    EXPECT_EQ(ERR_INVAL, s.append(kAlice, "INBOX", simple_mail(1), 0, {}, o).status);
}

TEST_F(Messages, append_keeps_the_date_it_is_given)
{
    Mail m = simple_mail(1);
    Pb__OpAppend op = PB__OP_APPEND__INIT;
    Pb__BodySource body = PB__BODY_SOURCE__INIT;
    body.size = static_cast<uint32_t>(m.raw.size());
    op.account = kAlice;
    op.mailbox = const_cast<char *>("INBOX");
    op.body = &body;
    op.record = bin(m.record);
    op.internal_s = -77;
    ASSERT_EQ(OK, s.apply(METHOD_APPEND, &op.base, kAlice, m.raw).status);
    Result r = s.fetch(kAlice, inbox, uids({1}), FETCH_COL_INTERNAL | FETCH_COL_SAVED);
    auto f = UNPACK(Pb__ReadFetchResult, pb__read_fetch_result, r);
    EXPECT_EQ(-77, column<int64_t>(f->internal_s)[0]);
    EXPECT_EQ(1700000000, column<int64_t>(f->save_s)[0]);
}

TEST_F(Messages, quota_counts_every_copy_and_is_decided_here)
{
    size_t size = simple_mail(1).raw.size();
    ASSERT_EQ(OK, s.create_account(12, size * 3, 0));
    ASSERT_EQ(OK, s.create_account(13, 0, 2));
    uint64_t box = s.mailbox_id(12, "INBOX");
    ASSERT_EQ(OK, s.append(12, "INBOX", simple_mail(1)).status);
    ASSERT_EQ(OK, s.copy(12, box, uids({1}), "Sent").status);
    ASSERT_EQ(OK, s.deliver({12}, simple_mail(2)).status);
    EXPECT_EQ(ERR_QUOTA, s.deliver({12}, simple_mail(3)).status);
    EXPECT_EQ(ERR_QUOTA, s.copy(12, box, uids({1}), "Sent").status);
    EXPECT_EQ(OK, s.copy(12, box, uids({77}), "Sent").status); /* of nothing */
    EXPECT_EQ(OK, s.move(12, box, uids({1}), "Trash").status);
    EXPECT_EQ(ERR_QUOTA, s.append(12, "INBOX", simple_mail(3)).status);
    ASSERT_EQ(OK, s.expunge(12, box, uids({2})).status);
    EXPECT_EQ(OK, s.append(12, "INBOX", simple_mail(3)).status);
    ASSERT_EQ(OK, s.deliver({13}, simple_mail(1)).status);
    ASSERT_EQ(OK, s.deliver({13}, simple_mail(2)).status);
    EXPECT_EQ(ERR_QUOTA, s.deliver({13}, simple_mail(3)).status);
    Pb__OpQuotaSet q = PB__OP_QUOTA_SET__INIT;
    q.account = 13;
    q.quota_messages = 3;
    ASSERT_EQ(OK, s.apply(METHOD_QUOTA_SET, &q.base, 13).status);
    EXPECT_EQ(OK, s.deliver({13}, simple_mail(3)).status);
    q.account = 99;
    EXPECT_EQ(ERR_NOTFOUND, s.apply(METHOD_QUOTA_SET, &q.base, 99).status);
}

TEST_F(Messages, store_answers_every_row_and_steps_modseq_once)
{
    fill(3);
    Result r = s.store(kAlice, inbox, uid_range(1, 9), 1, FLAG_SEEN, {"$A"});
    auto a = UNPACK(Pb__OpStoreResult, pb__op_store_result, r);
    EXPECT_EQ((std::vector<uint32_t>{1, 2, 3}), uid_list(str(a->changed_uids)));
    auto modseqs = column<uint64_t>(a->modseqs);
    EXPECT_EQ((std::vector<uint64_t>{a->modseq, a->modseq, a->modseq}), modseqs);
    EXPECT_EQ(FLAG_SEEN | 1u << 8, column<uint64_t>(a->flags)[0]);
    ASSERT_EQ(1u, a->n_keywords);
    uint64_t before = a->modseq;
    r = s.store(kAlice, inbox, uids({2}), 1, FLAG_SEEN, {"$a"});
    auto same = UNPACK(Pb__OpStoreResult, pb__op_store_result, r);
    EXPECT_EQ(before, column<uint64_t>(same->modseqs)[0]); /* nothing changed: the row keeps its MODSEQ */
    r = s.store(kAlice, inbox, uids({2}), 2, FLAG_SEEN, {"unknown"});
    auto off = UNPACK(Pb__OpStoreResult, pb__op_store_result, r);
    EXPECT_EQ(before + 1, off->modseq);
    EXPECT_EQ(1u, off->n_keywords);
    EXPECT_EQ(ERR_NOTFOUND, s.store(kAlice, 999, uids({1}), 0, 0).status);
    EXPECT_EQ(ERR_INVAL, s.store(kAlice, inbox, "junk\xff", 0, 0).status);
    EXPECT_EQ(ERR_INVAL, s.store(kAlice, inbox, uids({1}), 9, 0).status);
}

TEST_F(Messages, store_unchangedsince_leaves_out_what_changed)
{
    fill(3);
    Result r = s.store(kAlice, inbox, uids({2}), 1, FLAG_SEEN);
    uint64_t at = UNPACK(Pb__OpStoreResult, pb__op_store_result, r)->modseq;
    r = s.store(kAlice, inbox, uid_range(1, 3), 1, FLAG_FLAGGED, {}, static_cast<int64_t>(at - 1));
    auto a = UNPACK(Pb__OpStoreResult, pb__op_store_result, r);
    EXPECT_EQ((std::vector<uint32_t>{2}), uid_list(str(a->modified_uids)));
    EXPECT_EQ((std::vector<uint32_t>{1, 3}), uid_list(str(a->changed_uids)));
    r = s.store(kAlice, inbox, uid_range(1, 3), 1, FLAG_DRAFT, {}, 0);
    auto none = UNPACK(Pb__OpStoreResult, pb__op_store_result, r);
    EXPECT_EQ(3u, uid_list(str(none->modified_uids)).size());
    EXPECT_EQ(0u, uid_list(str(none->changed_uids)).size());
}

TEST_F(Messages, store_is_done_once_and_answers_the_same_again)
{
    fill(1);
    Options o;
    o.request_id = "0123456789abcdef";
    Result first = s.store(kAlice, inbox, uids({1}), 0, FLAG_SEEN, {"$A"}, -1, o);
    ASSERT_EQ(OK, s.store(kAlice, inbox, uids({1}), 0, 0).status);
    Result again = s.store(kAlice, inbox, uids({1}), 0, FLAG_SEEN, {"$A"}, -1, o);
    EXPECT_EQ(first.bytes, again.bytes);
    Result r = s.fetch(kAlice, inbox, uids({1}), FETCH_COL_FLAGS);
    EXPECT_EQ(0u, column<uint64_t>(UNPACK(Pb__ReadFetchResult, pb__read_fetch_result, r)->flags)[0]);
}

TEST_F(Messages, a_store_that_found_nothing_to_do_finds_nothing_when_it_comes_late)
{
    fill(1);
    Options o;
    o.request_id = "0123456789abcdef";
    ASSERT_EQ(OK, s.store(kAlice, inbox, uids({1}), 1, FLAG_SEEN).status);
    Result first = s.store(kAlice, inbox, uids({1}), 1, FLAG_SEEN, {}, -1, o);
    ASSERT_EQ(OK, first.status);
    ASSERT_EQ(OK, s.store(kAlice, inbox, uids({1}), 2, FLAG_SEEN).status);
    EXPECT_EQ(first.bytes, s.store(kAlice, inbox, uids({1}), 1, FLAG_SEEN, {}, -1, o).bytes);
    Result r = s.fetch(kAlice, inbox, uids({1}), FETCH_COL_FLAGS);
    EXPECT_EQ(0u, column<uint64_t>(UNPACK(Pb__ReadFetchResult, pb__read_fetch_result, r)->flags)[0]);
}

TEST_F(Messages, an_expunge_of_nothing_and_a_refused_create_stay_what_they_were)
{
    fill(1);
    Options o;
    o.request_id = "0123456789abcdef";
    Result first = s.expunge(kAlice, inbox, uids({1}), true, 0, o);
    ASSERT_EQ(OK, first.status);
    ASSERT_EQ(OK, s.store(kAlice, inbox, uids({1}), 1, FLAG_DELETED).status);
    EXPECT_EQ(first.bytes, s.expunge(kAlice, inbox, uids({1}), true, 0, o).bytes);
    EXPECT_EQ(1u, count("INBOX"));
    o.request_id = "123456789abcdef0";
    ASSERT_EQ(OK, s.create(kAlice, "Work").status);
    ASSERT_EQ(ERR_EXISTS, s.create(kAlice, "Work", o).status);
    ASSERT_EQ(OK, s.remove(kAlice, "Work").status);
    EXPECT_EQ(ERR_EXISTS, s.create(kAlice, "Work", o).status);
    EXPECT_EQ(OK, s.create(kAlice, "Work").status) << "it is not there";
}

TEST_F(Messages, a_request_that_changes_nothing_writes_its_record_alone)
{
    fill(1);
    ASSERT_EQ(OK, s.store(kAlice, inbox, uids({1}), 1, FLAG_SEEN).status);
    auto before = s.state();
    ASSERT_EQ(OK, s.store(kAlice, inbox, uids({1}), 1, FLAG_SEEN).status);
    ASSERT_EQ(ERR_EXISTS, s.create(kAlice, "INBOX").status);
    auto after = s.state();
    EXPECT_EQ(before.size() + 2, after.size());
    for (const auto &row : after) {
        auto it = before.find(row.first);
        bool record = row.first[0] == 'a' && row.first[9] == 'D';
        EXPECT_TRUE((it == before.end() && record) || (it != before.end() && it->second == row.second));
    }
    EXPECT_EQ("", s.check());
}

TEST_F(Messages, a_result_larger_than_a_row_is_recorded_too)
{
    fill_large(1000);
    Options o;
    o.request_id = "0123456789abcdef";
    Result first = s.store(kAlice, inbox, uid_range(1, 1000), 0, FLAG_SEEN, {}, -1, o);
    ASSERT_EQ(OK, first.status);
    ASSERT_GT(first.bytes.size(), 16000u);
    EXPECT_EQ(first.bytes, s.store(kAlice, inbox, uid_range(1, 1000), 0, FLAG_SEEN, {}, -1, o).bytes);
}

TEST_F(Messages, dedupe_records_go_when_they_are_old)
{
    Options o;
    o.request_id = "0123456789abcdef";
    ASSERT_EQ(OK, s.deliver({kAlice}, simple_mail(1), o).status);
    s.now_ms += 600000;
    ASSERT_EQ(OK, s.deliver({kAlice}, simple_mail(1), o).status);
    EXPECT_EQ(1u, count("INBOX"));
    s.now_ms += 1300000;
    uint64_t account;
    uint64_t mailbox;
    ASSERT_TRUE(s.purge_due(&account, &mailbox)); /* of account 0: how the account came to be */
    s.purge_all();
    for (const auto &row : s.state()) {
        EXPECT_FALSE(row.first[0] == 'a' && row.first[9] == 'D');
    }
    EXPECT_EQ("", s.check());
    ASSERT_EQ(OK, s.deliver({kAlice}, simple_mail(1), o).status);
    EXPECT_EQ(2u, count("INBOX"));
}

TEST_F(Messages, a_busy_account_drops_its_old_dedupe_records_in_passing)
{
    for (int round = 0; round < 40; round++) {
        ASSERT_EQ(OK, s.append(kAlice, "INBOX", simple_mail(round)).status);
        s.now_ms += 120000;
    }
    int records = 0;
    for (const auto &row : s.state()) {
        records += row.first[0] == 'a' && row.first[8] == char(kAlice) && row.first[9] == 'D';
    }
    EXPECT_LE(records, 14);
    EXPECT_GE(records, 7);
}

TEST_F(Messages, a_request_is_known_across_leaders_whose_clocks_differ)
{
    Options o;
    o.request_id = "0123456789abcdef";
    ASSERT_EQ(OK, s.deliver({kAlice}, simple_mail(1), o).status);
    s.now_ms -= 540000; /* the new leader is nine minutes behind */
    ASSERT_EQ(OK, s.deliver({kAlice}, simple_mail(1), o).status);
    EXPECT_EQ(1u, count("INBOX"));
}

TEST_F(Messages, expunge_takes_only_deleted_when_asked)
{
    fill(4);
    ASSERT_EQ(OK, s.store(kAlice, inbox, uids({2, 3}), 1, FLAG_DELETED).status);
    Result r = s.expunge(kAlice, inbox, uid_range(1, 3), true);
    EXPECT_EQ((std::vector<uint32_t>{2, 3}),
              uid_list(str(UNPACK(Pb__OpExpungeResult, pb__op_expunge_result, r)->uids)));
    enum err status = OK;
    (void)s.body(kAlice, inbox, 2, &status);
    EXPECT_EQ(ERR_EXPUNGED, status);
    EXPECT_EQ(2u, count("INBOX"));
}

TEST_F(Messages, a_pop3_expunge_counts_under_its_own_term_only)
{
    fill(2);
    EXPECT_EQ(ERR_STALE, s.expunge(kAlice, inbox, uids({1}), false, s.term + 1).status);
    EXPECT_EQ(OK, s.expunge(kAlice, inbox, uids({1}), false, s.term).status);
    EXPECT_EQ(1u, count("INBOX"));
}

TEST_F(Messages, more_than_a_thousand_are_refused_whole)
{
    fill_large(1001);
    EXPECT_EQ(ERR_LIMIT, s.store(kAlice, inbox, uid_range(1, 2000), 1, FLAG_SEEN).status);
    EXPECT_EQ(ERR_LIMIT, s.expunge(kAlice, inbox, uid_range(1, 2000)).status);
    EXPECT_EQ(ERR_LIMIT, s.move(kAlice, inbox, uid_range(1, 2000), "Sent").status);
    EXPECT_EQ(OK, s.store(kAlice, inbox, uid_range(2, 2000), 1, FLAG_SEEN).status);
    EXPECT_EQ(OK, s.expunge(kAlice, inbox, uid_range(1, 1000)).status);
    EXPECT_EQ(1u, count("INBOX"));
    std::string many; /* over 1,000 runs */
    std::vector<uint32_t> list;
    for (uint32_t i = 0; i < 1001; i++) {
        list.push_back(1 + 2 * i);
    }
    EXPECT_EQ(ERR_LIMIT, s.store(kAlice, inbox, uids(list), 1, FLAG_SEEN).status);
}

TEST_F(Messages, expunge_history_in_many_runs_survives_and_is_pruned)
{
    fill_large(2000);
    std::vector<uint32_t> odd;
    for (uint32_t i = 1; i < 2000; i += 2) {
        odd.push_back(i);
    }
    Result sel = s.select(kAlice, "INBOX");
    uint64_t since = UNPACK(Pb__ReadSelectResult, pb__read_select_result, sel)->info->highestmodseq;
    ASSERT_EQ(OK, s.expunge(kAlice, inbox, uids(odd)).status);
    EXPECT_EQ("", s.check());
    Result r = s.sync(kAlice, inbox, since);
    EXPECT_EQ(odd, uid_list(str(UNPACK(Pb__ReadSyncResult, pb__read_sync_result, r)->vanished)));
    /* One row an expunge: until the bound is passed. */
    ASSERT_EQ(OK, s.create(kAlice, "churn").status);
    uint64_t churn = s.mailbox_id(kAlice, "churn");
    for (uint32_t uid = 1; uid <= 4200; uid++) {
        ASSERT_EQ(OK, s.copy(kAlice, inbox, uids({2}), "churn").status);
        ASSERT_EQ(OK, s.expunge(kAlice, churn, uids({uid})).status);
    }
    EXPECT_EQ("", s.check());
    sel = s.select(kAlice, "churn");
    uint64_t now = UNPACK(Pb__ReadSelectResult, pb__read_select_result, sel)->info->highestmodseq;
    r = s.sync(kAlice, churn, now - 8300);
    EXPECT_TRUE(UNPACK(Pb__ReadSyncResult, pb__read_sync_result, r)->full);
    r = s.sync(kAlice, churn, now - 8000);
    auto y = UNPACK(Pb__ReadSyncResult, pb__read_sync_result, r);
    EXPECT_FALSE(y->full);
    EXPECT_EQ(4000u, uid_list(str(y->vanished)).size());
    Pb__ReadVanished q = PB__READ_VANISHED__INIT;
    q.account = kAlice;
    q.mailbox = churn;
    q.since = 1;
    r = s.read(METHOD_VANISHED, &q.base);
    EXPECT_EQ(4200u, uid_list(str(UNPACK(Pb__ReadVanishedResult, pb__read_vanished_result, r)->vanished)).size());
    std::string known = uids({3, 4, 9999});
    q.known = bin(known);
    r = s.read(METHOD_VANISHED, &q.base);
    EXPECT_EQ((std::vector<uint32_t>{3, 4}),
              uid_list(str(UNPACK(Pb__ReadVanishedResult, pb__read_vanished_result, r)->vanished)));
}

TEST_F(Messages, copy_carries_keywords_by_name_and_date_but_not_recent)
{
    ASSERT_EQ(OK, s.append(kAlice, "Sent", simple_mail(1), 0, {"x", "y"}).status);
    ASSERT_EQ(OK, s.append(kAlice, "INBOX", simple_mail(2), FLAG_SEEN, {"y", "z"}).status);
    Result r = s.copy(kAlice, inbox, uids({1}), "Sent");
    ASSERT_EQ(OK, r.status);
    auto c = UNPACK(Pb__OpCopyResult, pb__op_copy_result, r);
    EXPECT_EQ((std::vector<uint32_t>{2}), uid_list(str(c->dest_uids)));
    uint64_t sent = s.mailbox_id(kAlice, "Sent");
    r = s.fetch(kAlice, sent, uids({2}), FETCH_COL_FLAGS | FETCH_COL_OBJECTID);
    auto f = UNPACK(Pb__ReadFetchResult, pb__read_fetch_result, r);
    ASSERT_EQ(3u, f->n_keywords);
    EXPECT_STREQ("z", f->keywords[2]);
    EXPECT_EQ(FLAG_SEEN | 1u << 9 | 1u << 10, column<uint64_t>(f->flags)[0]);
    Result r0 = s.fetch(kAlice, inbox, uids({1}), FETCH_COL_OBJECTID);
    EXPECT_EQ(str(f->objectid), str(UNPACK(Pb__ReadFetchResult, pb__read_fetch_result, r0)->objectid));
    EXPECT_EQ(ERR_NOTFOUND, s.copy(kAlice, inbox, uids({1}), "nowhere").status);
    EXPECT_EQ(ERR_STALE, s.copy(kAlice, 999, uids({1}), "Sent").status);
}

TEST_F(Messages, keywords_have_a_bound)
{
    std::vector<std::string> k;
    for (int i = 0; i < 200; i++) {
        k.push_back("k" + std::to_string(i));
    }
    ASSERT_EQ(OK, s.append(kAlice, "INBOX", simple_mail(1), 0, k).status);
    EXPECT_EQ("", s.check());
    EXPECT_EQ(ERR_LIMIT,
              s.append(kAlice, "INBOX", simple_mail(2), 0, {"one more"}).status == ERR_INVAL ? ERR_LIMIT : OK);
    EXPECT_EQ(ERR_LIMIT, s.append(kAlice, "INBOX", simple_mail(2), 0, {"onemore"}).status);
    EXPECT_EQ(ERR_LIMIT, s.store(kAlice, inbox, uids({1}), 1, 0, {"onemore"}).status);
    EXPECT_EQ(OK, s.store(kAlice, inbox, uids({1}), 2, 0, {"onemore", "k199"}).status);
    ASSERT_EQ(OK, s.append(kAlice, "Sent", simple_mail(3), 0, {"onemore"}).status);
    EXPECT_EQ(ERR_LIMIT, s.move(kAlice, s.mailbox_id(kAlice, "Sent"), uids({1}), "INBOX").status);
    EXPECT_EQ(OK, s.copy(kAlice, inbox, uids({1}), "Archive").status);
    Result r = s.fetch(kAlice, inbox, uids({1}), FETCH_COL_FLAGS);
    auto f = UNPACK(Pb__ReadFetchResult, pb__read_fetch_result, r);
    ASSERT_EQ(24u, f->overflow.len);
    EXPECT_EQ(0xff, f->overflow.data[0]);
    EXPECT_EQ(0u, f->overflow.data[18] & 1); /* k199 is off */
}

TEST_F(Messages, a_copy_in_steps_counts_with_its_last)
{
    fill_large(1500);
    std::string id(16, 'i');
    ASSERT_EQ(OK, s.copy(kAlice, inbox, uid_range(1, 1000), "Sent", id).status);
    EXPECT_EQ("", s.check());
    ASSERT_EQ(OK, s.copy(kAlice, inbox, uid_range(1001, 1500), "Sent", id, true).status);
    EXPECT_EQ(1500u, count("Sent"));
    s.now_ms += 3600000;
    s.purge_all();
    EXPECT_EQ(1500u, count("Sent"));
    EXPECT_EQ(ERR_INVAL, s.copy(kAlice, inbox, uids({1}), "Sent", "short").status);
    EXPECT_EQ(ERR_INVAL, s.copy(kAlice, inbox, uids({1}), "Sent", "", false, true).status);
}

TEST_F(Messages, a_copy_that_fails_is_taken_back)
{
    fill_large(1500);
    ASSERT_EQ(OK, s.append(kAlice, "Sent", simple_mail(7)).status);
    std::string id(16, 'i');
    ASSERT_EQ(OK, s.copy(kAlice, inbox, uid_range(1, 1000), "Sent", id).status);
    ASSERT_EQ(OK, s.copy(kAlice, inbox, uid_range(1, 500), "Sent", id).status);
    ASSERT_EQ(OK, s.deliver({kAlice}, simple_mail(9), {}, "Sent").status); /* somebody else's, behind them */
    Result r = s.copy(kAlice, inbox, "", "Sent", id, false, true);
    ASSERT_EQ(OK, r.status);
    EXPECT_EQ(1000u, uid_list(str(UNPACK(Pb__OpCopyResult, pb__op_copy_result, r)->dest_uids)).size());
    EXPECT_EQ(ERR_STALE, s.copy(kAlice, inbox, uids({1}), "Sent", id).status);
    EXPECT_EQ(ERR_STALE, s.copy(kAlice, inbox, uids({1}), "Sent", id, true).status);
    EXPECT_EQ("", s.check());
    uint64_t account;
    uint64_t mailbox;
    ASSERT_TRUE(s.purge_due(&account, &mailbox)); /* an undo that was begun is finished without waiting */
    s.purge_all();
    EXPECT_EQ(2u, count("Sent"));
    EXPECT_EQ(OK, s.copy(kAlice, inbox, "", "Sent", id, false, true).status);
    EXPECT_EQ(2u, count("Sent"));
}

TEST_F(Messages, a_copy_that_nobody_finishes_is_taken_back_by_purge)
{
    fill_large(1200);
    std::string id(16, 'i');
    ASSERT_EQ(OK, s.copy(kAlice, inbox, uid_range(1, 1000), "Sent", id).status);
    uint64_t account;
    uint64_t mailbox;
    EXPECT_FALSE(s.purge_due(&account, &mailbox));
    s.now_ms += 700000;
    s.purge_all();
    EXPECT_EQ(0u, count("Sent"));
    /* Its destination may be gone meanwhile. */
    ASSERT_EQ(OK, s.create(kAlice, "gone").status);
    ASSERT_EQ(OK, s.copy(kAlice, inbox, uid_range(1, 1000), "gone", id).status);
    ASSERT_EQ(OK, s.remove(kAlice, "gone").status);
    s.now_ms += 700000;
    s.purge_all();
    for (const auto &row : s.state()) {
        EXPECT_NE('c', row.first[0]);
    }
}

TEST_F(Messages, a_removed_accounts_copy_does_not_stop_the_others_from_being_taken_back)
{
    ASSERT_EQ(OK, s.create_account(2));
    ASSERT_EQ(OK, s.append(2, "INBOX", simple_mail(1)).status);
    fill(1);
    std::string id(16, 'i');
    ASSERT_EQ(OK, s.copy(2, s.mailbox_id(2, "INBOX"), uids({1}), "Sent", id).status);
    ASSERT_EQ(OK, s.copy(kAlice, inbox, uids({1}), "Sent", id).status);
    Pb__OpAccountRemove op = PB__OP_ACCOUNT_REMOVE__INIT;
    op.account = 2;
    ASSERT_EQ(OK, s.apply(METHOD_ACCOUNT_REMOVE, &op.base, 2).status);
    s.now_ms += 700000;
    ASSERT_EQ(OK, s.purge(0, 0).status);
    EXPECT_EQ(0u, count("Sent"));
}

TEST_F(Messages, move_takes_messages_along_in_one_step)
{
    fill(3);
    uint64_t sent = s.mailbox_id(kAlice, "Sent");
    Result r = s.move(kAlice, inbox, uids({1, 3}), "Sent");
    auto c = UNPACK(Pb__OpCopyResult, pb__op_copy_result, r);
    EXPECT_EQ((std::vector<uint32_t>{1, 3}), uid_list(str(c->source_uids)));
    EXPECT_EQ((std::vector<uint32_t>{1, 2}), uid_list(str(c->dest_uids)));
    EXPECT_EQ(simple_mail(3).raw, s.body(kAlice, sent, 2));
    r = s.move(kAlice, inbox, uids({2}), "INBOX");
    EXPECT_EQ((std::vector<uint32_t>{4}), uid_list(str(UNPACK(Pb__OpCopyResult, pb__op_copy_result, r)->dest_uids)));
    EXPECT_EQ(ERR_NOTFOUND, s.move(kAlice, inbox, uids({4}), "nowhere").status);
}

TEST_F(Messages, recent_goes_to_the_first_who_selects)
{
    fill(2);
    Pb__OpRecentClaim op = PB__OP_RECENT_CLAIM__INIT;
    op.account = kAlice;
    op.mailbox = inbox;
    (void)s.events();
    Result r = s.apply(METHOD_RECENT_CLAIM, &op.base, kAlice);
    EXPECT_EQ(1u, UNPACK(Pb__OpRecentClaimResult, pb__op_recent_claim_result, r)->recent_uid);
    r = s.apply(METHOD_RECENT_CLAIM, &op.base, kAlice);
    EXPECT_EQ(3u, UNPACK(Pb__OpRecentClaimResult, pb__op_recent_claim_result, r)->recent_uid);
    EXPECT_TRUE(s.events().empty());
    op.mailbox = 999;
    EXPECT_EQ(ERR_NOTFOUND, s.apply(METHOD_RECENT_CLAIM, &op.base, kAlice).status);
}

TEST_F(Messages, credentials_have_versions)
{
    Pb__OpCredentialsSet op = PB__OP_CREDENTIALS_SET__INIT;
    Pb__Credentials c = PB__CREDENTIALS__INIT;
    std::string hash = "$argon2id$new";
    c.argon2id = bin(hash);
    op.account = kAlice;
    op.credentials = &c;
    op.if_version = 7;
    EXPECT_EQ(ERR_STALE, s.apply(METHOD_CREDENTIALS_SET, &op.base, kAlice).status);
    op.if_version = 1;
    EXPECT_EQ(OK, s.apply(METHOD_CREDENTIALS_SET, &op.base, kAlice).status);
    Pb__ReadAccount q = PB__READ_ACCOUNT__INIT;
    q.account = kAlice;
    Result r = s.read(METHOD_ACCOUNT, &q.base);
    auto a = UNPACK(Pb__ReadAccountResult, pb__read_account_result, r);
    EXPECT_EQ(2u, a->version);
    EXPECT_STREQ("user11@example.test", a->name);
    ASSERT_NE(nullptr, a->credentials);
    EXPECT_EQ(hash, str(a->credentials->argon2id));
    q.have_version = 2;
    r = s.read(METHOD_ACCOUNT, &q.base);
    EXPECT_EQ(nullptr, UNPACK(Pb__ReadAccountResult, pb__read_account_result, r)->credentials);
    std::string large(3000, 'x');
    c.crypt = bin(large);
    op.if_version = 0;
    EXPECT_EQ(ERR_LIMIT, s.apply(METHOD_CREDENTIALS_SET, &op.base, kAlice).status);
}

} // namespace
