/* Every command in every state, driven by the descriptors: a command without a sample here fails. */
#include "imap_fixture.h"

#include <map>

#include "frontend/imap/imap_cmd.h"
#include "frontend/imap/imap_fetch.h"
#include "frontend/imap/imap_status.h"

namespace
{

struct Sample {
    const char *good;     /* arguments */
    const char *bad;      /* arguments that must be refused */
    const char *uid_good; /* with the UID prefix, when they differ */
};

const std::map<std::string, Sample> samples = {
    {"APPEND", {" INBOX (\\Seen) \" 1-Jan-2020 00:00:00 +0000\" {5}\r\n", " INBOX (\\Seen) {5}", nullptr}},
    {"AUTHENTICATE", {" PLAIN", "", nullptr}},
    {"CAPABILITY", {"", " x", nullptr}},
    {"CHECK", {"", " x", nullptr}},
    {"CLOSE", {"", " x", nullptr}},
    {"COPY", {" 1:* Trash", " 1:*", nullptr}},
    {"CREATE", {" a/b (USE (\\Sent))", "", nullptr}},
    {"DELETE", {" a", "", nullptr}},
    {"ENABLE", {" CONDSTORE FOO", "", nullptr}},
    {"EXAMINE", {" INBOX", "", nullptr}},
    {"EXPUNGE", {"", " 1", " 1:5"}},
    {"FETCH", {" 1 (FLAGS BODY[])", " 1", nullptr}},
    {"ID", {" (\"name\" \"x\" \"version\" NIL)", "", nullptr}},
    {"IDLE", {"", " x", nullptr}},
    {"LIST", {" (SUBSCRIBED) \"\" (\"*\" a) RETURN (STATUS (MESSAGES) CHILDREN)", " \"\"", nullptr}},
    {"LOGIN", {" a b", " a", nullptr}},
    {"LOGOUT", {"", " x", nullptr}},
    {"LSUB", {" \"\" %", " \"\"", nullptr}},
    {"MOVE", {" 1 Trash", " 1", nullptr}},
    {"NAMESPACE", {"", " x", nullptr}},
    {"NOOP", {"", " x", nullptr}},
    {"RENAME", {" a b", " a", nullptr}},
    {"SEARCH", {" UNSEEN", "", nullptr}},
    {"SELECT", {" INBOX (CONDSTORE)", "", nullptr}},
    {"STARTTLS", {"", " x", nullptr}},
    {"STATUS", {" INBOX (MESSAGES UIDNEXT)", " INBOX ()", nullptr}},
    {"STORE", {" 1 (UNCHANGEDSINCE 5) +FLAGS.SILENT (\\Seen)", " 1 FOO (\\Seen)", nullptr}},
    {"SUBSCRIBE", {" a", "", nullptr}},
    {"UNSELECT", {"", " x", nullptr}},
    {"UNSUBSCRIBE", {" a", "", nullptr}},
};

const imap_state states[] = {IMAP_STATE_NOT_AUTHENTICATED, IMAP_STATE_AUTHENTICATED, IMAP_STATE_SELECTED,
                             IMAP_STATE_LOGOUT};

class ImapCmd : public ImapTest
{
  protected:
    imap_parsed parse(const std::string &text, imap_state state)
    {
        arena_reset(&arena);
        delete text_;
        text_ = new Text(text);
        return imap_command_parse(text_->get(), state, &imap_limits_default, &arena, &cmd);
    }
    void TearDown() override
    {
        delete text_;
        ImapTest::TearDown();
    }
    imap_command cmd;

  private:
    Text *text_ = nullptr;
};

TEST_F(ImapCmd, EveryCommandHasASample)
{
    size_t n = 0;
    for (; imap_cmd_table[n] != nullptr; n++) {
        EXPECT_EQ(1u, samples.count(imap_cmd_table[n]->name)) << imap_cmd_table[n]->name;
    }
    EXPECT_EQ(samples.size(), n);
}

TEST_F(ImapCmd, EveryCommandRunsInItsStatesOnly)
{
    for (size_t i = 0; imap_cmd_table[i] != nullptr; i++) {
        const imap_cmd *d = imap_cmd_table[i];
        ASSERT_NE(nullptr, d->parse) << d->name;
        ASSERT_NE(nullptr, d->run) << d->name;
        for (imap_state state : states) {
            imap_parsed got = parse("tag1 " + std::string(d->name) + samples.at(d->name).good, state);
            bool allowed = (d->states & state) != 0;
            EXPECT_EQ(allowed ? IMAP_PARSED_OK : IMAP_PARSED_BAD, got) << d->name << " in " << state;
            EXPECT_EQ("tag1", str(cmd.tag));
            EXPECT_EQ(allowed, cmd.reply.text == nullptr);
        }
    }
}

TEST_F(ImapCmd, EveryCommandRefusesBadArguments)
{
    for (size_t i = 0; imap_cmd_table[i] != nullptr; i++) {
        const imap_cmd *d = imap_cmd_table[i];
        auto state = static_cast<imap_state>(d->states & -d->states);
        EXPECT_EQ(IMAP_PARSED_BAD, parse("t " + std::string(d->name) + samples.at(d->name).bad, state)) << d->name;
        ASSERT_NE(nullptr, cmd.reply.text) << d->name;
        EXPECT_EQ(IMAP_STATUS_BAD, cmd.reply.status);
    }
}

TEST_F(ImapCmd, TheUidPrefixIsForThoseThatHaveIt)
{
    for (size_t i = 0; imap_cmd_table[i] != nullptr; i++) {
        const imap_cmd *d = imap_cmd_table[i];
        const Sample &s = samples.at(d->name);
        auto state = static_cast<imap_state>(d->states & -d->states);
        std::string args = s.uid_good != nullptr ? s.uid_good : s.good;
        bool has = (d->flags & IMAP_CMD_UID) != 0;
        EXPECT_EQ(has ? IMAP_PARSED_OK : IMAP_PARSED_BAD, parse("t uid " + std::string(d->name) + args, state))
            << d->name;
        EXPECT_TRUE(!has || cmd.uid);
    }
}

TEST_F(ImapCmd, NamesHaveNoCaseAndAreUnique)
{
    EXPECT_EQ(IMAP_PARSED_OK, parse("a nOoP", IMAP_STATE_SELECTED));
    for (size_t i = 0; imap_cmd_table[i] != nullptr; i++) {
        EXPECT_EQ(imap_cmd_table[i], imap_cmd_find(slice_str(imap_cmd_table[i]->name)));
    }
    for (size_t i = 0; imap_fetch_table[i] != nullptr; i++) {
        EXPECT_EQ(imap_fetch_table[i], imap_fetch_item_find(slice_str(imap_fetch_table[i]->name)));
    }
}

/* A sample cut anywhere is BAD, or it is shorter but right; it never crashes and never claims to wait for a literal. */
TEST_F(ImapCmd, EveryCutOfEveryCommandIsAnsweredWithAReason)
{
    for (size_t i = 0; imap_cmd_table[i] != nullptr; i++) {
        const imap_cmd *d = imap_cmd_table[i];
        auto state = static_cast<imap_state>(d->states & -d->states);
        std::string text = "t " + std::string(d->name) + samples.at(d->name).good;
        for (size_t n = 0; n < text.size(); n++) {
            imap_parsed got = parse(text.substr(0, n), state);
            EXPECT_NE(IMAP_PARSED_MORE, got) << text.substr(0, n);
            EXPECT_TRUE(got == IMAP_PARSED_OK || cmd.reply.text != nullptr) << text.substr(0, n);
        }
    }
}

TEST_F(ImapCmd, ALiteralAnnouncedByAWrongCommandIsRefusedBeforeItIsSent)
{
    EXPECT_EQ(IMAP_PARSED_BAD, parse("a FOO {5}\r\n", IMAP_STATE_SELECTED));
    EXPECT_STREQ("Unknown command", cmd.reply.text);
    EXPECT_EQ(IMAP_PARSED_BAD, parse("a SELECT {5}\r\n", IMAP_STATE_NOT_AUTHENTICATED));
    EXPECT_EQ(IMAP_PARSED_BAD, parse("a NOOP {5}\r\n", IMAP_STATE_SELECTED));
    EXPECT_EQ(IMAP_PARSED_MORE, parse("a SELECT {5}\r\n", IMAP_STATE_AUTHENTICATED));
    EXPECT_EQ(IMAP_PARSED_MORE, parse("a APPEND {5}\r\n", IMAP_STATE_AUTHENTICATED));
    EXPECT_EQ(IMAP_PARSED_OK, parse("a APPEND {5}\r\ninbox {500}\r\n", IMAP_STATE_AUTHENTICATED));
    EXPECT_EQ(IMAP_PARSED_BAD, parse("a APPEND inbox (\\Foo) {500}\r\n", IMAP_STATE_AUTHENTICATED));
}

TEST_F(ImapCmd, TagsAreChecked)
{
    for (const char *text : {"", " ", "+ NOOP", "a+b NOOP", "* NOOP", "\"a\" NOOP", "(a) NOOP", "\x80 NOOP"}) {
        EXPECT_EQ(IMAP_PARSED_BAD, parse(text, IMAP_STATE_SELECTED)) << text;
        EXPECT_EQ(0u, cmd.tag.n) << text;
    }
    EXPECT_EQ(IMAP_PARSED_OK, parse("A-1.]x NOOP", IMAP_STATE_SELECTED));
}

TEST_F(ImapCmd, EnablingCommandsOfCondstoreAreKnown)
{
    for (const char *text :
         {"SELECT a (CONDSTORE)", "STATUS a (HIGHESTMODSEQ)", "FETCH 1 MODSEQ", "FETCH 1 FLAGS (CHANGEDSINCE 5)",
          "SEARCH MODSEQ 5", "STORE 1 (UNCHANGEDSINCE 0) FLAGS ()"}) {
        ASSERT_EQ(IMAP_PARSED_OK, parse("a " + std::string(text), IMAP_STATE_SELECTED)) << text;
        EXPECT_TRUE(cmd.condstore) << text;
    }
    ASSERT_EQ(IMAP_PARSED_OK, parse("a FETCH 1 FLAGS", IMAP_STATE_SELECTED));
    EXPECT_FALSE(cmd.condstore);
}

TEST_F(ImapCmd, NestingIsBounded)
{
    std::string deep = "a SEARCH ";
    for (int i = 0; i < 200; i++) {
        deep += "(";
    }
    EXPECT_EQ(IMAP_PARSED_BAD, parse(deep, IMAP_STATE_SELECTED));
    EXPECT_STREQ("Nested too deeply", cmd.reply.text);
    deep = "a SEARCH ";
    for (int i = 0; i < 200; i++) {
        deep += "NOT ";
    }
    EXPECT_EQ(IMAP_PARSED_BAD, parse(deep + "ALL", IMAP_STATE_SELECTED));
    EXPECT_STREQ("Nested too deeply", cmd.reply.text);
}

} // namespace
