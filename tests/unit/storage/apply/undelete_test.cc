/* What is expunged is kept when the leader says so, comes back as it was, and goes when its time is over. */
#include <set>

#include "tests/unit/storage/apply/shard.h"

using namespace shard_test;

namespace
{

constexpr uint64_t kAlice = 11;
constexpr uint64_t kBob = 12;
constexpr uint64_t kHour = 3600000;

class Undelete : public ::testing::Test
{
  protected:
    void SetUp() override
    {
        ASSERT_EQ(OK, s.create_account(kAlice));
        ASSERT_EQ(OK, s.create_account(kBob));
        inbox = s.mailbox_id(kAlice, "INBOX");
        s.keeps = true;
    }

    void TearDown() override
    {
        EXPECT_EQ("", s.check());
    }

    using Which = std::vector<std::pair<uint64_t, uint32_t>>;

    static Which all_of(const std::vector<Kept> &kept)
    {
        std::map<uint32_t, uint64_t> by_uid;
        for (const Kept &k : kept) {
            by_uid[k.uid] = k.ms;
        }
        Which w;
        for (const auto &[uid, ms] : by_uid) {
            w.emplace_back(ms, uid);
        }
        return w;
    }

    std::vector<uint32_t> restore(uint64_t id, uint64_t mailbox, const Which &which, const std::string &into = "")
    {
        Result r = s.undelete(id, mailbox, which, into);
        EXPECT_EQ(OK, r.status);
        return uid_list(str(UNPACK(Pb__OpUndeleteResult, pb__op_undelete_result, r)->uids));
    }

    struct Row {
        uint64_t flags;
        std::set<std::string> keywords;
        int64_t internal_s;
        std::string ids;
        bool operator==(const Row &o) const
        {
            return flags == o.flags && keywords == o.keywords && internal_s == o.internal_s && ids == o.ids;
        }
    };

    std::map<uint32_t, Row> rows(uint64_t id, uint64_t mailbox)
    {
        std::map<uint32_t, Row> out;
        Result r = s.fetch(id, mailbox, uid_range(1, UINT32_MAX - 1),
                           FETCH_COL_FLAGS | FETCH_COL_INTERNAL | FETCH_COL_OBJECTID);
        EXPECT_EQ(OK, r.status);
        auto f = UNPACK(Pb__ReadFetchResult, pb__read_fetch_result, r);
        auto uid = column<uint32_t>(f->uid);
        auto flags = column<uint64_t>(f->flags);
        auto internal = column<int64_t>(f->internal_s);
        const uint8_t *over = f->overflow.data;
        for (size_t i = 0; i < uid.size(); i++) {
            Row row = {flags[i] & FLAG_SYSTEM_MASK, {}, internal[i], str(f->objectid).substr(32 * i, 32)};
            bool has_over = (flags[i] & FLAG_OVERFLOW) != 0;
            for (size_t k = 0; k < f->n_keywords; k++) {
                size_t bit = k - FLAG_KEYWORDS_MAX;
                if (k < FLAG_KEYWORDS_MAX ? (flags[i] >> (FLAG_KEYWORD_SHIFT + k) & 1) != 0
                                          : has_over && (over[bit / 8] >> bit % 8 & 1) != 0) {
                    row.keywords.insert(f->keywords[k]);
                }
            }
            over += has_over ? 24 : 0;
            out[uid[i]] = row;
        }
        return out;
    }

    std::pair<uint64_t, uint64_t> kept_totals(uint64_t id)
    {
        Pb__ReadAccount q = PB__READ_ACCOUNT__INIT;
        q.account = id;
        Result r = s.read(METHOD_ACCOUNT, &q.base);
        auto a = UNPACK(Pb__ReadAccountResult, pb__read_account_result, r);
        return {a->kept_messages, a->kept_bytes};
    }

    bool due(uint64_t before_ms)
    {
        struct kv_txn *t = nullptr;
        struct housekeeping_kept k = {};
        EXPECT_EQ(OK, kv_begin(s.kv, false, &t));
        EXPECT_EQ(OK, housekeeping_kept_get(t, s.prefix, &k));
        kv_abort(t);
        shard_messages = k.messages;
        shard_bytes = k.bytes;
        return k.oldest_ms < before_ms;
    }

    Shard s;
    uint64_t inbox = 0;
    uint64_t shard_messages = 0;
    uint64_t shard_bytes = 0;
};

TEST_F(Undelete, nothing_is_kept_unless_the_leader_says_so)
{
    s.keeps = false;
    ASSERT_EQ(OK, s.append(kAlice, "INBOX", simple_mail(1)).status);
    uint64_t body = s.index - 1;
    ASSERT_EQ(OK, s.expunge(kAlice, inbox, uids({1})).status);
    EXPECT_TRUE(s.kept(kAlice).empty());
    EXPECT_TRUE(s.body_dead(body));
    for (const auto &row : s.state()) {
        EXPECT_EQ(std::string::npos, std::string("kK").find(row.first[0]));
    }
}

TEST_F(Undelete, a_message_comes_back_as_it_was_but_for_its_uid_and_deleted)
{
    std::vector<std::string> many;
    for (int i = 0; i < 60; i++) {
        many.push_back("k" + std::to_string(i));
    }
    Mail mail = simple_mail(1, "the text\r\n");
    ASSERT_EQ(OK, s.append(kAlice, "INBOX", mail, FLAG_SEEN | FLAG_FLAGGED, many).status);
    ASSERT_EQ(OK, s.append(kAlice, "INBOX", simple_mail(2), FLAG_ANSWERED, {"$other"}).status);
    auto before = rows(kAlice, inbox);
    ASSERT_EQ(OK, s.store(kAlice, inbox, uids({1}), 1, FLAG_DELETED).status);
    s.now_ms += kHour;
    ASSERT_EQ(OK, s.expunge(kAlice, inbox, uids({1}), true).status);
    EXPECT_EQ(1u, rows(kAlice, inbox).size());

    auto kept = s.kept(kAlice);
    ASSERT_EQ(1u, kept.size());
    EXPECT_EQ(s.now_ms - 1, kept[0].ms);
    EXPECT_EQ(inbox, kept[0].mailbox);
    EXPECT_EQ(1u, kept[0].uid);
    EXPECT_EQ(FLAG_SEEN | FLAG_FLAGGED | FLAG_DELETED, kept[0].flags);
    EXPECT_EQ(before[1].internal_s, kept[0].internal_s);
    EXPECT_EQ(mail.raw.size(), kept[0].size);
    EXPECT_EQ("INBOX", kept[0].texts[0]);
    EXPECT_EQ("sender@example.org", kept[0].texts[1].substr(kept[0].texts[1].find('s')));
    EXPECT_NE(std::string::npos, kept[0].texts[2].find("number 1"));
    EXPECT_EQ(std::make_pair(uint64_t{1}, uint64_t{mail.raw.size()}), kept_totals(kAlice));

    s.now_ms += kHour;
    s.events();
    EXPECT_EQ(std::vector<uint32_t>{3}, restore(kAlice, inbox, all_of(kept)));
    ASSERT_EQ(1u, s.events().size()) << "devices must hear of it";
    auto after = rows(kAlice, inbox);
    EXPECT_EQ(before[1], after[3]);
    EXPECT_EQ(before[2], after[2]);
    EXPECT_EQ(mail.raw, s.body(kAlice, inbox, 3));
    EXPECT_TRUE(s.kept(kAlice).empty());
    EXPECT_EQ(std::make_pair(uint64_t{0}, uint64_t{0}), kept_totals(kAlice));
    for (const auto &row : s.state()) {
        EXPECT_EQ(std::string::npos, std::string("kK").find(row.first[0])) << "a row is left";
    }
}

TEST_F(Undelete, a_retry_gets_the_first_answer_and_another_request_finds_nothing)
{
    ASSERT_EQ(OK, s.append(kAlice, "INBOX", simple_mail(1)).status);
    ASSERT_EQ(OK, s.expunge(kAlice, inbox, uids({1})).status);
    Which which = all_of(s.kept(kAlice));
    Options o;
    o.request_id = "0123456789abcdef";
    Result first = s.undelete(kAlice, inbox, which, "", o);
    Result again = s.undelete(kAlice, inbox, which, "", o);
    EXPECT_EQ(first.bytes, again.bytes);
    EXPECT_TRUE(restore(kAlice, inbox, which).empty());
    EXPECT_EQ(1u, rows(kAlice, inbox).size());
}

TEST_F(Undelete, a_kept_message_does_not_count_and_coming_back_asks_the_quota)
{
    Pb__OpQuotaSet q = PB__OP_QUOTA_SET__INIT;
    q.account = kAlice;
    q.quota_messages = 2;
    ASSERT_EQ(OK, s.apply(METHOD_QUOTA_SET, &q.base, kAlice).status);
    ASSERT_EQ(OK, s.append(kAlice, "INBOX", simple_mail(1)).status);
    ASSERT_EQ(OK, s.append(kAlice, "INBOX", simple_mail(2)).status);
    ASSERT_EQ(OK, s.expunge(kAlice, inbox, uids({1})).status);
    ASSERT_EQ(OK, s.append(kAlice, "INBOX", simple_mail(3)).status);
    Which which = all_of(s.kept(kAlice));
    EXPECT_EQ(ERR_QUOTA, s.undelete(kAlice, inbox, which).status);
    EXPECT_EQ(1u, s.kept(kAlice).size());
    ASSERT_EQ(OK, s.expunge(kAlice, inbox, uids({2})).status);
    EXPECT_EQ(std::vector<uint32_t>{4}, restore(kAlice, inbox, which));
}

TEST_F(Undelete, a_deleted_mailbox_is_kept_by_the_steps_that_purge_it)
{
    ASSERT_EQ(OK, s.create(kAlice, "Work/Old").status);
    for (int i = 1; i <= 3; i++) {
        ASSERT_EQ(OK, s.append(kAlice, "Work/Old", simple_mail(i), FLAG_SEEN, {"$k" + std::to_string(i)}).status);
    }
    uint64_t old = s.mailbox_id(kAlice, "Work/Old");
    auto before = rows(kAlice, old);
    uint64_t deleted_ms = s.now_ms;
    ASSERT_EQ(OK, s.remove(kAlice, "Work/Old").status);
    ASSERT_EQ(OK, s.remove(kAlice, "Work").status);
    s.now_ms += kHour;
    s.purge_all();
    EXPECT_EQ("", s.check());
    auto kept = s.kept(kAlice, "Work/Old");
    ASSERT_EQ(3u, kept.size());
    EXPECT_EQ(deleted_ms, kept[0].ms) << "as of the deletion, not of the purge";
    EXPECT_EQ("Work/Old", kept[0].texts[0]);
    EXPECT_EQ(3u, restore(kAlice, old, all_of(kept)).size());
    uint64_t made = s.mailbox_id(kAlice, "Work/Old");
    EXPECT_NE(0u, made);
    EXPECT_NE(old, made);
    EXPECT_EQ(before, rows(kAlice, made));
}

TEST_F(Undelete, a_deleted_mailbox_is_not_kept_when_the_leader_of_the_purge_keeps_nothing)
{
    ASSERT_EQ(OK, s.create(kAlice, "Old").status);
    ASSERT_EQ(OK, s.append(kAlice, "Old", simple_mail(1)).status);
    ASSERT_EQ(OK, s.remove(kAlice, "Old").status);
    s.keeps = false;
    s.purge_all();
    EXPECT_TRUE(s.kept(kAlice).empty());
    ASSERT_EQ(OK, s.create(kAlice, "Old").status);
    ASSERT_EQ(OK, s.append(kAlice, "Old", simple_mail(1)).status);
    ASSERT_EQ(OK, s.remove(kAlice, "Old").status);
    s.keeps = true; /* the retention was set after the deletion: there is no name */
    s.purge_all();
    EXPECT_TRUE(s.kept(kAlice).empty());
}

TEST_F(Undelete, goes_to_the_mailbox_under_its_new_name_or_to_one_that_has_its_old_name)
{
    ASSERT_EQ(OK, s.create(kAlice, "A").status);
    ASSERT_EQ(OK, s.append(kAlice, "A", simple_mail(1)).status);
    ASSERT_EQ(OK, s.append(kAlice, "A", simple_mail(2)).status);
    uint64_t a = s.mailbox_id(kAlice, "A");
    ASSERT_EQ(OK, s.expunge(kAlice, a, uids({1})).status);
    ASSERT_EQ(OK, s.expunge(kAlice, a, uids({2})).status);
    ASSERT_EQ(OK, s.rename(kAlice, "A", "B").status);
    EXPECT_EQ(2u, s.kept(kAlice, "A").size()) << "by the name of then";
    EXPECT_EQ(2u, s.kept(kAlice, "B").size()) << "by the name of now";
    EXPECT_TRUE(s.kept(kAlice, "C").empty());
    auto kept = s.kept(kAlice);
    EXPECT_EQ(1u, restore(kAlice, a, {{kept[0].ms, 1}}).size());
    EXPECT_EQ(1u, rows(kAlice, s.mailbox_id(kAlice, "B")).size());
    ASSERT_EQ(OK, s.remove(kAlice, "B").status);
    ASSERT_EQ(OK, s.create(kAlice, "A").status);
    EXPECT_EQ(1u, restore(kAlice, a, {{kept[1].ms, 2}}).size());
    EXPECT_EQ(1u, rows(kAlice, s.mailbox_id(kAlice, "A")).size());
    s.purge_all();
}

TEST_F(Undelete, goes_into_the_folder_that_is_named_which_is_made)
{
    ASSERT_EQ(OK, s.append(kAlice, "INBOX", simple_mail(1), 0, {"$a"}).status);
    ASSERT_EQ(OK, s.append(kAlice, "INBOX", simple_mail(2), 0, {"$b"}).status);
    ASSERT_EQ(OK, s.expunge(kAlice, inbox, uids({1, 2})).status);
    auto kept = s.kept(kAlice);
    auto which = all_of(kept);
    EXPECT_EQ(ERR_INVAL, s.undelete(kAlice, inbox, which, "a//b").status);
    EXPECT_EQ(ERR_LIMIT, s.undelete(kAlice, inbox, which, std::string(256, 'x')).status);
    EXPECT_EQ(1u, restore(kAlice, inbox, {which[0]}, "inbox/Found/Again").size());
    EXPECT_EQ(1u, restore(kAlice, inbox, {which[1]}, "INBOX/Found/Again").size());
    auto found = rows(kAlice, s.mailbox_id(kAlice, "INBOX/Found/Again"));
    ASSERT_EQ(2u, found.size());
    EXPECT_EQ(std::set<std::string>{"$a"}, found[1].keywords);
    EXPECT_EQ(std::set<std::string>{"$b"}, found[2].keywords);
}

TEST_F(Undelete, gives_a_noselect_name_its_mailbox_back)
{
    ASSERT_EQ(OK, s.create(kAlice, "P/Q").status);
    ASSERT_EQ(OK, s.append(kAlice, "P", simple_mail(1)).status);
    uint64_t p = s.mailbox_id(kAlice, "P");
    ASSERT_EQ(OK, s.remove(kAlice, "P").status);
    s.purge_all();
    EXPECT_EQ(1u, restore(kAlice, p, all_of(s.kept(kAlice))).size());
    EXPECT_EQ(1u, rows(kAlice, s.mailbox_id(kAlice, "P")).size());
}

TEST_F(Undelete, what_a_copy_or_a_thread_shares_stays_whole)
{
    Mail first = simple_mail(1);
    ASSERT_EQ(OK, s.append(kAlice, "INBOX", first).status);
    uint64_t body = s.index - 1;
    ASSERT_EQ(OK, s.copy(kAlice, inbox, uids({1}), "Archive").status);
    ASSERT_EQ(OK, s.expunge(kAlice, inbox, uids({1})).status);
    EXPECT_EQ("", s.check());
    uint64_t archive = s.mailbox_id(kAlice, "Archive");
    ASSERT_EQ(OK, s.expunge(kAlice, archive, uids({1})).status);
    EXPECT_EQ("", s.check());
    ASSERT_EQ(2u, s.kept(kAlice).size()) << "each mailbox lost one";
    ASSERT_EQ(OK, s.append(kAlice, "INBOX", simple_mail(2, "x\r\n", "In-Reply-To: <m1@example.org>\r\n")).status);
    auto kept = s.kept(kAlice, "Archive");
    ASSERT_EQ(1u, kept.size());
    ASSERT_EQ(OK, s.kept_drop(kept[0].ms).status); /* INBOX's was before */
    EXPECT_FALSE(s.body_dead(body));
    EXPECT_EQ(1u, restore(kAlice, archive, all_of(kept)).size());
    EXPECT_EQ(first.raw, s.body(kAlice, archive, 2));
}

TEST_F(Undelete, move_and_an_undone_copy_keep_nothing)
{
    ASSERT_EQ(OK, s.append(kAlice, "INBOX", simple_mail(1)).status);
    ASSERT_EQ(OK, s.append(kAlice, "INBOX", simple_mail(2)).status);
    std::string id(16, 'c');
    ASSERT_EQ(OK, s.copy(kAlice, inbox, uids({1, 2}), "Archive", id).status);
    ASSERT_EQ(OK, s.copy(kAlice, inbox, "", "Archive", id, false, true).status);
    ASSERT_EQ(OK, s.move(kAlice, inbox, uids({1}), "Trash").status);
    EXPECT_TRUE(s.kept(kAlice).empty());
}

TEST_F(Undelete, the_oldest_of_the_shard_go_first_and_only_those_before_the_cut_off)
{
    std::vector<uint64_t> times;
    std::vector<uint64_t> bodies;
    for (int i = 1; i <= 3; i++) {
        for (uint64_t who : {kAlice, kBob}) {
            ASSERT_EQ(OK, s.append(who, "INBOX", simple_mail(i)).status);
            bodies.push_back(s.index - 1);
            times.push_back(s.now_ms);
            ASSERT_EQ(OK, s.expunge(who, s.mailbox_id(who, "INBOX"), uids({static_cast<uint32_t>(i)})).status);
            s.now_ms += kHour;
        }
    }
    EXPECT_FALSE(due(times[0]));
    EXPECT_EQ(6u, shard_messages);
    EXPECT_TRUE(due(times[0] + 1));
    ASSERT_EQ(OK, s.kept_drop(times[0]).status);
    EXPECT_FALSE(s.body_dead(bodies[0])) << "not before its time";
    ASSERT_EQ(OK, s.kept_drop(times[3]).status);
    EXPECT_FALSE(due(times[3]));
    EXPECT_EQ(3u, shard_messages);
    for (size_t i = 0; i < 6; i++) {
        EXPECT_EQ(i < 3, s.body_dead(bodies[i])) << i;
    }
    EXPECT_EQ(1u, s.kept(kAlice).size());
    EXPECT_EQ(2u, s.kept(kBob).size());
    ASSERT_EQ(OK, s.kept_drop(UINT64_MAX, 1).status);
    EXPECT_TRUE(s.body_dead(bodies[3])) << "the oldest, whoever's it is";
    EXPECT_FALSE(s.body_dead(bodies[4]));
    EXPECT_TRUE(due(UINT64_MAX));
    ASSERT_EQ(OK, s.kept_drop(UINT64_MAX).status);
    EXPECT_FALSE(due(UINT64_MAX));
    EXPECT_EQ(0u, shard_messages);
    EXPECT_EQ(0u, shard_bytes);
}

TEST_F(Undelete, a_step_drops_a_part_of_what_one_entry_kept)
{
    for (int i = 1; i <= 5; i++) {
        ASSERT_EQ(OK, s.append(kAlice, "INBOX", simple_mail(i)).status);
    }
    ASSERT_EQ(OK, s.expunge(kAlice, inbox, uid_range(1, 5)).status);
    ASSERT_EQ(OK, s.kept_drop(UINT64_MAX, 2).status);
    EXPECT_EQ("", s.check());
    EXPECT_EQ(3u, s.kept(kAlice).size());
    EXPECT_TRUE(due(UINT64_MAX));
    auto kept = s.kept(kAlice);
    EXPECT_EQ(2u, restore(kAlice, inbox, {{kept[0].ms, 1}, {kept[0].ms, 3}, {kept[0].ms, 5}}).size())
        << "the first is gone";
    ASSERT_EQ(OK, s.expunge(kAlice, inbox, uid_range(6, 7)).status);
    ASSERT_EQ(3u, s.kept(kAlice).size());
    ASSERT_EQ(OK, s.kept_drop(UINT64_MAX, 0, 1).status);
    EXPECT_EQ(2u, s.kept(kAlice).size()) << "one has the byte";
    ASSERT_EQ(OK, s.kept_drop(UINT64_MAX, 0, s.kept(kAlice)[0].size + 1).status);
    EXPECT_TRUE(s.kept(kAlice).empty());
}

TEST_F(Undelete, a_removed_account_drops_what_it_kept)
{
    ASSERT_EQ(OK, s.append(kAlice, "INBOX", simple_mail(1)).status);
    ASSERT_EQ(OK, s.expunge(kAlice, inbox, uids({1})).status);
    ASSERT_EQ(OK, s.append(kAlice, "INBOX", simple_mail(2)).status);
    Pb__OpAccountRemove op = PB__OP_ACCOUNT_REMOVE__INIT;
    op.account = kAlice;
    ASSERT_EQ(OK, s.apply(METHOD_ACCOUNT_REMOVE, &op.base, kAlice).status);
    EXPECT_EQ("", s.check());
    s.purge_all();
    EXPECT_EQ("", s.check());
    EXPECT_FALSE(due(UINT64_MAX));
    EXPECT_EQ(0u, shard_messages);
    s.now_ms += kHour;
    s.purge_all();
    EXPECT_EQ(ERR_NOTFOUND, s.undelete(kAlice, inbox, {{1, 1}}).status);
}

TEST_F(Undelete, lists_page_by_page_between_two_times)
{
    ASSERT_EQ(OK, s.create(kAlice, "Work").status);
    uint64_t work = s.mailbox_id(kAlice, "Work");
    std::vector<uint64_t> times;
    for (int i = 1; i <= 9; i++) {
        ASSERT_EQ(OK, s.append(kAlice, i % 2 == 0 ? "Work" : "INBOX", simple_mail(i)).status);
    }
    for (uint32_t i = 1; i <= 9; i++) {
        times.push_back(s.now_ms);
        ASSERT_EQ(OK, s.expunge(kAlice, i % 2 == 0 ? work : inbox, uids({(i + 1) / 2})).status);
    }
    EXPECT_EQ(9u, s.kept(kAlice).size());
    for (uint32_t rows : {1u, 2u, 4u}) {
        auto paged = s.kept(kAlice, "", 0, 0, rows);
        ASSERT_EQ(9u, paged.size());
        for (size_t i = 0; i < 9; i++) {
            EXPECT_EQ(times[i], paged[i].ms);
        }
        EXPECT_EQ(5u, s.kept(kAlice, "inbox", 0, 0, rows).size());
    }
    EXPECT_EQ(3u, s.kept(kAlice, "", times[2], times[5]).size());
    EXPECT_EQ(2u, s.kept(kAlice, "INBOX", times[2], times[5]).size());
    EXPECT_TRUE(s.kept(kBob).empty());
}

TEST_F(Undelete, bad_requests_are_refused)
{
    ASSERT_EQ(OK, s.append(kAlice, "INBOX", simple_mail(1)).status);
    ASSERT_EQ(OK, s.append(kAlice, "INBOX", simple_mail(2)).status);
    ASSERT_EQ(OK, s.expunge(kAlice, inbox, uids({1, 2})).status);
    uint64_t ms = s.kept(kAlice)[0].ms;
    EXPECT_EQ(ERR_INVAL, s.undelete(kAlice, inbox, {{ms, 2}, {ms, 1}}).status);
    EXPECT_EQ(ERR_INVAL, s.undelete(kAlice, inbox, {{ms, 1}, {ms, 1}}).status);
    EXPECT_EQ(ERR_INVAL, s.undelete(kAlice, inbox, {{ms, 0}}).status);
    EXPECT_EQ(ERR_INVAL, s.undelete(kAlice, 0, {{ms, 1}}).status);
    EXPECT_EQ(ERR_INVAL, s.undelete(kAlice, UINT64_C(1) << 40, {{ms, 1}}).status);
    EXPECT_EQ(ERR_NOTFOUND, s.undelete(99, inbox, {{ms, 1}}).status);
    Which many;
    for (uint32_t i = 1; i <= OP_UIDS_MAX + 1; i++) {
        many.emplace_back(ms, i);
    }
    EXPECT_EQ(ERR_LIMIT, s.undelete(kAlice, inbox, many).status);
    Pb__OpUndelete op = PB__OP_UNDELETE__INIT;
    std::string cut(13, '\1');
    op.account = kAlice;
    op.mailbox = inbox;
    op.rows = bin(cut);
    EXPECT_EQ(ERR_INVAL, s.apply(METHOD_UNDELETE, &op.base, kAlice).status);
    EXPECT_EQ(2u, s.kept(kAlice).size());
}

TEST_F(Undelete, a_thousand_of_one_entry_and_a_full_table_of_keywords)
{
    std::vector<std::string> words;
    for (int i = 0; i < 200; i++) {
        words.push_back("keyword-" + std::string(60, 'x') + std::to_string(i));
    }
    for (uint32_t i = 1; i <= OP_UIDS_MAX; i++) {
        ASSERT_EQ(
            OK, s.append(kAlice, "INBOX", simple_mail(1), 0, i == 1 ? words : std::vector<std::string>{words[i % 200]})
                    .status);
    }
    auto before = rows(kAlice, inbox);
    ASSERT_EQ(OK, s.expunge(kAlice, inbox, uid_range(1, OP_UIDS_MAX)).status);
    auto kept = s.kept(kAlice);
    ASSERT_EQ(OP_UIDS_MAX, kept.size());
    EXPECT_EQ(OP_UIDS_MAX, restore(kAlice, inbox, all_of(kept), "Found").size());
    EXPECT_EQ(before, rows(kAlice, s.mailbox_id(kAlice, "Found")));
    EXPECT_EQ(ERR_LIMIT, [&] {
        EXPECT_EQ(OK, s.append(kAlice, "INBOX", simple_mail(1), 0, {words[0]}).status);
        EXPECT_EQ(OK, s.expunge(kAlice, inbox, uids({OP_UIDS_MAX + 1})).status);
        EXPECT_EQ(OK, s.create(kAlice, "Full").status);
        std::vector<std::string> others;
        for (int i = 0; i < 200; i++) {
            others.push_back("o" + std::to_string(i));
        }
        EXPECT_EQ(OK, s.append(kAlice, "Full", simple_mail(3), 0, others).status);
        return s.undelete(kAlice, inbox, all_of(s.kept(kAlice)), "Full").status;
    }()) << "Full knows 200 other keywords";
}

} // namespace
