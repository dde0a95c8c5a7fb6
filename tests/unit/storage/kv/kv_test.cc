/* What both stores promise (proto/base/kv.h): every test runs on LMDB and in memory. */
#include <map>
#include <memory>
#include <optional>

#include "kv_fixture.h"
#include "proto/base/rng.h"

namespace
{

class Kv : public testing::TestWithParam<const char *>
{
  protected:
    void SetUp() override
    {
        if (std::string(GetParam()) == "lmdb") {
            dir = std::make_unique<TempDir>();
            ASSERT_EQ(open_lmdb(dir->file(), &kv), OK);
        } else {
            ASSERT_EQ(kv_mem_new(&kv), OK);
        }
    }
    void TearDown() override
    {
        kv_close(kv);
    }
    std::unique_ptr<TempDir> dir;
    struct kv *kv = nullptr;
};

INSTANTIATE_TEST_SUITE_P(Stores, Kv, testing::Values("lmdb", "mem"),
                         [](const auto &i) { return std::string(i.param); });

TEST_P(Kv, KeepsWhatWasCommittedAndForgetsWhatWasAborted)
{
    struct kv_txn *t;
    put(kv, "a", "1");
    ASSERT_EQ(kv_begin(kv, true, &t), OK);
    ASSERT_EQ(kv_put(t, str("a"), str("2")), OK);
    ASSERT_EQ(kv_put(t, str("b"), str("3")), OK);
    EXPECT_EQ(get(t, "a"), "2");
    kv_abort(t);
    ASSERT_EQ(kv_begin(kv, false, &t), OK);
    EXPECT_EQ(get(t, "a"), "1");
    EXPECT_EQ(get(t, "b"), "ERR_NOTFOUND");
    kv_abort(t);
}

TEST_P(Kv, AReaderSeesTheMomentItBegan)
{
    struct kv_txn *before;
    struct kv_txn *after;
    put(kv, "a", "1");
    ASSERT_EQ(kv_begin(kv, false, &before), OK);
    put(kv, "a", "2");
    put(kv, "b", "2");
    ASSERT_EQ(kv_begin(kv, false, &after), OK);
    EXPECT_EQ(get(before, "a"), "1");
    EXPECT_EQ(get(before, "b"), "ERR_NOTFOUND");
    EXPECT_EQ(get(after, "a"), "2");
    kv_abort(before);
    EXPECT_EQ(kv_commit(after), OK);
}

TEST_P(Kv, ReserveGivesTheBytesOfTheValue)
{
    struct kv_txn *t;
    uint8_t *p;
    ASSERT_EQ(kv_begin(kv, true, &t), OK);
    ASSERT_EQ(kv_reserve(t, str("k"), KV_CHUNK_BYTES, &p), OK);
    memset(p, 'x', KV_CHUNK_BYTES);
    ASSERT_EQ(kv_commit(t), OK);
    ASSERT_EQ(kv_begin(kv, false, &t), OK);
    EXPECT_EQ(get(t, "k"), std::string(KV_CHUNK_BYTES, 'x'));
    kv_abort(t);
}

TEST_P(Kv, TakesTheLongestKeyAndLargeAndEmptyValues)
{
    struct kv_txn *t;
    std::string key(KV_KEY_BYTES_MAX, 'k');
    put(kv, key, std::string(100000, 'v'));
    put(kv, "empty", "");
    ASSERT_EQ(kv_begin(kv, false, &t), OK);
    EXPECT_EQ(get(t, key).size(), 100000u);
    EXPECT_EQ(get(t, "empty"), "");
    kv_abort(t);
}

TEST_P(Kv, DeletingWhatIsNotThereSaysSoAndDoesNoHarm)
{
    struct kv_txn *t;
    ASSERT_EQ(kv_begin(kv, true, &t), OK);
    EXPECT_EQ(kv_del(t, str("nope")), ERR_NOTFOUND);
    EXPECT_EQ(kv_put(t, str("a"), str("1")), OK);
    EXPECT_EQ(kv_commit(t), OK);
}

TEST_P(Kv, ACursorDeletesARangeAndGoesOnBehindIt)
{
    struct kv_txn *t;
    struct kv_cursor *c;
    struct slice k;
    struct slice v;
    ASSERT_EQ(kv_begin(kv, true, &t), OK);
    for (int i = 0; i < 500; i++) {
        char key[16];
        snprintf(key, sizeof(key), "%04d", i);
        ASSERT_EQ(kv_put(t, str(key), str("v")), OK);
    }
    ASSERT_EQ(kv_cursor_open(t, &c), OK);
    enum err e = kv_cursor_seek(c, str("0100"), &k, &v);
    for (int i = 100; i < 400; i++) {
        ASSERT_EQ(e, OK);
        EXPECT_EQ(atoi(text(k).c_str()), i);
        ASSERT_EQ(kv_cursor_del(c), OK);
        e = kv_cursor_next(c, &k, &v);
    }
    EXPECT_EQ(text(k), "0400");
    ASSERT_EQ(kv_cursor_prev(c, &k, &v), OK);
    EXPECT_EQ(text(k), "0099");
    kv_cursor_close(c);
    ASSERT_EQ(kv_commit(t), OK);
}

TEST_P(Kv, ACursorKnowsItsEnds)
{
    struct kv_txn *t;
    struct kv_cursor *c;
    struct slice k;
    struct slice v;
    put(kv, "b", "1");
    put(kv, "d", "2");
    ASSERT_EQ(kv_begin(kv, false, &t), OK);
    ASSERT_EQ(kv_cursor_open(t, &c), OK);
    EXPECT_EQ(kv_cursor_seek(c, str("e"), &k, &v), ERR_NOTFOUND);
    EXPECT_EQ(kv_cursor_next(c, &k, &v), ERR_NOTFOUND);
    ASSERT_EQ(kv_cursor_prev(c, &k, &v), OK);
    EXPECT_EQ(text(k), "d");
    ASSERT_EQ(kv_cursor_prev(c, &k, &v), OK);
    EXPECT_EQ(text(k), "b");
    EXPECT_EQ(kv_cursor_prev(c, &k, &v), ERR_NOTFOUND);
    ASSERT_EQ(kv_cursor_seek(c, str("c"), &k, &v), OK);
    EXPECT_EQ(text(k), "d");
    EXPECT_EQ(text(v), "2");
    EXPECT_EQ(kv_cursor_next(c, &k, &v), ERR_NOTFOUND);
    kv_cursor_close(c);
    ASSERT_EQ(kv_cursor_open(t, &c), OK);
    ASSERT_EQ(kv_cursor_next(c, &k, &v), OK);
    EXPECT_EQ(text(k), "b");
    kv_cursor_close(c);
    kv_abort(t);
}

TEST_P(Kv, AnEmptyStoreHasNoKeys)
{
    struct kv_txn *t;
    struct kv_cursor *c;
    struct slice k;
    struct slice v;
    ASSERT_EQ(kv_begin(kv, false, &t), OK);
    ASSERT_EQ(kv_cursor_open(t, &c), OK);
    EXPECT_EQ(kv_cursor_next(c, &k, &v), ERR_NOTFOUND);
    EXPECT_EQ(kv_cursor_prev(c, &k, &v), ERR_NOTFOUND);
    EXPECT_EQ(kv_cursor_seek(c, str("a"), &k, &v), ERR_NOTFOUND);
    kv_cursor_close(c);
    kv_abort(t);
}

using Model = std::map<std::string, std::string>;

std::string random_key(struct rng *r)
{
    std::string key(1 + rng_below(r, 3), ' ');
    for (char &c : key) {
        c = static_cast<char>('a' + rng_below(r, 6));
    }
    return key;
}

/* One random write, on the store and on the model. */
void step(struct rng *r, struct kv_txn *t, Model *m)
{
    std::string key = random_key(r);
    if (rng_below(r, 3) == 0) {
        ASSERT_EQ(kv_del(t, str(key)), m->erase(key) == 1 ? OK : ERR_NOTFOUND);
        return;
    }
    std::string value(rng_below(r, 5) == 0 ? rng_below(r, 5000) : rng_below(r, 30),
                      static_cast<char>(rng_below(r, 256)));
    ASSERT_EQ(kv_put(t, str(key), str(value)), OK);
    (*m)[key] = value;
}

/* Walks both ways and compares everything. */
void compare(struct kv_txn *t, const Model &m)
{
    struct kv_cursor *c;
    struct slice k;
    struct slice v;
    ASSERT_EQ(kv_cursor_open(t, &c), OK);
    for (const auto &[key, value] : m) {
        ASSERT_EQ(kv_cursor_next(c, &k, &v), OK);
        ASSERT_EQ(text(k), key);
        ASSERT_EQ(text(v), value);
    }
    ASSERT_EQ(kv_cursor_next(c, &k, &v), ERR_NOTFOUND);
    for (auto it = m.rbegin(); it != m.rend(); ++it) {
        ASSERT_EQ(kv_cursor_prev(c, &k, &v), OK);
        ASSERT_EQ(text(k), it->first);
    }
    kv_cursor_close(c);
}

TEST_P(Kv, BehavesAsASortedMapUnderRandomTransactions)
{
    struct rng r;
    Model model;
    rng_seeded_init(&r, 42);
    for (int round = 0; round < 60; round++) {
        struct kv_txn *t;
        struct kv_txn *reader = nullptr;
        Model next = model;
        if (rng_below(&r, 3) != 0) { /* else what was committed may still be hidden */
            ASSERT_EQ(kv_begin(kv, false, &reader), OK);
        }
        ASSERT_EQ(kv_begin(kv, true, &t), OK);
        for (uint64_t i = rng_below(&r, 60); i > 0; i--) {
            step(&r, t, &next);
            std::string at = random_key(&r);
            auto expected = next.lower_bound(at);
            struct kv_cursor *c;
            struct slice k;
            struct slice v;
            ASSERT_EQ(kv_cursor_open(t, &c), OK);
            enum err e = kv_cursor_seek(c, str(at), &k, &v);
            ASSERT_EQ(e, expected == next.end() ? ERR_NOTFOUND : OK);
            ASSERT_TRUE(e != OK || text(k) == expected->first);
            kv_cursor_close(c);
        }
        compare(t, next);
        if (reader != nullptr) {
            compare(reader, model);
        }
        if (rng_below(&r, 4) == 0) {
            kv_abort(t);
        } else {
            ASSERT_EQ(rng_below(&r, 3) == 0 ? kv_commit(t) : kv_commit_durable(t), OK);
            model = next;
        }
        if (reader != nullptr) {
            kv_abort(reader);
        }
    }
    kv_publish(kv);
}

TEST_P(Kv, ACursorStaysUsableWhileOthersWrite)
{
    struct rng r;
    Model model;
    struct kv_txn *t;
    struct kv_cursor *c;
    struct slice k;
    struct slice v;
    rng_seeded_init(&r, 7);
    ASSERT_EQ(kv_begin(kv, true, &t), OK);
    for (int i = 0; i < 300; i++) {
        step(&r, t, &model);
    }
    ASSERT_EQ(kv_cursor_open(t, &c), OK);
    enum err e = kv_cursor_next(c, &k, &v);
    while (e == OK) {
        std::string at = text(k);
        auto here = model.find(at);
        ASSERT_NE(here, model.end()) << at;
        /* change another key, behind or ahead */
        std::string other = random_key(&r);
        if (other != at && rng_below(&r, 2) == 0) {
            ASSERT_EQ(kv_put(t, str(other), str("new")), OK);
            model[other] = "new";
        } else if (other != at && model.count(other) != 0) {
            ASSERT_EQ(kv_del(t, str(other)), OK);
            model.erase(other);
        }
        auto expected = model.upper_bound(at);
        e = kv_cursor_next(c, &k, &v);
        ASSERT_EQ(e, expected == model.end() ? ERR_NOTFOUND : OK);
        ASSERT_TRUE(e != OK || text(k) == expected->first) << at << " " << text(k);
    }
    kv_cursor_close(c);
    kv_abort(t);
}

} // namespace
