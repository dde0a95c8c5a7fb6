#include "imap_fixture.h"

#include "frontend/imap/imap_fetch.h"
#include "proto/base/bytes.h"
#include "proto/rpc/flags.h"

namespace
{

class ImapFetch : public ImapTest
{
  protected:
    void SetUp() override
    {
        ImapTest::SetUp();
        imap_view_init(&v);
        memset(&f, 0, sizeof(f));
        memset(&session, 0, sizeof(session));
        run = {};
        run.s = &session;
        run.out = &o.out;
        run.view = &v;
    }
    void TearDown() override
    {
        imap_view_fini(&v);
        ImapTest::TearDown();
    }
    bool items(const std::string &text)
    {
        memset(&f, 0, sizeof(f));
        imap_cursor c = cursor(text);
        return imap_parse_fetch_items(&c, &f) && c.p == c.end;
    }
    std::string names()
    {
        std::string s;
        for (size_t i = 0; i < f.n; i++) {
            s += (i > 0 ? " " : "") + (f.args[i].section ? str(f.args[i].label) : std::string(f.args[i].item->name));
        }
        return s;
    }
    std::string format(const std::string &text, const imap_row &row)
    {
        EXPECT_TRUE(items(text));
        imap_fetch_format(&run, &f, &row);
        return o.take();
    }
    imap_view v;
    struct imap_fetch f;
    struct imap_session session;
    struct imap_fetch_run run;
    Out o;
};

TEST_F(ImapFetch, MacrosStandForTheirItems)
{
    ASSERT_TRUE(items("FAST"));
    EXPECT_EQ("FLAGS INTERNALDATE RFC822.SIZE", names());
    ASSERT_TRUE(items("all"));
    EXPECT_EQ("FLAGS INTERNALDATE RFC822.SIZE ENVELOPE", names());
    ASSERT_TRUE(items("FULL"));
    EXPECT_EQ("FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODY", names());
    EXPECT_FALSE(items("(ALL)"));
    EXPECT_FALSE(items("FAST FLAGS"));
}

TEST_F(ImapFetch, RepeatedItemsComeOnce)
{
    ASSERT_TRUE(items("(FLAGS UID flags UID)"));
    EXPECT_EQ("FLAGS UID", names());
    ASSERT_TRUE(items("(BODY[] BODY[1] BODY BODY.PEEK[TEXT])"));
    EXPECT_EQ("BODY[] BODY[1] BODY BODY[TEXT]", names());
}

TEST_F(ImapFetch, OnlyWhatIsAskedForIsRead)
{
    ASSERT_TRUE(items("(UID)"));
    EXPECT_EQ(0u, f.columns);
    EXPECT_FALSE(f.content);
    ASSERT_TRUE(items("(FLAGS MODSEQ)"));
    EXPECT_EQ(FETCH_COL_FLAGS | FETCH_COL_MODSEQ, f.columns);
    ASSERT_TRUE(items("(BODY.PEEK[])"));
    EXPECT_EQ(FETCH_COL_SIZE | FETCH_COL_CONTENT, f.columns);
    ASSERT_TRUE(items("(BODY.PEEK[]<0.100>)"));
    EXPECT_EQ(FETCH_COL_SIZE, f.columns);
    ASSERT_TRUE(items("(BODY.PEEK[HEADER.FIELDS (SUBJECT to)])"));
    EXPECT_EQ(FETCH_COL_HEADERS, f.columns);
    ASSERT_TRUE(items("(BODY.PEEK[HEADER.FIELDS (SUBJECT X-Own)])"));
    EXPECT_EQ(FETCH_COL_RECORD, f.columns);
    ASSERT_TRUE(items("(BODY.PEEK[])"));
    EXPECT_TRUE(f.content);
    EXPECT_FALSE(f.sets_seen);
    ASSERT_TRUE(items("RFC822"));
    EXPECT_TRUE(f.sets_seen);
    ASSERT_TRUE(items("RFC822.HEADER"));
    EXPECT_FALSE(f.sets_seen);
    ASSERT_TRUE(items("BODY[TEXT]"));
    EXPECT_TRUE(f.sets_seen);
    ASSERT_TRUE(items("BODY"));
    EXPECT_EQ(FETCH_COL_BODY, f.columns);
    EXPECT_FALSE(f.sets_seen);
}

TEST_F(ImapFetch, UnknownItemsAreRefused)
{
    for (const char *text :
         {"", "()", "FOO", "(FLAGS", "FLAGS)", "(FLAGS  UID)", "BODY.PEEK", "BODY[", "RFC822.", "( FLAGS)"}) {
        EXPECT_FALSE(items(text)) << text;
    }
}

TEST_F(ImapFetch, RowsAreWrittenAsTheRfcWants)
{
    imap_row row = {};
    row.uid = 7;
    row.seq = 2;
    row.flags = FLAG_SEEN | FLAG_ANSWERED;
    row.size = 1234;
    row.internal_s = 837596665;
    row.modseq = UINT64_C(9000000000);
    EXPECT_EQ("* 2 FETCH (UID 7 FLAGS (\\Answered \\Seen) RFC822.SIZE 1234)\r\n",
              format("(UID FLAGS RFC822.SIZE)", row));
    EXPECT_EQ("* 2 FETCH (INTERNALDATE \"17-Jul-1996 09:44:25 +0000\" MODSEQ (9000000000))\r\n",
              format("(INTERNALDATE MODSEQ)", row));
    row.flags = 0;
    row.recent = true;
    EXPECT_EQ("* 2 FETCH (FLAGS (\\Recent))\r\n", format("FLAGS", row));
    row.recent = false;
    EXPECT_EQ("* 2 FETCH (FLAGS ())\r\n", format("FLAGS", row));
}

TEST_F(ImapFetch, KeywordsFollowTheSystemFlags)
{
    char a[] = "$Junk";
    char b[] = "work";
    char *kw[] = {a, b};
    bool changed;
    ASSERT_EQ(OK, imap_view_set_keywords(&v, kw, 2, &changed));
    imap_row row = {};
    row.seq = 1;
    row.flags = UINT64_C(3) << FLAG_KEYWORD_SHIFT;
    EXPECT_EQ("* 1 FETCH (FLAGS ($Junk work))\r\n", format("FLAGS", row));
    row.flags |= FLAG_FLAGGED | FLAG_OVERFLOW;
    EXPECT_EQ("* 1 FETCH (FLAGS (\\Flagged $Junk work))\r\n", format("FLAGS", row));
    row.flags = UINT64_C(4) << FLAG_KEYWORD_SHIFT; /* not in the table yet */
    EXPECT_EQ("* 1 FETCH (FLAGS ())\r\n", format("FLAGS", row));
}

TEST_F(ImapFetch, KeywordsBeyondTheRowAreInTheOverflow)
{
    std::vector<std::string> names;
    std::vector<char *> kw;
    bool changed;
    for (int i = 0; i < 58; i++) {
        names.push_back("k" + std::to_string(i));
    }
    for (std::string &n : names) {
        kw.push_back(&n[0]);
    }
    ASSERT_EQ(OK, imap_view_set_keywords(&v, kw.data(), kw.size(), &changed));
    uint8_t over[IMAP_OVERFLOW_BYTES] = {0x05};
    imap_row row = {};
    row.seq = 1;
    row.flags = FLAG_OVERFLOW | UINT64_C(1) << 62;
    row.overflow = over;
    EXPECT_EQ("* 1 FETCH (FLAGS (k54 k55 k57))\r\n", format("FLAGS", row));
    over[0] = 0;
    over[23] = 0x80; /* a bit that the table does not name yet */
    EXPECT_EQ("* 1 FETCH (FLAGS (k54))\r\n", format("FLAGS", row));
}

TEST_F(ImapFetch, AMessageJustSeenTellsItsFlags)
{
    imap_row row = {};
    row.uid = 7;
    row.seq = 2;
    row.flags = FLAG_SEEN;
    row.modseq = 5;
    row.seen_now = true;
    EXPECT_EQ("* 2 FETCH (UID 7 FLAGS (\\Seen))\r\n", format("UID", row));
    EXPECT_EQ("* 2 FETCH (FLAGS (\\Seen))\r\n", format("FLAGS", row));
    session.condstore = true;
    EXPECT_EQ("* 2 FETCH (UID 7 FLAGS (\\Seen) MODSEQ (5))\r\n", format("UID", row));
}

TEST_F(ImapFetch, StructuresAreCopied)
{
    imap_row row = {};
    row.seq = 1;
    row.envelope = slice_str("(NIL)");
    row.bodystructure = slice_str("(\"a\")");
    row.body = slice_str("(b)");
    EXPECT_EQ("* 1 FETCH (ENVELOPE (NIL) BODYSTRUCTURE (\"a\") BODY (b))\r\n",
              format("(ENVELOPE BODYSTRUCTURE BODY)", row));
}

TEST_F(ImapFetch, ObjectIdsHaveALetter)
{
    imap_row row = {};
    row.seq = 1;
    uint8_t id[16] = {0xab};
    row.emailid = slice_make(id, 16);
    EXPECT_EQ("* 1 FETCH (EMAILID (Mab000000000000000000000000000000))\r\n", format("EMAILID", row));
}

/* A page as storage makes it, with two rows. */
struct Page {
    Page()
    {
        r = PB__READ_FETCH_RESULT__INIT;
        r.rows = 2;
        put_le32(uid, 3);
        put_le32(uid + 4, 9);
        put_le64(flags, FLAG_SEEN);
        put_le64(flags + 8, 0);
        uint32_t n[] = {1, 2, 3, 0};
        for (int i = 0; i < 4; i++) {
            put_le32(lens + 4 * i, n[i]);
        }
        r.uid = {8, uid};
        r.flags = {16, flags};
        r.lens = {16, lens};
    }
    Pb__ReadFetchResult r;
    uint8_t uid[8];
    uint8_t flags[16];
    uint8_t lens[16];
};

TEST_F(ImapFetch, PagesGiveTheirRowsColumnByColumn)
{
    Page p;
    imap_page page;
    imap_row row;
    uint32_t columns = FETCH_COL_FLAGS | FETCH_COL_ENVELOPE | FETCH_COL_RECORD;
    ASSERT_EQ(OK, imap_page_init(&page, &p.r, slice_str("abbccc"), columns));
    ASSERT_EQ(OK, imap_page_row(&page, 0, &row));
    EXPECT_EQ(3u, row.uid);
    EXPECT_EQ(FLAG_SEEN, row.flags);
    EXPECT_EQ("a", str(row.envelope));
    EXPECT_EQ("bb", str(row.record));
    ASSERT_EQ(OK, imap_page_row(&page, 1, &row));
    EXPECT_EQ(9u, row.uid);
    EXPECT_EQ("ccc", str(row.envelope));
    EXPECT_EQ("", str(row.record));
}

TEST_F(ImapFetch, OverflowBelongsToTheRowsThatSaySo)
{
    Page p;
    imap_page page;
    imap_row row;
    uint8_t over[IMAP_OVERFLOW_BYTES] = {7};
    put_le64(p.flags + 8, FLAG_OVERFLOW);
    p.r.overflow = {sizeof(over), over};
    ASSERT_EQ(OK, imap_page_init(&page, &p.r, slice_str(""), FETCH_COL_FLAGS));
    ASSERT_EQ(OK, imap_page_row(&page, 0, &row));
    EXPECT_EQ(nullptr, row.overflow);
    ASSERT_EQ(OK, imap_page_row(&page, 1, &row));
    EXPECT_EQ(over, row.overflow);
    p.r.overflow.len = 23;
    ASSERT_EQ(OK, imap_page_init(&page, &p.r, slice_str(""), FETCH_COL_FLAGS));
    ASSERT_EQ(OK, imap_page_row(&page, 0, &row));
    EXPECT_EQ(ERR_CORRUPT, imap_page_row(&page, 1, &row));
}

TEST_F(ImapFetch, PagesThatLieAboutTheirSizeAreCorrupt)
{
    Page p;
    imap_page page;
    imap_row row;
    uint32_t columns = FETCH_COL_FLAGS | FETCH_COL_ENVELOPE | FETCH_COL_RECORD;
    p.r.flags.len = 8;
    EXPECT_EQ(ERR_CORRUPT, imap_page_init(&page, &p.r, slice_str("abbccc"), columns));
    p.r.flags.len = 16;
    p.r.lens.len = 12;
    EXPECT_EQ(ERR_CORRUPT, imap_page_init(&page, &p.r, slice_str("abbccc"), columns));
    p.r.lens.len = 16;
    p.r.rows = 3;
    EXPECT_EQ(ERR_CORRUPT, imap_page_init(&page, &p.r, slice_str("abbccc"), columns));
    p.r.rows = 2;
    ASSERT_EQ(OK, imap_page_init(&page, &p.r, slice_str("abbcc"), columns));
    EXPECT_EQ(OK, imap_page_row(&page, 0, &row));
    EXPECT_EQ(ERR_CORRUPT, imap_page_row(&page, 1, &row));
}

} // namespace
