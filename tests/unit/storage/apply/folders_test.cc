#include <algorithm>

#include "tests/unit/storage/apply/shard.h"

using namespace shard_test;

namespace
{

constexpr uint64_t kAlice = 11;

class Folders : public ::testing::Test
{
  protected:
    void SetUp() override
    {
        ASSERT_EQ(OK, s.create_account(kAlice));
    }
    void TearDown() override
    {
        EXPECT_EQ("", s.check());
    }

    std::vector<std::string> list()
    {
        Pb__ReadMailboxes q = PB__READ_MAILBOXES__INIT;
        std::vector<std::string> names;
        q.account = kAlice;
        Result r = s.read(METHOD_MAILBOXES, &q.base);
        EXPECT_EQ(OK, r.status);
        auto m = UNPACK(Pb__ReadMailboxesResult, pb__read_mailboxes_result, r);
        for (size_t i = 0; i < m->n_mailboxes; i++) {
            const Pb__MailboxInfo *x = m->mailboxes[i];
            names.push_back(std::string(x->name) + (x->noselect ? " \\NoSelect" : "") +
                            (x->nonexistent ? " \\NonExistent" : "") + (x->subscribed ? " subscribed" : "") +
                            (x->has_children ? " +" : ""));
        }
        return names;
    }

    uint32_t validity(const std::string &name)
    {
        Result r = s.select(kAlice, name);
        EXPECT_EQ(OK, r.status) << name;
        return r.status == OK ? UNPACK(Pb__ReadSelectResult, pb__read_select_result, r)->info->uidvalidity : 0;
    }

    enum err subscribe(const std::string &name, bool on)
    {
        Pb__OpMailboxSubscribe op = PB__OP_MAILBOX_SUBSCRIBE__INIT;
        op.account = kAlice;
        op.name = const_cast<char *>(name.c_str());
        op.subscribed = on;
        return s.apply(METHOD_MAILBOX_SUBSCRIBE, &op.base, kAlice).status;
    }

    Shard s;
};

TEST_F(Folders, a_new_account_has_the_usual_ones_subscribed)
{
    EXPECT_EQ((std::vector<std::string>{"Archive subscribed", "Drafts subscribed", "INBOX subscribed",
                                        "Junk subscribed", "Sent subscribed", "Trash subscribed"}),
              list());
    EXPECT_EQ(ERR_EXISTS, s.create_account(kAlice));
}

TEST_F(Folders, create_makes_missing_parents_and_answers_ids)
{
    Result r = s.create(kAlice, "a/b/c");
    ASSERT_EQ(OK, r.status);
    auto m = UNPACK(Pb__OpMailboxCreateResult, pb__op_mailbox_create_result, r);
    EXPECT_EQ(16u, m->mailbox_objectid.len);
    EXPECT_EQ(s.mailbox_id(kAlice, "a/b/c"), m->mailbox);
    EXPECT_NE(0u, s.mailbox_id(kAlice, "a/b"));
    EXPECT_EQ(ERR_EXISTS, s.create(kAlice, "a/b").status);
    EXPECT_EQ(ERR_EXISTS, s.create(kAlice, "iNbOx").status);
}

TEST_F(Folders, bad_names_are_refused)
{
    for (const char *bad : {"", "/", "a/", "/a", "a//b", "a\nb", "\xff", "a\xc3", "\xed\xa0\x80", "\xc2\x85"}) {
        EXPECT_EQ(ERR_INVAL, s.create(kAlice, bad).status) << bad;
    }
    EXPECT_EQ(ERR_LIMIT, s.create(kAlice, std::string(256, 'x')).status);
    EXPECT_EQ(OK, s.create(kAlice, std::string(255, 'x')).status);
    std::string deep = "d";
    for (int i = 1; i < 16; i++) {
        deep += "/d";
    }
    EXPECT_EQ(OK, s.create(kAlice, deep).status);
    EXPECT_EQ(ERR_LIMIT, s.create(kAlice, deep + "/d").status);
    EXPECT_EQ(ERR_NOTFOUND, s.create(77, "x").status);
}

TEST_F(Folders, a_name_that_is_not_nfc_is_refused_before_it_is_logged)
{
    Pb__OpMailboxCreate op = PB__OP_MAILBOX_CREATE__INIT;
    bool done;
    op.account = kAlice;
    op.name = const_cast<char *>("o\xcc\x88"); /* o and a combining diaeresis */
    EXPECT_EQ(ERR_INVAL, s.precheck(METHOD_MAILBOX_CREATE, &op.base, kAlice, 0, {}, &done, nullptr));
    op.name = const_cast<char *>("\xc3\xb6");
    EXPECT_EQ(OK, s.precheck(METHOD_MAILBOX_CREATE, &op.base, kAlice, 0, {}, &done, nullptr));
    ASSERT_EQ(OK, s.create(kAlice, "\xc3\xb6").status);
    EXPECT_NE(0u, s.mailbox_id(kAlice, "o\xcc\x88")); /* reads normalise */
}

TEST_F(Folders, delete_with_children_leaves_noselect_that_create_revives)
{
    ASSERT_EQ(OK, s.create(kAlice, "a/b").status);
    uint32_t before = validity("a");
    ASSERT_EQ(OK, s.append(kAlice, "a", simple_mail(1)).status);
    ASSERT_EQ(OK, s.remove(kAlice, "a").status);
    EXPECT_EQ(0u, s.mailbox_id(kAlice, "a"));
    EXPECT_EQ(ERR_NONEMPTY, s.remove(kAlice, "a").status);
    EXPECT_EQ(ERR_NOTFOUND, s.append(kAlice, "a", simple_mail(2)).status);
    ASSERT_EQ(OK, s.create(kAlice, "a").status);
    EXPECT_GT(validity("a"), before);
    Result r = s.select(kAlice, "a");
    EXPECT_EQ(0u, UNPACK(Pb__ReadSelectResult, pb__read_select_result, r)->info->messages);
    EXPECT_NE(0u, s.mailbox_id(kAlice, "a/b"));
    ASSERT_EQ(OK, s.remove(kAlice, "a").status);
    ASSERT_EQ(OK, s.remove(kAlice, "a/b").status);
    ASSERT_EQ(OK, s.remove(kAlice, "a").status);
    EXPECT_EQ(ERR_NOTFOUND, s.remove(kAlice, "a").status);
    EXPECT_EQ(ERR_PERM, s.remove(kAlice, "inbox").status);
}

TEST_F(Folders, uidvalidity_is_never_used_twice)
{
    std::vector<uint32_t> seen;
    for (int i = 0; i < 5; i++) {
        ASSERT_EQ(OK, s.create(kAlice, "x").status);
        uint32_t v = validity("x");
        EXPECT_TRUE(seen.empty() || v > seen.back());
        EXPECT_GE(v, 1700000000u);
        seen.push_back(v);
        ASSERT_EQ(OK, s.remove(kAlice, "x").status);
    }
    s.now_ms -= 100000000; /* a leader with a slow clock */
    ASSERT_EQ(OK, s.create(kAlice, "x").status);
    EXPECT_GT(validity("x"), seen.back());
}

TEST_F(Folders, rename_moves_the_children_and_keeps_uidvalidity)
{
    ASSERT_EQ(OK, s.create(kAlice, "a/b/c").status);
    ASSERT_EQ(OK, s.append(kAlice, "a/b/c", simple_mail(1)).status);
    uint32_t v = validity("a/b/c");
    ASSERT_EQ(OK, s.rename(kAlice, "a", "x/y").status);
    EXPECT_EQ(v, validity("x/y/b/c"));
    EXPECT_EQ(0u, s.mailbox_id(kAlice, "a"));
    Result r = s.select(kAlice, "x/y/b/c");
    EXPECT_STREQ("x/y/b/c", UNPACK(Pb__ReadSelectResult, pb__read_select_result, r)->info->name);
    EXPECT_EQ(ERR_INVAL, s.rename(kAlice, "x", "x/y/z").status);
    EXPECT_EQ(ERR_EXISTS, s.rename(kAlice, "x", "Sent").status);
    EXPECT_EQ(ERR_EXISTS, s.rename(kAlice, "x", "inbox").status);
    EXPECT_EQ(ERR_EXISTS, s.rename(kAlice, "x", "x").status);
    EXPECT_EQ(ERR_NOTFOUND, s.rename(kAlice, "a", "b").status);
}

TEST_F(Folders, rename_may_not_push_children_below_the_depth)
{
    ASSERT_EQ(OK, s.create(kAlice, "a/1/2/3/4/5/6/7").status);
    EXPECT_EQ(ERR_LIMIT, s.rename(kAlice, "a", "b/1/2/3/4/5/6/7/8/9").status);
    EXPECT_EQ(OK, s.rename(kAlice, "a", "b/1/2/3/4/5/6/7/8").status);
}

TEST_F(Folders, rename_inbox_takes_the_messages_along_and_makes_a_fresh_one)
{
    ASSERT_EQ(OK, s.create(kAlice, "INBOX/sub").status);
    ASSERT_EQ(OK, s.deliver({kAlice}, simple_mail(1)).status);
    uint64_t old_id = s.mailbox_id(kAlice, "INBOX");
    uint32_t old_validity = validity("INBOX");
    (void)s.events();
    ASSERT_EQ(OK, s.rename(kAlice, "INBOX", "kept/old").status);
    bool announced = false;
    for (const auto &ev : s.events()) {
        announced = announced || ev.mailbox.v == old_id;
    }
    EXPECT_TRUE(announced);
    EXPECT_EQ(old_id, s.mailbox_id(kAlice, "kept/old"));
    EXPECT_EQ(old_validity, validity("kept/old"));
    EXPECT_NE(old_id, s.mailbox_id(kAlice, "INBOX"));
    EXPECT_GT(validity("INBOX"), old_validity);
    EXPECT_NE(0u, s.mailbox_id(kAlice, "INBOX/sub"));
    ASSERT_EQ(OK, s.deliver({kAlice}, simple_mail(2)).status);
    Result r = s.sync(kAlice, old_id, 1);
    EXPECT_STREQ("kept/old", UNPACK(Pb__ReadSyncResult, pb__read_sync_result, r)->info->name);
    r = s.select(kAlice, "INBOX");
    EXPECT_EQ(1u, UNPACK(Pb__ReadSelectResult, pb__read_select_result, r)->info->messages);
}

TEST_F(Folders, subscriptions_are_names_and_outlive_mailboxes)
{
    ASSERT_EQ(OK, s.create(kAlice, "a").status);
    ASSERT_EQ(OK, subscribe("a", true));
    ASSERT_EQ(OK, subscribe("a", true));
    ASSERT_EQ(OK, subscribe("nowhere/yet", true));
    ASSERT_EQ(OK, subscribe("Inbox", false));
    ASSERT_EQ(OK, s.remove(kAlice, "a").status);
    EXPECT_EQ((std::vector<std::string>{"Archive subscribed", "Drafts subscribed", "INBOX", "Junk subscribed",
                                        "Sent subscribed", "Trash subscribed", "a \\NonExistent subscribed",
                                        "nowhere/yet \\NonExistent subscribed"}),
              [&] {
                  auto l = list();
                  std::sort(l.begin(), l.end());
                  return l;
              }());
    ASSERT_EQ(OK, subscribe("a", false));
    ASSERT_EQ(OK, subscribe("a", false));
    EXPECT_EQ(ERR_INVAL, subscribe("a//b", true));
}

TEST_F(Folders, there_is_a_bound_on_their_number)
{
    enum err last = OK;
    int made = 0;
    for (; made < 6000 && last == OK; made++) {
        last = s.create(kAlice, "a folder with a name that fills pages " + std::to_string(made)).status;
    }
    EXPECT_EQ(ERR_LIMIT, last);
    EXPECT_EQ(5000 - 6 + 1, made);
    /* The list comes in pages. */
    size_t n = 0;
    Pb__ReadMailboxes q = PB__READ_MAILBOXES__INIT;
    q.account = kAlice;
    int pages = 0;
    do {
        Result r = s.read(METHOD_MAILBOXES, &q.base);
        ASSERT_EQ(OK, r.status);
        auto m = UNPACK(Pb__ReadMailboxesResult, pb__read_mailboxes_result, r);
        n += m->n_mailboxes;
        q.from = m->next;
        pages++;
    } while (q.from != 0);
    EXPECT_EQ(5000u, n);
    EXPECT_GT(pages, 1);
}

TEST_F(Folders, a_deleted_mailbox_frees_quota_at_once_and_rows_in_steps)
{
    ASSERT_EQ(OK, s.create(kAlice, "big").status);
    uint64_t id = s.mailbox_id(kAlice, "big");
    for (int i = 0; i < 30; i++) {
        ASSERT_EQ(OK, s.append(kAlice, "big", simple_mail(i), 0, {"kw" + std::to_string(i * 3)}).status);
    }
    for (int round = 0; round < 7; round++) {
        ASSERT_EQ(OK, s.copy(kAlice, id, uid_range(1, 900), "big").status); /* doubles */
        if (round == 4) {
            break;
        }
    }
    ASSERT_EQ(OK, s.copy(kAlice, id, uid_range(1, 800), "Archive").status);
    ASSERT_EQ(OK, s.copy(kAlice, id, uid_range(1, 960), "big").status);
    ASSERT_EQ(OK, s.expunge(kAlice, id, uid_range(5, 9)).status);
    ASSERT_EQ(OK, s.remove(kAlice, "big").status);
    EXPECT_EQ("", s.check());
    Pb__ReadAccount q = PB__READ_ACCOUNT__INIT;
    q.account = kAlice;
    Result r = s.read(METHOD_ACCOUNT, &q.base);
    EXPECT_EQ(800u, UNPACK(Pb__ReadAccountResult, pb__read_account_result, r)->used_messages);
    int steps = 0;
    uint64_t account;
    uint64_t mailbox;
    while (s.purge_due(&account, &mailbox)) {
        EXPECT_EQ(kAlice, account);
        EXPECT_EQ(id, mailbox);
        ASSERT_EQ(OK, s.purge(account, mailbox).status);
        EXPECT_EQ("", s.check());
        ASSERT_LT(++steps, 10);
    }
    EXPECT_GE(steps, 2);
    EXPECT_EQ(OK, s.purge(kAlice, id).status); /* once more is fine */
    r = s.select(kAlice, "Archive");
    EXPECT_EQ(800u, UNPACK(Pb__ReadSelectResult, pb__read_select_result, r)->info->messages);
}

TEST_F(Folders, a_removed_account_goes_but_for_its_dedupe_records_until_they_are_old)
{
    ASSERT_EQ(OK, s.create_account(12));
    ASSERT_EQ(OK, s.deliver({kAlice, 12}, simple_mail(1)).status);
    ASSERT_EQ(OK, s.create(kAlice, "x").status);
    ASSERT_EQ(OK, s.append(kAlice, "x", simple_mail(1), 0, {"kw"}).status);
    ASSERT_EQ(OK, s.remove(kAlice, "x").status);
    Pb__OpStageBegin begin = PB__OP_STAGE_BEGIN__INIT;
    begin.account = kAlice;
    begin.size = 1000;
    ASSERT_EQ(OK, s.apply(METHOD_STAGE_BEGIN, &begin.base, kAlice).status);
    Pb__OpAccountRemove op = PB__OP_ACCOUNT_REMOVE__INIT;
    op.account = kAlice;
    Options o;
    o.request_id = "0123456789abcdef";
    ASSERT_EQ(OK, s.apply(METHOD_ACCOUNT_REMOVE, &op.base, kAlice, "", o).status);
    EXPECT_EQ(ERR_NOTFOUND, s.deliver({kAlice}, simple_mail(2)).status);
    EXPECT_EQ(ERR_NOTFOUND, s.select(kAlice, "INBOX").status);
    EXPECT_EQ("", s.check());
    EXPECT_GT(s.purge_all(), 5);
    EXPECT_EQ("", s.check());
    EXPECT_EQ(OK, s.apply(METHOD_ACCOUNT_REMOVE, &op.base, kAlice, "", o).status); /* a late retry */
    EXPECT_EQ(ERR_EXISTS, s.create_account(kAlice));
    s.now_ms += 1300000;
    s.purge_all();
    EXPECT_EQ("", s.check());
    std::string prefix("a\0\0\0\0\0\0\0\x0b", 9);
    for (const auto &row : s.state()) {
        EXPECT_NE(prefix, row.first.substr(0, 9));
    }
    Result r = s.select(12, "INBOX");
    EXPECT_EQ(1u, UNPACK(Pb__ReadSelectResult, pb__read_select_result, r)->info->messages);
}

} // namespace
