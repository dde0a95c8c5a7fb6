#include "imap_fixture.h"

#include <algorithm>
#include <random>
#include <set>

#include "frontend/imap/imap_view.h"

namespace
{

class ImapView : public ImapTest
{
  protected:
    void SetUp() override
    {
        ImapTest::SetUp();
        imap_view_init(&v);
    }
    void TearDown() override
    {
        imap_view_fini(&v);
        ImapTest::TearDown();
    }
    void add(const std::vector<std::pair<uint32_t, uint32_t>> &ranges, uint32_t recent = 0)
    {
        Uids u(ranges);
        ASSERT_EQ(OK, imap_view_add(&v, &u.set, recent));
    }
    std::string resolve(const std::string &text, bool uid)
    {
        imap_cursor c = cursor(text);
        imap_set set;
        EXPECT_TRUE(imap_parse_set(&c, &set));
        Uids out;
        enum err e = imap_view_resolve(&v, &set, uid, &out.set);
        return e == OK ? out.text() : err_name(e);
    }
    imap_view v;
};

TEST_F(ImapView, SequenceNumbersArePositions)
{
    add({{1, 3}, {7, 7}, {9, 12}});
    EXPECT_EQ(8u, imap_view_exists(&v));
    EXPECT_EQ(4u, imap_view_seq(&v, imap_uid{7}).v);
    EXPECT_EQ(0u, imap_view_seq(&v, imap_uid{8}).v);
    EXPECT_EQ(9u, imap_view_uid(&v, imap_seq{5}).v);
    EXPECT_EQ(0u, imap_view_uid(&v, imap_seq{9}).v);
    EXPECT_EQ(0u, imap_view_uid(&v, imap_seq{0}).v);
}

TEST_F(ImapView, SetsResolveByNumberAndByUid)
{
    add({{1, 3}, {7, 7}, {9, 12}});
    EXPECT_EQ("3,7,9", resolve("3:5", false));
    EXPECT_EQ("1:3,7,9:12", resolve("1:*", false));
    EXPECT_EQ("12", resolve("*", false));
    EXPECT_EQ("1:2,12", resolve("8,2,1", false));
    EXPECT_EQ("ERR_INVAL", resolve("9", false));
    EXPECT_EQ("ERR_INVAL", resolve("1:9", false));
    EXPECT_EQ("3,7", resolve("3:8", true));
    EXPECT_EQ("", resolve("4:6", true));
    EXPECT_EQ("9:12", resolve("8:*", true));
    EXPECT_EQ("12", resolve("100:*", true));
    EXPECT_EQ("", resolve("100:200", true));
    EXPECT_EQ("1:3,7,9:12", resolve("4294967295:1", true));
}

TEST_F(ImapView, AnEmptyMailboxHasNoLastMessage)
{
    EXPECT_EQ("", resolve("1:*", false));
    EXPECT_EQ("", resolve("*", true));
    EXPECT_EQ("", resolve("5", true));
    EXPECT_EQ("ERR_INVAL", resolve("1", false));
}

TEST_F(ImapView, WhatIsGoneKeepsItsNumberUntilTheClientIsTold)
{
    add({{1, 5}});
    Uids gone({{2, 2}, {4, 4}, {9, 9}});
    ASSERT_EQ(OK, imap_view_vanish(&v, &gone.set));
    EXPECT_EQ(5u, imap_view_exists(&v));
    EXPECT_EQ(5u, imap_view_seq(&v, imap_uid{5}).v);
    EXPECT_EQ(2u, uidset_count(&v.gone));
    ASSERT_EQ(OK, imap_view_drop_gone(&v));
    EXPECT_EQ(3u, imap_view_exists(&v));
    EXPECT_EQ(3u, imap_view_seq(&v, imap_uid{5}).v);
    EXPECT_EQ(0u, uidset_count(&v.gone));
}

TEST_F(ImapView, RecentIsFromTheWatermarkOn)
{
    add({{1, 5}}, 4);
    EXPECT_EQ(2u, imap_view_recent(&v));
    add({{8, 9}}, 0);
    EXPECT_EQ(4u, imap_view_recent(&v));
    Uids gone({{5, 5}});
    ASSERT_EQ(OK, imap_view_vanish(&v, &gone.set));
    ASSERT_EQ(OK, imap_view_drop_gone(&v));
    EXPECT_EQ(3u, imap_view_recent(&v));
}

TEST_F(ImapView, OnlyOurOwnChangesAreOurs)
{
    Uids a({{1, 3}});
    ASSERT_EQ(OK, imap_view_own_add(&v, 10, &a.set));
    EXPECT_TRUE(imap_view_own_has(&v, imap_uid{2}, 10));
    EXPECT_FALSE(imap_view_own_has(&v, imap_uid{2}, 11));
    EXPECT_FALSE(imap_view_own_has(&v, imap_uid{4}, 10));
    imap_view_own_prune(&v, 9);
    EXPECT_TRUE(imap_view_own_has(&v, imap_uid{2}, 10));
    imap_view_own_prune(&v, 10);
    EXPECT_FALSE(imap_view_own_has(&v, imap_uid{2}, 10));
}

TEST_F(ImapView, TheMemoryOfOwnChangesIsBounded)
{
    Uids a({{1, 1}});
    for (uint64_t i = 1; i <= IMAP_OWN_MAX + 10; i++) {
        ASSERT_EQ(OK, imap_view_own_add(&v, i, &a.set));
    }
    EXPECT_EQ(static_cast<size_t>(IMAP_OWN_MAX), v.n_own);
    EXPECT_FALSE(imap_view_own_has(&v, imap_uid{1}, 10));
    EXPECT_TRUE(imap_view_own_has(&v, imap_uid{1}, 11));
}

TEST_F(ImapView, KeywordsAreComparedByName)
{
    bool changed = false;
    char a[] = "$Junk";
    char b[] = "work";
    char *names[] = {a, b};
    ASSERT_EQ(OK, imap_view_set_keywords(&v, names, 2, &changed));
    EXPECT_TRUE(changed);
    EXPECT_EQ("work", str(imap_view_keyword(&v, 1)));
    EXPECT_EQ("", str(imap_view_keyword(&v, 2)));
    ASSERT_EQ(OK, imap_view_set_keywords(&v, names, 2, &changed));
    EXPECT_FALSE(changed);
    ASSERT_EQ(OK, imap_view_set_keywords(&v, names, 1, &changed));
    EXPECT_TRUE(changed);
}

TEST_F(ImapView, ChunksTakeNoMoreThanTheyMay)
{
    Uids all({{1, 5}, {8, 8}, {10, 4294967295u}});
    imap_chunks it = {&all.set, 0, 0};
    Uids chunk;
    bool more = true;
    ASSERT_EQ(OK, imap_chunk_next(&it, 3, &chunk.set, &more));
    EXPECT_EQ("1:3", chunk.text());
    ASSERT_EQ(OK, imap_chunk_next(&it, 4, &chunk.set, &more));
    EXPECT_EQ("4:5,8,10", chunk.text());
    ASSERT_EQ(OK, imap_chunk_next(&it, 4294967295u, &chunk.set, &more));
    EXPECT_EQ("11:4294967295", chunk.text());
    EXPECT_TRUE(more);
    ASSERT_EQ(OK, imap_chunk_next(&it, 3, &chunk.set, &more));
    EXPECT_FALSE(more);
}

/* A naive model: a sorted vector of UIDs. */
TEST_F(ImapView, AgreesWithANaiveModel)
{
    std::mt19937 rng(7);
    std::vector<uint32_t> model;
    uint32_t next = 1;
    for (int round = 0; round < 300; round++) {
        Uids fresh;
        for (unsigned i = rng() % 6; i > 0; i--) {
            next += rng() % 3 == 0 ? rng() % 5 : 0;
            ASSERT_EQ(OK, uidset_add(&fresh.set, next));
            model.push_back(next++);
        }
        ASSERT_EQ(OK, imap_view_add(&v, &fresh.set, 0));
        if (rng() % 2 == 0 && !model.empty()) {
            Uids gone;
            for (unsigned i = rng() % 4; i > 0 && !model.empty(); i--) {
                size_t at = rng() % model.size();
                ASSERT_EQ(OK, uidset_add(&gone.set, model[at]));
                model.erase(model.begin() + static_cast<long>(at));
            }
            ASSERT_EQ(OK, imap_view_vanish(&v, &gone.set));
            ASSERT_EQ(OK, imap_view_drop_gone(&v));
        }
        ASSERT_EQ(model.size(), imap_view_exists(&v));
        struct imap_view_walk walk = {0};
        for (size_t i = 0; i < model.size(); i++) {
            uint32_t seq = static_cast<uint32_t>(i) + 1;
            ASSERT_EQ(seq, imap_view_seq(&v, imap_uid{model[i]}).v);
            ASSERT_EQ(model[i], imap_view_uid(&v, imap_seq{seq}).v);
            ASSERT_EQ(seq, imap_view_walk(&v, &walk, imap_uid{model[i]}).v);
        }
        if (model.empty()) {
            continue;
        }
        /* A random set of numbers, resolved, must be the model's members at these places, and map back. */
        std::set<uint32_t> seqs;
        std::string text;
        for (int i = 0; i < 4; i++) {
            uint32_t a = 1 + rng() % model.size();
            uint32_t b = 1 + rng() % model.size();
            text += (i > 0 ? "," : "") + std::to_string(a) + ":" + std::to_string(b);
            for (uint32_t s = std::min(a, b); s <= std::max(a, b); s++) {
                seqs.insert(s);
            }
        }
        imap_cursor c = cursor(text);
        imap_set set;
        Uids got;
        Uids back;
        Uids compact;
        ASSERT_TRUE(imap_parse_set(&c, &set));
        ASSERT_EQ(OK, imap_view_resolve(&v, &set, false, &got.set));
        ASSERT_EQ(seqs.size(), uidset_count(&got.set));
        ASSERT_EQ(OK, imap_view_to_seqs(&v, &got.set, &back.set));
        ASSERT_EQ(seqs.size(), uidset_count(&back.set));
        ASSERT_EQ(OK, imap_view_compact(&v, &got.set, &compact.set));
        ASSERT_EQ(back.set.n, compact.set.n);
        for (uint32_t s : seqs) {
            ASSERT_TRUE(uidset_has(&got.set, model[s - 1]));
            ASSERT_TRUE(uidset_has(&back.set, s));
        }
        for (uint32_t i = 0; i < model.size(); i++) {
            ASSERT_EQ(seqs.count(i + 1) > 0, uidset_has(&compact.set, model[i]));
        }
    }
}

} // namespace
