/* Moves of accounts between shards (deploy/docs/adr/0007). */
#include "tests/unit/storage/apply/move_rig.h"

using namespace move_test;

namespace
{

void fill(Rig &r)
{
    std::vector<std::string> keywords;
    for (int k = 0; k < 60; k++) {
        keywords.push_back("k" + std::to_string(k));
    }
    for (int i = 1; i <= 8; i++) {
        ASSERT_EQ(OK, r.one.append(kAlice, "INBOX", simple_mail(i), i == 3 ? FLAG_SEEN : 0).status);
    }
    uint64_t inbox = r.one.mailbox_id(kAlice, "INBOX");
    ASSERT_EQ(OK, r.one.create(kAlice, "Work/a").status);
    ASSERT_EQ(OK, r.one.store(kAlice, inbox, uids({4, 5}), 1, FLAG_FLAGGED, keywords).status);
    ASSERT_EQ(OK, r.one.copy(kAlice, inbox, uids({1, 2}), "Work/a").status);
    ASSERT_EQ(OK, r.one.copy(kAlice, inbox, uids({5, 6}), "Work/a", std::string(16, 'c')).status);
    ASSERT_EQ(OK, r.one.expunge(kAlice, inbox, uids({7})).status);
    /* a body that another account shares, a record in several pieces */
    std::string folded = "X: ";
    for (int i = 0; i < 200; i++) {
        folded += "To: somebody-" + std::to_string(i) + "@example.org\r\n";
    }
    ASSERT_EQ(OK, r.one.deliver({kAlice, kBob}, simple_mail(9, "x", folded)).status);
}

TEST(Move, an_account_is_the_same_in_the_other_shard)
{
    Rig r;
    fill(r);
    ASSERT_EQ(OK, r.start());
    ASSERT_TRUE(r.run(MOVE_FENCED));
    auto want = r.rows_of(1);
    ASSERT_TRUE(r.run());
    auto got = r.rows_of(2);
    struct account_row row;
    for (auto *m : {&want, &got}) {
        for (auto &[k, v] : *m) {
            if (k[9] == 'A') {
                memcpy(&row, v.data(), sizeof(row));
                row.state = ACCOUNT_LIVE;
                v.assign(reinterpret_cast<char *>(&row), sizeof(row));
            }
        }
    }
    ASSERT_EQ(want.size(), got.size());
    for (const auto &[k, v] : want) {
        EXPECT_EQ(v, got[k]) << "table " << k[9];
    }
    EXPECT_EQ("", r.one.check());
    EXPECT_EQ("", r.two.check());
    EXPECT_EQ("", r.directory.check());
    EXPECT_EQ(uint32_t(ACCOUNT_LIVE), r.account_state(2));
    EXPECT_EQ(uint32_t(ACCOUNT_MOVED), r.account_state(1));
    EXPECT_EQ(ERR_MOVED, r.one.append(kAlice, "INBOX", simple_mail(20)).status);
    EXPECT_EQ(OK, r.two.append(kAlice, "INBOX", simple_mail(20)).status);
    r.one.purge_all();
    r.two.purge_all();
    EXPECT_EQ("", r.one.check());
    EXPECT_EQ("", r.two.check());
}

} // namespace
