#include "replication/body.h"
#include "replication/check.h"
#include "replication/key.h"
#include "replication/log.h"
#include "replication/volume.h"
#include "store_fixture.h"

namespace
{

constexpr uint32_t R = 3;
constexpr uint64_t LAST = 13;

std::string configuration(size_t n)
{
    const struct raft_server_info servers[] = {
        {{7}, RAFT_ROLE_VOTER}, {{8}, RAFT_ROLE_VOTER}, {{9}, RAFT_ROLE_STANDBY}};
    struct buf b;
    buf_init(&b, 1000);
    EXPECT_EQ(raft_configuration_put(servers, n, &b), OK);
    std::string s = string_of(buf_slice(&b));
    buf_fini(&b);
    return s;
}

struct Entry {
    uint64_t term = 1;
    enum repl_entry_type type = REPL_ENTRY_COMMAND;
    std::string data;
    std::string body;
};

/* Terms 1, 2, 4 and 7, three configurations, bodies, chunks, and an entry with continuation rows. */
Entry entry_at(uint64_t index)
{
    Entry e;
    e.term = index == 1 ? 1 : index < 5 ? 2 : index < 9 ? 4 : 7;
    e.data = "entry " + std::to_string(index);
    if (index == 1 || index == 6 || index == 11) {
        e.type = REPL_ENTRY_CHANGE;
        e.data = configuration(index == 1 ? 1 : index == 6 ? 2 : 3);
    } else if (index == 8 || index == 10) {
        e.type = REPL_ENTRY_CHUNK;
        e.data = std::string(BODY_PIECE_BYTES, '\0');
        e.body = std::string(REPL_BODY_CHUNK_DATA + 5, 'p');
    } else if (index == 3 || index == 7 || index == 12) {
        e.body = std::string(2 * REPL_BODY_CHUNK_DATA + index, 'b');
    } else if (index == 4) {
        e.data = std::string(9000, 'l');
    } else if (index == 9) {
        e.type = REPL_ENTRY_BARRIER;
        e.data.clear();
    }
    return e;
}

class LogTruncate : public Store
{
  protected:
    /* As group_append does. */
    enum err append(struct kv_txn *t, const Entry &x)
    {
        struct log_entry e = {meta.log_last + 1, x.term, x.type, static_cast<uint32_t>(x.body.size()),
                              slice_of(x.data)};
        enum err rc = OK;
        if (x.term != meta.last_term || meta.log_first > meta.log_last) {
            rc = log_range_put(t, R, {e.index, x.term});
        }
        rc = rc == OK ? log_entry_put(t, R, &e) : rc;
        if (rc == OK && !x.body.empty()) {
            uint16_t ordinal = x.type == REPL_ENTRY_CHUNK ? REPL_ORDINAL_PIECE : 0;
            rc = body_write(t, R, e.index, ordinal, 0, slice_of(x.body));
        }
        if (rc == OK && x.type == REPL_ENTRY_CHANGE) {
            rc = log_configuration_put(t, R, e.index, e.data);
        }
        meta.log_last++;
        meta.last_term = x.term;
        meta.log_bytes += x.data.size() + x.body.size();
        return rc;
    }
    enum err append_upto(struct kv_txn *t, uint64_t last)
    {
        enum err e = OK;
        while (e == OK && meta.log_last < last) {
            e = append(t, entry_at(meta.log_last + 1));
        }
        return e == OK ? log_meta_put(t, R, &meta) : e;
    }
    /* Entries [first, last] behind a snapshot, unless first is 1. */
    void fill(uint64_t first, uint64_t last)
    {
        kv_close(kv);
        ASSERT_EQ(kv_mem_new(&kv), OK);
        struct repl_key shard = key_shard(0);
        uint8_t number[4] = {0, 0, 0, R};
        meta = {};
        meta.node = 7;
        meta.term = 9;
        meta.log_first = first;
        meta.log_last = first - 1;
        meta.applied = first - 1;
        if (first > 1) {
            meta.snapshot_index = first - 1;
            meta.snapshot_term = entry_at(first - 1).term;
            meta.last_term = meta.snapshot_term;
            meta.snapshot_configuration = 1;
        }
        ASSERT_EQ(write([&](struct kv_txn *t) {
                      enum err e = kv_put(t, key_slice(&shard), slice_make(number, 4));
                      if (e == OK && first > 1) {
                          e = log_configuration_put(t, R, 1, slice_of(configuration(1)));
                      }
                      return e == OK ? append_upto(t, last) : e;
                  }),
                  OK);
    }
    enum err cut(struct kv_txn *t, uint64_t from)
    {
        enum err e = log_truncate(t, R, &meta, from);
        return e == OK ? log_meta_put(t, R, &meta) : e;
    }
    std::string dump()
    {
        std::string all;
        for (const Row &row : rows()) {
            all += std::to_string(row.key.size()) + row.key + std::to_string(row.value.size()) + row.value;
        }
        return all;
    }
    static void problem(void *, const char *what, struct slice)
    {
        ADD_FAILURE() << what;
    }
    static void replica(void *, struct shard_id, const uint8_t *)
    {
    }
    static void body(void *, const uint8_t *, uint64_t, uint16_t, uint64_t, bool)
    {
    }
    void expect_clean()
    {
        const struct repl_check c = {this, problem, replica, body};
        struct repl_check_totals totals;
        EXPECT_EQ(read([&](struct kv_txn *t) { return repl_check_run(t, &c, &totals); }), OK);
    }
    struct repl_meta meta = {};
};

TEST_F(LogTruncate, ALogCutAnywhereIsTheLogThatNeverHadMore)
{
    for (uint64_t first : {1, 2, 5, 7}) {
        for (uint64_t from = first == 1 ? 2 : first; from <= LAST; from++) {
            fill(first, from - 1);
            std::string want = dump();
            struct repl_meta want_meta = meta;
            fill(first, LAST);
            ASSERT_EQ(write([&](struct kv_txn *t) { return cut(t, from); }), OK);
            EXPECT_EQ(meta.log_last, from - 1);
            EXPECT_EQ(meta.last_term, want_meta.last_term) << from;
            EXPECT_EQ(meta.log_bytes, want_meta.log_bytes) << from;
            EXPECT_EQ(dump(), want) << first << " " << from;
            expect_clean();
        }
    }
}

TEST_F(LogTruncate, TheFirstEntryCanGoToo)
{
    fill(1, LAST);
    ASSERT_EQ(write([&](struct kv_txn *t) { return cut(t, 1); }), OK);
    EXPECT_EQ(meta.log_last, 0u);
    EXPECT_EQ(meta.last_term, 0u);
    EXPECT_EQ(meta.log_bytes, 0u);
    EXPECT_EQ(rows(under(R, 'B')).size() + rows(under(R, 'C')).size() + rows(under(R, 'L')).size() +
                  rows(under(R, 'T')).size(),
              0u);
}

TEST_F(LogTruncate, GoesOnBehindTheCutWithAnotherTerm)
{
    for (uint64_t first : {1, 5}) {
        for (uint64_t from = first == 1 ? 2 : first; from <= LAST; from++) {
            fill(first, LAST);
            ASSERT_EQ(write([&](struct kv_txn *t) {
                          enum err e = cut(t, from);
                          for (int i = 0; e == OK && i < 4; i++) {
                              Entry x = entry_at(10);
                              x.term = 8;
                              e = append(t, x);
                          }
                          return e == OK ? log_meta_put(t, R, &meta) : e;
                      }),
                      OK);
            struct log_index x;
            EXPECT_EQ(read([&](struct kv_txn *t) { return log_index_load(t, R, &meta, &x); }), OK) << from;
            EXPECT_EQ(x.ranges[x.n_ranges - 1].first, from);
            EXPECT_EQ(x.ranges[x.n_ranges - 1].term, 8u);
            log_index_fini(&x);
            expect_clean();
        }
    }
}

/* Then the head's term range begins before the log. */
TEST_F(LogTruncate, ATrimmedLogCanLoseAllOfItsRest)
{
    size_t used = 0;
    fill(1, LAST);
    meta.applied = 6;
    ASSERT_EQ(write([&](struct kv_txn *t) {
                  enum err e = log_trim(t, R, &meta, 6, 1000, &used);
                  return e == OK ? log_meta_put(t, R, &meta) : e;
              }),
              OK);
    ASSERT_EQ(meta.log_first, 7u);
    EXPECT_EQ(rows(under(R, 'T'))[0].key.back(), 5);
    ASSERT_EQ(write([&](struct kv_txn *t) { return cut(t, 7); }), OK);
    EXPECT_EQ(meta.log_last, 6u);
    EXPECT_EQ(meta.last_term, 4u);
    EXPECT_EQ(rows(under(R, 'T')).size(), 0u);
    expect_clean();
    ASSERT_EQ(write([&](struct kv_txn *t) { return append_upto(t, LAST); }), OK);
    expect_clean();
}

TEST_F(LogTruncate, AWriteThatFailsAnywhereChangesNothing)
{
    fill(1, LAST);
    struct repl_meta before = meta;
    std::string want = dump();
    uint64_t nth = 1;
    for (;; nth++) {
        meta = before;
        kv_mem_faults(kv)->put_full_nth = nth;
        enum err e = write([&](struct kv_txn *t) { return cut(t, 2); });
        bool fired = kv_mem_faults(kv)->put_full_nth == 0;
        kv_mem_faults(kv)->put_full_nth = 0;
        ASSERT_EQ(e, fired ? ERR_FULL : OK) << nth;
        if (!fired) {
            break;
        }
        ASSERT_EQ(dump(), want) << nth;
    }
    EXPECT_GT(nth, 20u);
    EXPECT_EQ(meta.log_last, 1u);
}

TEST_F(LogTruncate, ARowThatDoesNotReadIsReported)
{
    fill(1, LAST);
    struct repl_meta before = meta;
    uint64_t nth = 1;
    for (;; nth++) {
        meta = before;
        struct kv_txn *t;
        ASSERT_EQ(kv_begin(kv, true, &t), OK);
        kv_mem_faults(kv)->get_corrupt_nth = nth;
        enum err e = log_truncate(t, R, &meta, 2);
        bool fired = kv_mem_faults(kv)->get_corrupt_nth == 0;
        kv_mem_faults(kv)->get_corrupt_nth = 0;
        kv_abort(t);
        ASSERT_EQ(e, fired ? ERR_CORRUPT : OK) << nth;
        if (!fired) {
            break;
        }
    }
    EXPECT_GT(nth, 20u);
    del(under(R, 'L') + std::string("\0\0\0\0\0\0\0\5", 8));
    meta = before;
    EXPECT_EQ(write([&](struct kv_txn *t) { return log_truncate(t, R, &meta, 4); }), ERR_CORRUPT);
}

TEST_F(LogTruncate, AnEntrysTermIsTheLogsOrTheSnapshots)
{
    uint64_t term = 0;
    fill(5, LAST);
    auto term_of = [&](uint64_t index) {
        return read([&](struct kv_txn *t) { return log_term_of(t, R, &meta, index, &term); });
    };
    EXPECT_EQ(term_of(4), OK);
    EXPECT_EQ(term, 2u);
    EXPECT_EQ(term_of(8), OK);
    EXPECT_EQ(term, 4u);
    EXPECT_EQ(term_of(13), OK);
    EXPECT_EQ(term, 7u);
    EXPECT_EQ(term_of(3), ERR_NOTFOUND);
    EXPECT_EQ(term_of(14), ERR_NOTFOUND);
}

} // namespace
