#include "imap_fixture.h"

#include "frontend/imap/imap_search.h"
#include "proto/rpc/flags.h"

namespace
{

class ImapSearch : public ImapTest
{
  protected:
    void SetUp() override
    {
        ImapTest::SetUp();
        imap_view_init(&v);
        Uids u({{10, 14}, {20, 20}});
        ASSERT_EQ(OK, imap_view_add(&v, &u.set, 14));
    }
    void TearDown() override
    {
        imap_view_fini(&v);
        ImapTest::TearDown();
    }
    std::string show(const Pb__SearchKey *k)
    {
        static const char *const names[] = {
            "ALL",  "AND",   "OR",     "NOT",  "UIDS", "FLAGS",  "KEYWORD",       "LARGER",  "SMALLER", "INTERNAL",
            "SENT", "SAVED", "HEADER", "BODY", "TEXT", "MODSEQ", "NEW_SINCE_UID", "ADDRESS", "EMAILID", "THREADID"};
        std::string s = names[k->op];
        if (k->n_children > 0) {
            s += "(";
            for (size_t i = 0; i < k->n_children; i++) {
                s += (i > 0 ? " " : "") + show(k->children[i]);
            }
            return s + ")";
        }
        if (k->op == PB__SEARCH_KEY__OP__UIDS) {
            Uids u;
            EXPECT_EQ(OK, uidset_decode(&u.set, slice_make(k->uids.data, k->uids.len), 100));
            s += "=" + u.text();
        }
        if (k->flags_set != 0) {
            s += "+" + std::to_string(k->flags_set);
        }
        if (k->flags_clear != 0) {
            s += "-" + std::to_string(k->flags_clear);
        }
        if (k->name != nullptr && k->name[0] != 0) {
            s += ":" + std::string(k->name);
        }
        if (k->text.data != nullptr) {
            s += "<" + std::string(reinterpret_cast<char *>(k->text.data), k->text.len) + ">";
        }
        if (k->number != 0) {
            s += "#" + std::to_string(k->number);
        }
        if (k->from_s != 0 || k->to_s != 0) {
            s += "[" + (k->from_s == INT64_MIN ? "" : std::to_string(k->from_s)) + "," +
                 (k->to_s == INT64_MAX ? "" : std::to_string(k->to_s)) + ")";
        }
        return s;
    }
    std::string compile(const std::string &text)
    {
        search = {};
        imap_cursor c = cursor(" " + text);
        if (!imap_parse_search(&c, &search)) {
            return std::string("bad: ") + c.reason;
        }
        enum err e = imap_search_resolve(&search, &v, &arena);
        return e == OK ? show(search.key) : err_name(e);
    }
    std::string format(bool uid, const std::vector<std::pair<uint32_t, uint32_t>> &ranges, uint64_t modseq = 0)
    {
        Uids u(ranges);
        imap_search_format(&o.out, &search, slice_str("a1"), uid, &u.set, modseq);
        return o.take();
    }
    imap_view v;
    imap_search search;
    Out o;
};

TEST_F(ImapSearch, KeysThatStandSideBySideAreAnd)
{
    EXPECT_EQ("ALL", compile("ALL"));
    EXPECT_EQ("AND(FLAGS+8 FLAGS-2)", compile("SEEN UNFLAGGED"));
    EXPECT_EQ("AND(FLAGS+4 FLAGS+8 ALL)", compile("(DELETED (SEEN) ALL)"));
    EXPECT_EQ("OR(FLAGS+4 NOT(FLAGS+8))", compile("or deleted not seen"));
    EXPECT_EQ("OR(OR(ALL ALL) AND(ALL ALL))", compile("OR OR ALL ALL (ALL ALL)"));
}

TEST_F(ImapSearch, SetsAreResolvedInTheView)
{
    EXPECT_EQ("UIDS=11:12", compile("2:3"));
    EXPECT_EQ("UIDS=14:20", compile("5:*"));
    EXPECT_EQ("UIDS=20", compile("*"));
    EXPECT_EQ("UIDS=14:20", compile("UID 14:25"));
    EXPECT_EQ("UIDS=", compile("UID 15:19"));
    EXPECT_EQ("NOT(UIDS=10)", compile("NOT 1"));
    EXPECT_EQ("ERR_INVAL", compile("7"));
}

TEST_F(ImapSearch, RecentIsOfThisSession)
{
    EXPECT_EQ("UIDS=14:20", compile("RECENT"));
    EXPECT_EQ("NOT(UIDS=14:20)", compile("OLD"));
    EXPECT_EQ("AND(UIDS=14:20 FLAGS-8)", compile("NEW"));
}

TEST_F(ImapSearch, StringsAndHeaders)
{
    EXPECT_EQ("ADDRESS:From<a b>", compile("FROM \"a b\""));
    EXPECT_EQ("HEADER:Subject<x>", compile("SUBJECT x"));
    EXPECT_EQ("HEADER:X-Y<>", compile("HEADER X-Y \"\""));
    EXPECT_EQ("BODY<lit>", compile("BODY {3}\r\nlit"));
    EXPECT_EQ("TEXT<t>", compile("TEXT t"));
    EXPECT_EQ("KEYWORD:$Junk", compile("KEYWORD $Junk"));
    EXPECT_EQ("NOT(KEYWORD:a)", compile("UNKEYWORD a"));
}

TEST_F(ImapSearch, DatesAreRangesOfDays)
{
    EXPECT_EQ("INTERNAL[,760060800)", compile("BEFORE 1-Feb-1994"));
    EXPECT_EQ("INTERNAL[760060800,760147200)", compile("ON 1-Feb-1994"));
    EXPECT_EQ("INTERNAL[760060800,)", compile("SINCE 1-Feb-1994"));
    EXPECT_EQ("SENT[760060800,)", compile("SENTSINCE \"1-Feb-1994\""));
    EXPECT_EQ("SAVED[,760060800)", compile("SAVEDBEFORE 1-Feb-1994"));
}

TEST_F(ImapSearch, NumbersAndModseq)
{
    EXPECT_EQ("LARGER#100", compile("LARGER 100"));
    EXPECT_EQ("SMALLER#100", compile("SMALLER 100"));
    EXPECT_FALSE(search.has_modseq);
    EXPECT_EQ("MODSEQ#5", compile("MODSEQ 5"));
    EXPECT_TRUE(search.has_modseq);
    EXPECT_EQ("MODSEQ#6", compile("MODSEQ \"/flags/\\\\draft\" all 6"));
}

TEST_F(ImapSearch, CharsetsAreConverted)
{
    EXPECT_EQ("TEXT<\xc3\xa4>", compile("CHARSET iso-8859-1 TEXT {1}\r\n\xe4"));
    EXPECT_FALSE(search.bad_charset);
    EXPECT_EQ("TEXT<\xc3\xa4>", compile("CHARSET UTF-8 TEXT {2}\r\n\xc3\xa4"));
    (void)compile("CHARSET x-unknown TEXT a");
    EXPECT_TRUE(search.bad_charset);
}

TEST_F(ImapSearch, BadKeysAreRefused)
{
    for (const char *text : {"",
                             "FOO",
                             "NOT",
                             "OR ALL",
                             "(ALL",
                             "ALL)",
                             "FROM",
                             "LARGER x",
                             "BEFORE 1994",
                             "UID",
                             "UID x",
                             "()",
                             "KEYWORD",
                             "MODSEQ",
                             "CHARSET",
                             "CHARSET utf-8",
                             "RETURN (FOO) ALL",
                             "RETURN ALL",
                             "HEADER a",
                             "ALL  ALL",
                             "1,",
                             "MODSEQ \"a\" x 5"}) {
        EXPECT_EQ("bad: ", compile(text).substr(0, 5)) << text;
    }
}

TEST_F(ImapSearch, TheNumberOfKeysIsBounded)
{
    std::string text = "ALL";
    for (int i = 0; i < IMAP_SEARCH_KEYS_MAX; i++) {
        text += " ALL";
    }
    EXPECT_EQ("bad: Too many search keys", compile(text));
}

TEST_F(ImapSearch, PlainResultsListEveryNumber)
{
    (void)compile("ALL");
    EXPECT_EQ("* SEARCH 2 3 4 9\r\n", format(false, {{2, 4}, {9, 9}}));
    EXPECT_EQ("* SEARCH\r\n", format(false, {}));
    (void)compile("MODSEQ 1");
    EXPECT_EQ("* SEARCH 2 (MODSEQ 7)\r\n", format(true, {{2, 2}}, 7));
    EXPECT_EQ("* SEARCH\r\n", format(true, {}, 0));
}

TEST_F(ImapSearch, ExtendedResultsGiveWhatWasAskedFor)
{
    (void)compile("RETURN () ALL");
    EXPECT_EQ("* ESEARCH (TAG \"a1\") ALL 2:4,9\r\n", format(false, {{2, 4}, {9, 9}}));
    EXPECT_EQ("* ESEARCH (TAG \"a1\")\r\n", format(false, {}));
    (void)compile("RETURN (MIN MAX COUNT) MODSEQ 1");
    EXPECT_EQ("* ESEARCH (TAG \"a1\") UID MIN 2 MAX 9 COUNT 4 MODSEQ 8\r\n", format(true, {{2, 4}, {9, 9}}, 8));
    EXPECT_EQ("* ESEARCH (TAG \"a1\") UID COUNT 0\r\n", format(true, {}, 8));
}

} // namespace
