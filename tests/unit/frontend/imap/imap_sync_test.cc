/* What is told of a mailbox's changes, from the view on. */
#include "imap_fixture.h"

#include "frontend/imap/imap_sync.h"

namespace
{

class ImapSync : public ::testing::Test
{
  protected:
    void SetUp() override
    {
        memset(&s, 0, sizeof(s));
        imap_view_init(&v);
        s.view = &v;
        s.out = o.out;
        s.out.user = &o;
        Uids u({{1, 3}, {5, 9}});
        ASSERT_EQ(OK, imap_view_add(&v, &u.set, 8));
        v.told_exists = 8;
        v.told_recent = 2;
    }
    void TearDown() override
    {
        imap_out_release(&s.out);
        imap_view_fini(&v);
    }
    std::string take()
    {
        imap_out_flush(&s.out);
        return o.take();
    }
    struct imap_session s;
    struct imap_view v;
    Out o;
};

TEST_F(ImapSync, EachExpungeHasItsNumberAfterThoseBeforeIt)
{
    Uids gone({{2, 2}, {5, 6}, {9, 9}});
    ASSERT_EQ(OK, imap_view_vanish(&v, &gone.set));
    ASSERT_EQ(OK, imap_report_expunges(&s));
    EXPECT_EQ("* 2 EXPUNGE\r\n* 3 EXPUNGE\r\n* 3 EXPUNGE\r\n* 5 EXPUNGE\r\n", take());
    EXPECT_EQ(4u, imap_view_exists(&v));
    ASSERT_EQ(OK, imap_report_expunges(&s));
    imap_report_exists(&s);
    EXPECT_EQ("", take());
}

TEST_F(ImapSync, ANewMessageIsCountedWithThoseThatWaitToBeExpunged)
{
    Uids gone({{1, 1}});
    Uids fresh({{12, 12}});
    ASSERT_EQ(OK, imap_view_vanish(&v, &gone.set));
    ASSERT_EQ(OK, imap_view_add(&v, &fresh.set, 0));
    imap_report_exists(&s);
    EXPECT_EQ("* 9 EXISTS\r\n* 3 RECENT\r\n", take());
    ASSERT_EQ(OK, imap_report_expunges(&s));
    imap_report_exists(&s);
    EXPECT_EQ("* 1 EXPUNGE\r\n", take());
}

TEST_F(ImapSync, AnExpungeDoesNotHideANewMessage)
{
    Uids gone({{1, 1}, {13, 13}});
    Uids fresh({{12, 13}});
    ASSERT_EQ(OK, imap_view_add(&v, &fresh.set, 0));
    ASSERT_EQ(OK, imap_view_vanish(&v, &gone.set));
    ASSERT_EQ(OK, imap_report_expunges(&s)); /* 13 came and went */
    imap_report_exists(&s);
    EXPECT_EQ("* 1 EXPUNGE\r\n* 8 EXISTS\r\n* 3 RECENT\r\n", take());
}

TEST_F(ImapSync, NewKeywordsAreAnnouncedOnce)
{
    char a[] = "work";
    char *names[] = {a};
    ASSERT_EQ(OK, imap_report_keywords(&s, names, 1));
    EXPECT_EQ("* FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft work)\r\n"
              "* OK [PERMANENTFLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft work \\*)] Flags permitted\r\n",
              take());
    ASSERT_EQ(OK, imap_report_keywords(&s, names, 1));
    EXPECT_EQ("", take());
}

/* What a client that counts as the RFC says has after any sequence of these is what the view has. */
TEST_F(ImapSync, AClientThatCountsKeepsInStep)
{
    std::vector<uint32_t> client = {1, 2, 3, 5, 6, 7, 8, 9};
    uint32_t next = 10;
    unsigned seed = 3;
    for (int round = 0; round < 200; round++) {
        seed = seed * 1103515245 + 12345;
        Uids gone;
        for (uint32_t uid : client) {
            if (((seed >> 8) + uid * 7) % 5 == 0) {
                ASSERT_EQ(OK, uidset_add(&gone.set, uid));
            }
        }
        Uids fresh;
        for (unsigned i = seed >> 16 & 3; i > 0; i--) {
            ASSERT_EQ(OK, uidset_add(&fresh.set, next++));
        }
        ASSERT_EQ(OK, imap_view_add(&v, &fresh.set, 0));
        ASSERT_EQ(OK, imap_view_vanish(&v, &gone.set));
        if (seed >> 20 & 1) {
            ASSERT_EQ(OK, imap_report_expunges(&s));
        }
        imap_report_exists(&s);
        std::string text = take();
        for (size_t at = 0; at < text.size();) {
            size_t end = text.find("\r\n", at);
            std::string line = text.substr(at, end - at);
            at = end + 2;
            unsigned long n = std::stoul(line.substr(2));
            if (line.find("EXPUNGE") != std::string::npos) {
                ASSERT_LE(n, client.size());
                client.erase(client.begin() + static_cast<long>(n) - 1);
            } else if (line.find("EXISTS") != std::string::npos) {
                while (client.size() < n) {
                    client.push_back(imap_view_uid(&v, imap_seq{static_cast<uint32_t>(client.size()) + 1}).v);
                }
            }
        }
        ASSERT_EQ(client.size(), imap_view_exists(&v));
        for (size_t i = 0; i < client.size(); i++) {
            ASSERT_EQ(client[i], imap_view_uid(&v, imap_seq{static_cast<uint32_t>(i) + 1}).v);
        }
    }
}

} // namespace
