#include "replication/log.h"

#include "proto/base/mem.h"
#include "replication/group.h"
#include "store_fixture.h"

namespace
{

constexpr uint32_t R = 3;

std::string configuration()
{
    struct node_id node = {7};
    struct buf b;
    buf_init(&b, 1000);
    const struct raft_server_info self = {node, RAFT_ROLE_VOTER};
    EXPECT_EQ(raft_configuration_put(&self, 1, &b), OK);
    std::string s = string_of(buf_slice(&b));
    buf_fini(&b);
    return s;
}

struct repl_meta meta_of(uint64_t first, uint64_t last)
{
    struct repl_meta m = {};
    m.node = 7;
    m.term = 4;
    m.last_term = 4;
    m.log_first = first;
    m.log_last = last;
    m.applied = last;
    m.snapshot_index = first - 1;
    m.snapshot_term = first > 1 ? 1 : 0;
    m.snapshot_configuration = first > 1 ? 1 : 0;
    return m;
}

class Log : public Store
{
  protected:
    void SetUp() override
    {
        Store::SetUp();
        buf_init(&scratch, REPL_ENTRY_BYTES_MAX);
    }
    void TearDown() override
    {
        buf_fini(&scratch);
        Store::TearDown();
    }
    enum err append(uint64_t index, const std::string &data, uint64_t term = 4,
                    enum repl_entry_type type = REPL_ENTRY_COMMAND, uint32_t body = 0)
    {
        struct log_entry e = {index, term, type, body, slice_of(data)};
        return write([&](struct kv_txn *t) { return log_entry_put(t, R, &e); });
    }
    enum err get(uint64_t index, struct log_entry *out)
    {
        return read([&](struct kv_txn *t) { return log_entry_get(t, R, index, out, &scratch); });
    }
    /* A log as a replica writes it: configuration, then n - 1 commands of term 4 from index 2. */
    void fill(uint64_t n, size_t bytes = 10)
    {
        std::string conf = configuration();
        ASSERT_EQ(append(1, conf, 1, REPL_ENTRY_CHANGE), OK);
        for (uint64_t i = 2; i <= n; i++) {
            ASSERT_EQ(append(i, std::string(bytes, 'd')), OK);
        }
        ASSERT_EQ(write([&](struct kv_txn *t) {
                      enum err e = log_configuration_put(t, R, 1, slice_of(conf));
                      e = e == OK ? log_range_put(t, R, {1, 1}) : e;
                      return e == OK ? log_range_put(t, R, {2, 4}) : e;
                  }),
                  OK);
    }
    struct buf scratch;
};

TEST_F(Log, AnEntryOfAnySizeComesBackAsItWent)
{
    uint64_t index = 1;
    for (size_t n : {0, 1, 200, 4055, 4056, 4057, 4080, 8136, 8137, 100000, REPL_ENTRY_BYTES_MAX}) {
        std::string data(n, static_cast<char>(n));
        struct log_entry e;
        ASSERT_EQ(append(index, data, 9, REPL_ENTRY_COMMAND, 77), OK);
        ASSERT_EQ(get(index, &e), OK) << n;
        EXPECT_EQ(string_of(e.data), data);
        EXPECT_EQ(e.index, index);
        EXPECT_EQ(e.term, 9u);
        EXPECT_EQ(e.body_bytes, 77u);
        EXPECT_EQ(e.type, REPL_ENTRY_COMMAND);
        index++;
    }
    for (const Row &row : rows()) {
        EXPECT_LE(row.value.size(), static_cast<size_t>(KV_CHUNK_BYTES));
    }
}

TEST_F(Log, EveryFlippedBitOfAnEntryIsNoticed)
{
    struct log_entry e;
    ASSERT_EQ(append(5, std::string(30, 'a')), OK);
    Row row = rows()[0];
    for (size_t bit = 0; bit < row.value.size() * 8; bit++) {
        std::string bad = row.value;
        bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << bit % 8));
        put(row.key, bad);
        EXPECT_EQ(get(5, &e), ERR_CORRUPT) << bit;
    }
    for (size_t n = 0; n < row.value.size(); n++) {
        put(row.key, row.value.substr(0, n));
        EXPECT_EQ(get(5, &e), ERR_CORRUPT) << n;
    }
}

TEST_F(Log, AnEntryUnderAnotherIndexIsNoticed)
{
    struct log_entry e;
    ASSERT_EQ(append(5, "x"), OK);
    Row row = rows()[0];
    std::string key = row.key;
    key[key.size() - 1] = 6;
    put(key, row.value);
    EXPECT_EQ(get(6, &e), ERR_CORRUPT);
    EXPECT_EQ(get(7, &e), ERR_NOTFOUND);
}

TEST_F(Log, AMissingOrChangedContinuationIsNoticed)
{
    struct log_entry e;
    ASSERT_EQ(append(5, std::string(10000, 'a')), OK);
    std::vector<Row> all = rows();
    ASSERT_EQ(all.size(), 3u);
    for (size_t i = 1; i < 3; i++) {
        put(all[i].key, std::string(all[i].value.size(), 'b'));
        EXPECT_EQ(get(5, &e), ERR_CORRUPT);
        put(all[i].key, all[i].value + "longer");
        EXPECT_EQ(get(5, &e), ERR_CORRUPT);
        del(all[i].key);
        EXPECT_EQ(get(5, &e), ERR_CORRUPT);
        put(all[i].key, all[i].value);
        EXPECT_EQ(get(5, &e), OK);
    }
}

TEST_F(Log, TheMetaRowComesBackAndEveryFlippedBitIsNoticed)
{
    struct repl_meta m = meta_of(4, 9);
    struct repl_meta got;
    m.vote = 3;
    m.log_bytes = 12345;
    ASSERT_EQ(write([&](struct kv_txn *t) { return log_meta_put(t, R, &m); }), OK);
    auto load = [&](struct kv_txn *t) { return log_meta_get(t, R, &got); };
    ASSERT_EQ(read(load), OK);
    EXPECT_EQ(memcmp(&m, &got, sizeof(m)), 0);
    m.floor_index = 7; /* a longer row */
    m.floor_term = 1;
    ASSERT_EQ(write([&](struct kv_txn *t) { return log_meta_put(t, R, &m); }), OK);
    ASSERT_EQ(read(load), OK);
    EXPECT_EQ(memcmp(&m, &got, sizeof(m)), 0);
    Row row = rows()[0];
    for (size_t bit = 0; bit < row.value.size() * 8; bit++) {
        std::string bad = row.value;
        bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << bit % 8));
        put(row.key, bad);
        EXPECT_EQ(read(load), ERR_CORRUPT) << bit;
    }
}

TEST_F(Log, AMetaRowThatContradictsItselfIsCorrupt)
{
    struct repl_meta got;
    std::vector<std::function<void(struct repl_meta *)>> lies = {
        [](struct repl_meta *m) { m->node = 0; },
        [](struct repl_meta *m) { m->log_first = 0; },
        [](struct repl_meta *m) { m->log_first = m->log_last + 1; },
        [](struct repl_meta *m) { m->applied = m->log_last + 1; },
        [](struct repl_meta *m) { m->applied = 1; },
        [](struct repl_meta *m) { m->snapshot_index = 1; },
        [](struct repl_meta *m) { m->snapshot_index = m->applied + 1; },
        [](struct repl_meta *m) { m->last_term = m->term + 1; },
        [](struct repl_meta *m) { m->snapshot_term = 0; },
        [](struct repl_meta *m) { m->snapshot_configuration = 0; },
        [](struct repl_meta *m) { m->snapshot_configuration = 50; },
        [](struct repl_meta *m) { m->term = UINT64_MAX; },
        [](struct repl_meta *m) { m->floor_index = 4; },
        [](struct repl_meta *m) { m->floor_index = 4, m->floor_term = m->term + 1; },
    };
    for (size_t i = 0; i < lies.size(); i++) {
        struct repl_meta m = meta_of(4, 9);
        lies[i](&m);
        ASSERT_EQ(write([&](struct kv_txn *t) { return log_meta_put(t, R, &m); }), OK);
        EXPECT_EQ(read([&](struct kv_txn *t) { return log_meta_get(t, R, &got); }), ERR_CORRUPT) << i;
    }
}

TEST_F(Log, TheIndexHasTheRangesAndTheConfiguration)
{
    struct log_index x;
    struct repl_meta m = meta_of(1, 6);
    fill(6);
    ASSERT_EQ(read([&](struct kv_txn *t) { return log_index_load(t, R, &m, &x); }), OK);
    ASSERT_EQ(x.n_ranges, 2u);
    EXPECT_EQ(x.ranges[1].first, 2u);
    EXPECT_EQ(x.ranges[1].term, 4u);
    ASSERT_EQ(x.n_changes, 1u);
    EXPECT_EQ(x.changes[0].index, 1u);
    EXPECT_EQ(string_of(x.changes[0].configuration), configuration());
    log_index_fini(&x);
}

TEST_F(Log, TheIndexGrowsPastItsFirstAllocations)
{
    struct log_index x;
    struct repl_meta m = meta_of(1, 200);
    m.term = 100;
    m.last_term = 100;
    fill(1);
    ASSERT_EQ(write([&](struct kv_txn *t) {
                  enum err e = OK;
                  for (uint64_t i = 2; i <= 100 && e == OK; i++) {
                      e = log_range_put(t, R, {2 * i, i});
                      e = e == OK ? log_configuration_put(t, R, i, slice_make("c", 1)) : e;
                  }
                  return e;
              }),
              OK);
    del(rows(under(R, 'T'))[1].key); /* the one that fill() made at 2 */
    ASSERT_EQ(read([&](struct kv_txn *t) { return log_index_load(t, R, &m, &x); }), OK);
    EXPECT_EQ(x.n_ranges, 100u);
    EXPECT_EQ(x.n_changes, 100u);
    EXPECT_EQ(string_of(x.changes[99].configuration), "c");
    log_index_fini(&x);
}

TEST_F(Log, DamagedRangesAndConfigurationsAreCorrupt)
{
    struct repl_meta m = meta_of(1, 6);
    fill(6);
    auto load = [&] {
        return read([&](struct kv_txn *t) {
            struct log_index x;
            enum err e = log_index_load(t, R, &m, &x);
            log_index_fini(&x);
            return e;
        });
    };
    for (char letter : {'T', 'C'}) {
        for (const Row &row : rows(under(R, letter))) {
            for (size_t bit = 0; bit < row.value.size() * 8; bit++) {
                std::string bad = row.value;
                bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << bit % 8));
                put(row.key, bad);
                EXPECT_EQ(load(), ERR_CORRUPT);
            }
            del(row.key);
            EXPECT_EQ(load(), ERR_CORRUPT) << "without its row";
            put(row.key, row.value);
            ASSERT_EQ(load(), OK);
        }
    }
}

TEST_F(Log, TrimsFromTheHeadInBoundedStepsAndKeepsWhatAStartNeeds)
{
    struct repl_meta m = meta_of(1, 100);
    size_t used = 0;
    fill(100, 5000); /* two rows an entry */
    m.log_bytes = configuration().size() + 99 * 5000;
    for (int steps = 0; m.log_first <= 90; steps++) {
        ASSERT_LT(steps, 60);
        uint64_t before = m.log_first;
        ASSERT_EQ(write([&](struct kv_txn *t) { return log_trim(t, R, &m, 90, 7, &used); }), OK);
        EXPECT_LE(used, 8u);
        EXPECT_GT(m.log_first, before);
    }
    EXPECT_EQ(m.log_first, 91u);
    EXPECT_EQ(m.snapshot_index, 90u);
    EXPECT_EQ(m.snapshot_term, 4u);
    EXPECT_EQ(m.snapshot_configuration, 1u);
    EXPECT_EQ(m.log_bytes, 10u * 5000);
    EXPECT_EQ(rows(under(R, 'L')).size(), 20u);
    EXPECT_EQ(rows(under(R, 'T')).size(), 1u);
    EXPECT_EQ(rows(under(R, 'C')).size(), 1u);
    struct log_index x;
    ASSERT_EQ(read([&](struct kv_txn *t) { return log_index_load(t, R, &m, &x); }), OK);
    EXPECT_EQ(x.n_changes, 0u);
    EXPECT_EQ(string_of(x.snapshot_configuration), configuration());
    log_index_fini(&x);
}

TEST_F(Log, ATrimThatMeetsAHoleIsCorrupt)
{
    struct repl_meta m = meta_of(1, 10);
    size_t used = 0;
    fill(10);
    del(rows(under(R, 'L'))[4].key);
    EXPECT_EQ(write([&](struct kv_txn *t) { return log_trim(t, R, &m, 8, 100, &used); }), ERR_CORRUPT);
}

TEST_F(Log, OutOfMemoryWhileLoadingTheIndexIsReported)
{
    struct repl_meta m = meta_of(1, 6);
    fill(6);
    for (uint64_t nth = 1;; nth++) {
        struct log_index x;
        struct kv_txn *t;
        ASSERT_EQ(kv_begin(kv, false, &t), OK);
        mem_fail_nth(nth);
        enum err e = log_index_load(t, R, &m, &x);
        bool fired = mem_fail_fired() != 0;
        mem_fail_nth(0);
        log_index_fini(&x);
        kv_abort(t);
        ASSERT_EQ(e, fired ? ERR_NOMEM : OK);
        if (!fired) {
            break;
        }
    }
}

} // namespace
