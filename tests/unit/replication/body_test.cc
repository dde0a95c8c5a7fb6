#include "replication/body.h"

#include "replication/volume.h"
#include "store_fixture.h"

namespace
{

constexpr uint32_t R = 3;
constexpr size_t CHUNK = REPL_BODY_CHUNK_DATA;
const uint8_t PREFIX[5] = {0, 0, 0, 3, 'S'};

std::string pattern(size_t n)
{
    std::string s(n, '\0');
    for (size_t i = 0; i < n; i++) {
        s[i] = static_cast<char>(i * 31 + i / 251);
    }
    return s;
}

class Body : public Store
{
  protected:
    void store(uint64_t index, const std::string &body, uint16_t ordinal = 0)
    {
        ASSERT_EQ(write([&](struct kv_txn *t) { return body_write(t, R, index, ordinal, 0, slice_of(body)); }), OK);
    }
    enum err get(uint64_t index, uint64_t off, size_t n, std::string *out, uint16_t ordinal = 0)
    {
        struct buf b;
        buf_init(&b, 1 << 22);
        EXPECT_EQ(buf_append_str(&b, "before"), OK);
        enum err e = read([&](struct kv_txn *t) { return repl_body_read(t, PREFIX, index, ordinal, off, n, &b); });
        std::string all = string_of(buf_slice(&b));
        EXPECT_EQ(all.substr(0, 6), "before");
        *out = all.substr(6);
        EXPECT_TRUE(e == OK || out->empty());
        buf_fini(&b);
        return e;
    }
    uint64_t bytes(uint64_t index, uint16_t ordinal = 0)
    {
        uint64_t n = 999;
        EXPECT_EQ(read([&](struct kv_txn *t) { return repl_body_bytes(t, PREFIX, index, ordinal, &n); }), OK);
        return n;
    }
    void kill(uint64_t index, uint64_t at_ms = 0, uint16_t ordinal = 0)
    {
        ASSERT_EQ(write([&](struct kv_txn *t) { return repl_body_kill(t, PREFIX, index, ordinal, at_ms); }), OK);
    }
    /* One step; rows_left in and out. */
    bool purge(struct body_purge *p, uint64_t log_first, uint64_t now_ms, uint64_t retention_ms, size_t *rows_left)
    {
        bool done = false;
        size_t deleted = 0;
        EXPECT_EQ(write([&](struct kv_txn *t) {
                      return body_purge_step(t, R, p, log_first, now_ms, retention_ms, rows_left, &deleted, &done);
                  }),
                  OK);
        return done;
    }
};

TEST_F(Body, EveryRangeAroundTheChunkBordersReadsBack)
{
    std::string body = pattern(3 * CHUNK + 100);
    std::string got;
    store(9, body);
    EXPECT_EQ(bytes(9), body.size());
    std::vector<size_t> places = {0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 3 * CHUNK - 1, 3 * CHUNK, body.size()};
    for (size_t from : places) {
        for (size_t to : places) {
            if (from <= to) {
                ASSERT_EQ(get(9, from, to - from, &got), OK) << from << " " << to;
                EXPECT_EQ(got, body.substr(from, to - from));
            }
        }
        EXPECT_EQ(get(9, from, body.size() - from + 1, &got), ERR_NOTFOUND) << from;
    }
    EXPECT_EQ(get(9, UINT64_MAX, 10, &got), ERR_NOTFOUND);
    EXPECT_EQ(get(8, 0, 1, &got), ERR_NOTFOUND);
}

TEST_F(Body, ABodyOfWholeChunksEndsAtItsEnd)
{
    std::string got;
    store(9, pattern(2 * CHUNK));
    store(9, pattern(10), 1);
    EXPECT_EQ(bytes(9), 2 * CHUNK);
    EXPECT_EQ(bytes(9, 1), 10u);
    EXPECT_EQ(bytes(9, 2), 0u);
    EXPECT_EQ(bytes(8), 0u);
    EXPECT_EQ(get(9, 2 * CHUNK - 1, 1, &got), OK);
    EXPECT_EQ(get(9, 2 * CHUNK, 1, &got), ERR_NOTFOUND);
    for (const Row &row : rows()) {
        EXPECT_LE(row.value.size(), static_cast<size_t>(KV_CHUNK_BYTES));
    }
}

TEST_F(Body, EveryFlippedBitIsNoticed)
{
    std::string got;
    store(9, pattern(40));
    Row row = rows()[0];
    for (size_t bit = 0; bit < row.value.size() * 8; bit++) {
        std::string bad = row.value;
        bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << bit % 8));
        put(row.key, bad);
        EXPECT_EQ(get(9, 0, 40, &got), ERR_CORRUPT) << bit;
    }
    put(row.key, "abc");
    EXPECT_EQ(get(9, 0, 40, &got), ERR_CORRUPT);
}

TEST_F(Body, AChunkInAnothersPlaceIsNoticed)
{
    std::string got;
    store(9, pattern(2 * CHUNK));
    std::vector<Row> all = rows();
    put(all[0].key, all[1].value);
    EXPECT_EQ(get(9, 0, 10, &got), ERR_CORRUPT);
    del(all[0].key);
    EXPECT_EQ(get(9, 0, 2 * CHUNK, &got), ERR_NOTFOUND);
}

TEST_F(Body, DiesOnceAndKeepsItsFirstTimeOfDeath)
{
    bool dead = true;
    auto look = [&](struct kv_txn *t) { return body_is_dead(t, R, 9, 0, &dead); };
    store(9, pattern(10));
    ASSERT_EQ(read(look), OK);
    EXPECT_FALSE(dead);
    kill(9, 100);
    std::vector<Row> before = rows(under(R, 'Q'));
    kill(9, 200);
    ASSERT_EQ(read(look), OK);
    EXPECT_TRUE(dead);
    ASSERT_EQ(rows(under(R, 'Q')).size(), 1u);
    EXPECT_EQ(rows(under(R, 'Q'))[0].value, before[0].value);
}

/* A body is never half there: the check would take it for damaged. */
TEST_F(Body, ThePurgeTakesWholeBodiesAndStopsWhenItsRowsAreUsedUp)
{
    struct body_purge p = BODY_PURGE_START;
    for (uint64_t index = 5; index < 10; index++) {
        store(index, pattern(3 * CHUNK));
        kill(index);
    }
    store(10, pattern(10));
    size_t steps = 0;
    for (bool done = false; !done; steps++) {
        size_t left = 4;
        ASSERT_LT(steps, 10u);
        size_t before = rows(under(R, 'B')).size();
        done = purge(&p, 100, 0, 0, &left);
        size_t taken = before - rows(under(R, 'B')).size();
        EXPECT_LE(taken, 6u);
        EXPECT_EQ(taken % 3, 0u);
    }
    EXPECT_GT(steps, 2u);
    EXPECT_EQ(bytes(5), 0u);
    EXPECT_EQ(bytes(10), 10u);
    EXPECT_TRUE(rows(under(R, 'Q')).empty());
}

TEST_F(Body, StaysWhileTheLogHoldsItsEntry)
{
    struct body_purge p = BODY_PURGE_START;
    size_t left = 100;
    store(5, pattern(10));
    store(6, pattern(10));
    kill(5);
    kill(6);
    EXPECT_TRUE(purge(&p, 6, 0, 0, &left));
    EXPECT_EQ(bytes(5), 0u);
    EXPECT_EQ(bytes(6), 10u);
    EXPECT_EQ(rows(under(R, 'Q')).size(), 1u);
}

TEST_F(Body, StaysForTheUndeleteWindow)
{
    struct body_purge p = BODY_PURGE_START;
    size_t left = 100;
    store(5, pattern(10));
    store(6, pattern(10));
    store(6, pattern(10), UINT16_MAX);
    kill(5, 2000);
    kill(6, 1000);
    kill(6, 3000, UINT16_MAX);
    EXPECT_TRUE(purge(&p, 100, 1999, 1000, &left));
    EXPECT_EQ(bytes(5), 10u);
    EXPECT_EQ(p.ripe_ms, 2000u);
    p = BODY_PURGE_START;
    EXPECT_TRUE(purge(&p, 100, 2500, 1000, &left));
    EXPECT_EQ(bytes(5), 10u);
    EXPECT_EQ(bytes(6), 0u);
    EXPECT_EQ(bytes(6, UINT16_MAX), 10u);
    EXPECT_EQ(p.ripe_ms, 3000u);
    p = BODY_PURGE_START;
    EXPECT_TRUE(purge(&p, 100, 4000, 1000, &left));
    EXPECT_TRUE(rows(under(R, 'Q')).empty());
    EXPECT_TRUE(rows(under(R, 'B')).empty());
}

TEST_F(Body, AWalkOverUnripeBodiesIsBoundedToo)
{
    struct body_purge p = BODY_PURGE_START;
    for (uint64_t i = 1; i <= 20; i++) {
        kill(i, 1000);
    }
    size_t left = 8;
    EXPECT_FALSE(purge(&p, 100, 0, 500, &left));
    EXPECT_EQ(left, 0u);
    left = 8;
    EXPECT_FALSE(purge(&p, 100, 0, 500, &left));
    left = 8;
    EXPECT_TRUE(purge(&p, 100, 0, 500, &left));
    EXPECT_EQ(p.ripe_ms, 1500u);
}

TEST_F(Body, ADamagedDeadRowIsCorrupt)
{
    struct body_purge p = BODY_PURGE_START;
    size_t left = 100;
    size_t deleted = 0;
    bool done = false;
    kill(5);
    put(rows(under(R, 'Q'))[0].key, "short");
    EXPECT_EQ(write([&](struct kv_txn *t) { return body_purge_step(t, R, &p, 100, 0, 0, &left, &deleted, &done); }),
              ERR_CORRUPT);
}

} // namespace
