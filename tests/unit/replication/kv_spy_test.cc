#include "replication/kv_spy.h"

#include "proto/base/mem.h"
#include "store_fixture.h"

namespace
{

class Spy : public Store
{
  protected:
    void SetUp() override
    {
        Store::SetUp();
        for (const char *k : {"a", "b", "c", "d"}) {
            put(k, std::string("value of ") + k);
        }
        ASSERT_EQ(kv_begin(kv, true, &inner), OK);
        txn = kv_spy_init(&spy, inner, wrote, this);
    }
    void TearDown() override
    {
        if (inner != nullptr) {
            kv_abort(inner);
        }
        Store::TearDown();
    }
    static void wrote(void *ctx, struct slice key)
    {
        Spy *s = static_cast<Spy *>(ctx);
        struct slice there;
        s->told.push_back(string_of(key));
        s->before.push_back(kv_get(s->inner, key, &there) == OK ? string_of(there) : "");
    }
    std::string get(const char *key)
    {
        struct slice v;
        return kv_get(txn, slice_make(key, strlen(key)), &v) == OK ? string_of(v) : "none";
    }
    struct kv_spy spy;
    struct kv_txn *inner = nullptr;
    struct kv_txn *txn = nullptr;
    std::vector<std::string> told;
    std::vector<std::string> before;
};

using Keys = std::vector<std::string>;

TEST_F(Spy, IsToldEveryWriteBeforeItHappens)
{
    uint8_t *p = nullptr;
    ASSERT_EQ(kv_put(txn, slice_make("a", 1), slice_make("new", 3)), OK);
    ASSERT_EQ(kv_reserve(txn, slice_make("b", 1), 4, &p), OK);
    memcpy(p, "room", 4);
    ASSERT_EQ(kv_del(txn, slice_make("c", 1)), OK);
    ASSERT_EQ(kv_put(txn, slice_make("e", 1), slice_make("fresh", 5)), OK);
    EXPECT_EQ(kv_del(txn, slice_make("none", 4)), ERR_NOTFOUND);
    EXPECT_EQ(told, (Keys{"a", "b", "c", "e", "none"}));
    EXPECT_EQ(before, (Keys{"value of a", "value of b", "value of c", "", ""}));
    ASSERT_EQ(kv_commit(inner), OK);
    inner = nullptr;
    EXPECT_EQ(rows().size(), 4u);
    EXPECT_EQ(rows()[0].value, "new");
    EXPECT_EQ(rows()[1].value, "room");
    EXPECT_EQ(rows()[2].key, "d");
    EXPECT_EQ(rows()[3].value, "fresh");
}

TEST_F(Spy, ReadsPassAndTellNothing)
{
    struct kv_cursor *c;
    struct slice k;
    struct slice v;
    EXPECT_EQ(get("b"), "value of b");
    EXPECT_EQ(get("x"), "none");
    ASSERT_EQ(kv_cursor_open(txn, &c), OK);
    ASSERT_EQ(kv_cursor_seek(c, slice_make("b", 1), &k, &v), OK);
    EXPECT_EQ(string_of(k), "b");
    EXPECT_EQ(string_of(v), "value of b");
    ASSERT_EQ(kv_cursor_next(c, &k, &v), OK);
    EXPECT_EQ(string_of(k), "c");
    ASSERT_EQ(kv_cursor_prev(c, &k, &v), OK);
    EXPECT_EQ(string_of(k), "b");
    EXPECT_EQ(kv_cursor_seek(c, slice_make("x", 1), &k, &v), ERR_NOTFOUND);
    kv_cursor_close(c);
    EXPECT_TRUE(told.empty());
}

TEST_F(Spy, ACursorsDeletionIsToldByTheKeyItStandsOn)
{
    struct kv_cursor *c;
    struct slice k;
    struct slice v;
    ASSERT_EQ(kv_cursor_open(txn, &c), OK);
    ASSERT_EQ(kv_cursor_seek(c, slice_make("b", 1), &k, &v), OK);
    ASSERT_EQ(kv_cursor_del(c), OK);
    ASSERT_EQ(kv_cursor_next(c, &k, &v), OK);
    EXPECT_EQ(string_of(k), "c");
    ASSERT_EQ(kv_cursor_del(c), OK);
    ASSERT_EQ(kv_cursor_next(c, &k, &v), OK);
    ASSERT_EQ(kv_cursor_prev(c, &k, &v), OK);
    EXPECT_EQ(string_of(k), "a");
    ASSERT_EQ(kv_cursor_del(c), OK);
    kv_cursor_close(c);
    EXPECT_EQ(told, (Keys{"b", "c", "a"}));
    EXPECT_EQ(before, (Keys{"value of b", "value of c", "value of a"}));
    EXPECT_EQ(get("d"), "value of d");
    EXPECT_EQ(get("a"), "none");
}

TEST_F(Spy, CursorsAreIndependentAndFreed)
{
    struct kv_cursor *one;
    struct kv_cursor *two;
    struct slice k;
    struct slice v;
    ASSERT_EQ(kv_cursor_open(txn, &one), OK);
    ASSERT_EQ(kv_cursor_open(txn, &two), OK);
    ASSERT_EQ(kv_cursor_seek(one, slice_make("a", 1), &k, &v), OK);
    ASSERT_EQ(kv_cursor_seek(two, slice_make("d", 1), &k, &v), OK);
    ASSERT_EQ(kv_cursor_del(one), OK);
    ASSERT_EQ(kv_cursor_del(two), OK);
    EXPECT_EQ(told, (Keys{"a", "d"}));
    kv_cursor_close(one);
    kv_cursor_close(two);
}

TEST_F(Spy, OutOfMemoryForACursorIsReported)
{
    struct kv_cursor *c = nullptr;
    mem_fail_nth(1);
    EXPECT_EQ(kv_cursor_open(txn, &c), ERR_NOMEM);
    mem_fail_nth(0);
}

} // namespace
