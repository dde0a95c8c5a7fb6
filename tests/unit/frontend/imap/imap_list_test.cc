#include "imap_fixture.h"

#include <algorithm>
#include <deque>

#include "frontend/imap/imap_list.h"
#include "proto/rpc/flags.h"

namespace
{

class ImapList : public ImapTest
{
  protected:
    Pb__MailboxInfo *add(const std::string &name, bool subscribed = false)
    {
        names_.push_back(name);
        infos_.emplace_back();
        Pb__MailboxInfo *m = &infos_.back();
        *m = PB__MAILBOX_INFO__INIT;
        m->name = names_.back().data();
        m->subscribed = subscribed;
        list_.push_back(m);
        return m;
    }
    std::string list(const std::string &args, bool lsub = false)
    {
        imap_list l = {};
        l.lsub = lsub;
        imap_cursor c = cursor(args);
        if (!imap_parse_list(&c, &l)) {
            return std::string("bad: ") + c.reason;
        }
        Out o;
        std::reverse(list_.begin(), list_.end());
        EXPECT_EQ(OK, imap_list_format(&l, list_.data(), list_.size(), &arena, &o.out));
        return o.take();
    }

  private:
    std::deque<std::string> names_;
    std::deque<Pb__MailboxInfo> infos_;
    std::vector<Pb__MailboxInfo *> list_;
};

TEST_F(ImapList, PlainListHasChildrenAndUses)
{
    add("INBOX");
    add("Sent")->special_use = SPECIAL_USE_SENT;
    add("a")->has_children = true;
    add("a/b");
    EXPECT_EQ("* LIST (\\HasNoChildren) \"/\" \"INBOX\"\r\n"
              "* LIST (\\HasNoChildren \\Sent) \"/\" \"Sent\"\r\n"
              "* LIST (\\HasChildren) \"/\" \"a\"\r\n",
              list(" \"\" %"));
    EXPECT_EQ("* LIST (\\HasNoChildren) \"/\" \"a/b\"\r\n", list(" a/ *"));
    EXPECT_EQ("* LIST (\\HasNoChildren) \"/\" \"INBOX\"\r\n", list(" \"\" inbox"));
    EXPECT_EQ("", list(" \"\" nosuch"));
}

TEST_F(ImapList, NoselectIsSaid)
{
    Pb__MailboxInfo *m = add("a");
    m->noselect = true;
    m->has_children = true;
    EXPECT_EQ("* LIST (\\Noselect \\HasChildren) \"/\" \"a\"\r\n", list(" \"\" *"));
}

TEST_F(ImapList, SubscriptionsWithoutAMailbox)
{
    add("a", true);
    add("gone", true)->nonexistent = true;
    EXPECT_EQ("* LIST (\\HasNoChildren) \"/\" \"a\"\r\n", list(" \"\" *"));
    EXPECT_EQ("* LIST (\\HasNoChildren \\Subscribed) \"/\" \"a\"\r\n"
              "* LIST (\\NonExistent \\HasNoChildren \\Subscribed) \"/\" \"gone\"\r\n",
              list(" (SUBSCRIBED) \"\" *"));
    EXPECT_EQ("* LSUB () \"/\" \"a\"\r\n* LSUB (\\Noselect) \"/\" \"gone\"\r\n", list(" \"\" *", true));
    EXPECT_EQ("* LIST (\\HasNoChildren \\Subscribed) \"/\" \"a\"\r\n", list(" \"\" * RETURN (SUBSCRIBED)"));
}

TEST_F(ImapList, LsubShowsTheParentOfAHiddenChild)
{
    add("a")->has_children = true;
    add("a/b", true);
    add("x/y/z", true)->nonexistent = true;
    add("x/y/zz", true)->nonexistent = true;
    EXPECT_EQ("* LSUB (\\Noselect) \"/\" \"x\"\r\n* LSUB (\\Noselect) \"/\" \"a\"\r\n", list(" \"\" %", true));
    EXPECT_EQ(
        "* LSUB () \"/\" \"a/b\"\r\n* LSUB (\\Noselect) \"/\" \"x/y/z\"\r\n* LSUB (\\Noselect) \"/\" \"x/y/zz\"\r\n",
        list(" \"\" *", true));
}

TEST_F(ImapList, RecursiveMatchTellsOfChildren)
{
    add("a")->has_children = true;
    add("a/b", true);
    add("c", true);
    EXPECT_EQ("* LIST (\\HasChildren) \"/\" \"a\" (\"CHILDINFO\" (\"SUBSCRIBED\"))\r\n"
              "* LIST (\\HasNoChildren \\Subscribed) \"/\" \"c\"\r\n",
              list(" (SUBSCRIBED RECURSIVEMATCH) \"\" %"));
}

TEST_F(ImapList, RecursiveMatchDoesNotTellOfChildrenThatAreInTheAnswer)
{
    add("a")->has_children = true;
    add("a/b", true);
    add("d", true)->has_children = true;
    add("d/e", true);
    add("x/b", true)->nonexistent = true;
    add("x/z", true)->nonexistent = true;
    std::string b = "* LIST (\\HasNoChildren \\Subscribed) \"/\" \"a/b\"\r\n";
    EXPECT_EQ(b, list(" (SUBSCRIBED RECURSIVEMATCH) \"\" (a a/b)"));
    EXPECT_EQ("* LIST (\\HasChildren \\Subscribed) \"/\" \"d\" (\"CHILDINFO\" (\"SUBSCRIBED\"))\r\n"
              "* LIST (\\HasNoChildren \\Subscribed) \"/\" \"d/e\"\r\n",
              list(" (SUBSCRIBED RECURSIVEMATCH) \"\" (d d/e)"));
    /* x/z is not in the answer, so x is. */
    EXPECT_EQ("* LIST (\\NonExistent \\HasChildren) \"/\" \"x\" (\"CHILDINFO\" (\"SUBSCRIBED\"))\r\n"
              "* LIST (\\NonExistent \\HasNoChildren \\Subscribed) \"/\" \"x/b\"\r\n",
              list(" (SUBSCRIBED RECURSIVEMATCH) \"\" (x x/b)"));
}

TEST_F(ImapList, APatternThatIsNoModifiedUtf7MatchesNothing)
{
    add("a");
    EXPECT_EQ("", list(" \"\" \"&*\""));
    EXPECT_EQ("", list(" \"\" \"*\xc3\xa9\""));
}

TEST_F(ImapList, SpecialUseSelects)
{
    add("Sent")->special_use = SPECIAL_USE_SENT;
    add("a");
    EXPECT_EQ("* LIST (\\HasNoChildren \\Sent) \"/\" \"Sent\"\r\n", list(" (SPECIAL-USE) \"\" *"));
}

TEST_F(ImapList, StatusFollowsEachSelectableMailbox)
{
    Pb__MailboxInfo *m = add("a");
    m->messages = 3;
    m->size_bytes = 4000000000000;
    add("b")->noselect = true;
    EXPECT_EQ("* LIST (\\HasNoChildren) \"/\" \"a\"\r\n"
              "* STATUS \"a\" (MESSAGES 3 SIZE 4000000000000)\r\n"
              "* LIST (\\Noselect \\HasNoChildren) \"/\" \"b\"\r\n",
              list(" \"\" * RETURN (STATUS (MESSAGES SIZE))"));
}

TEST_F(ImapList, SeveralPatternsGiveEachMailboxOnce)
{
    add("a");
    add("b");
    EXPECT_EQ("* LIST (\\HasNoChildren) \"/\" \"a\"\r\n* LIST (\\HasNoChildren) \"/\" \"b\"\r\n",
              list(" \"\" (a * b)"));
}

TEST_F(ImapList, BadListsAreRefused)
{
    for (const char *text : {"", " \"\"", " \"\" ()", " (FOO) \"\" *", " (RECURSIVEMATCH) \"\" *", " \"\" * RETURN",
                             " \"\" * RETURN (FOO)", " \"\" * RETURN (STATUS ())", " \"\" (a", " \"\" * x"}) {
        EXPECT_EQ("bad: ", list(text).substr(0, 5)) << text;
    }
    EXPECT_EQ("bad: ", list(" (SUBSCRIBED) \"\" *", true).substr(0, 5));
}

} // namespace
