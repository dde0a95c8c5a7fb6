#include "replication/body.h"
#include "replication/check.h"
#include "replication/key.h"
#include "replication/log.h"
#include "replication/volume.h"
#include "store_fixture.h"

namespace
{

constexpr uint32_t R = 3;
constexpr uint64_t STAGED = 5; /* the reservation's index */
const uint8_t PREFIX[5] = {0, 0, 0, R, 'S'};

/* As a group applies a CHUNK entry (group_write.c). */
enum err body_piece_apply(struct kv_txn *t, uint64_t index, const struct body_piece *p, uint32_t bytes, uint64_t now_ms,
                          enum err *out_status)
{
    bool adds = false;
    enum err e = body_piece_place(t, R, p, bytes, &adds, out_status);
    if (e != OK) {
        return e;
    }
    return adds ? body_piece_store(t, R, index, p, bytes)
                : repl_body_kill(t, PREFIX, index, REPL_ORDINAL_PIECE, now_ms);
}

class Pieces : public Store
{
  protected:
    /* A CHUNK entry: its bytes are stored when it is appended, then it is applied. */
    enum err add(uint64_t index, uint64_t offset, const std::string &bytes, uint64_t staged = STAGED)
    {
        enum err status = ERR_IO;
        const struct body_piece p = {staged, offset};
        EXPECT_EQ(write([&](struct kv_txn *t) {
                      enum err e = body_write(t, R, index, REPL_ORDINAL_PIECE, 0, slice_of(bytes));
                      return e != OK ? e
                                     : body_piece_apply(t, index, &p, static_cast<uint32_t>(bytes.size()), 77, &status);
                  }),
                  OK);
        return status;
    }
    void add_all(const std::vector<size_t> &sizes)
    {
        uint64_t index = 10;
        for (size_t n : sizes) {
            std::string bytes(n, '\0');
            for (size_t i = 0; i < n; i++) {
                bytes[i] = static_cast<char>((all.size() + i) * 37 + (all.size() + i) / 255);
            }
            ASSERT_EQ(add(index++, all.size(), bytes), OK);
            all += bytes;
        }
    }
    enum err get(uint64_t off, size_t n, std::string *out)
    {
        struct buf b;
        buf_init(&b, 1 << 22);
        enum err e = read([&](struct kv_txn *t) { return repl_body_read(t, PREFIX, STAGED, 0, off, n, &b); });
        *out = string_of(buf_slice(&b));
        buf_fini(&b);
        return e;
    }
    uint64_t bytes(uint64_t index = STAGED, uint16_t ordinal = 0)
    {
        uint64_t n = 999;
        EXPECT_EQ(read([&](struct kv_txn *t) { return repl_body_bytes(t, PREFIX, index, ordinal, &n); }), OK);
        return n;
    }
    bool dead(uint64_t index, uint16_t ordinal = REPL_ORDINAL_PIECE)
    {
        bool is = false;
        EXPECT_EQ(read([&](struct kv_txn *t) { return body_is_dead(t, R, index, ordinal, &is); }), OK);
        return is;
    }
    void kill(uint64_t index = STAGED)
    {
        ASSERT_EQ(write([&](struct kv_txn *t) { return repl_body_kill(t, PREFIX, index, 0, 0); }), OK);
    }
    bool purge(uint64_t log_first, size_t rows = 1000)
    {
        struct body_purge p = BODY_PURGE_START;
        size_t deleted = 0;
        bool done = false;
        EXPECT_EQ(
            write([&](struct kv_txn *t) { return body_purge_step(t, R, &p, log_first, 0, 0, &rows, &deleted, &done); }),
            OK);
        return done;
    }
    static void problem(void *ctx, const char *what, struct slice)
    {
        static_cast<std::vector<std::string> *>(ctx)->push_back(what);
    }
    static void replica(void *, struct shard_id, const uint8_t *)
    {
    }
    static void body(void *, const uint8_t *, uint64_t, uint16_t, uint64_t, bool)
    {
    }
    /* The replica's other rows are those of an empty log behind a snapshot. */
    std::vector<std::string> check()
    {
        std::vector<std::string> problems;
        const struct repl_check c = {&problems, problem, replica, body};
        const struct raft_server_info self = {{7}, RAFT_ROLE_VOTER};
        struct repl_check_totals totals;
        struct repl_meta m = {};
        struct buf conf;
        buf_init(&conf, 1000);
        m.node = 7;
        m.term = m.last_term = m.snapshot_term = 1;
        m.applied = 100;
        m.log_first = 101;
        m.log_last = m.snapshot_index = 100;
        m.snapshot_configuration = 1;
        EXPECT_EQ(raft_configuration_put(&self, 1, &conf), OK);
        EXPECT_EQ(write([&](struct kv_txn *t) {
                      enum err e = log_meta_put(t, R, &m);
                      return e == OK ? log_configuration_put(t, R, 1, buf_slice(&conf)) : e;
                  }),
                  OK);
        EXPECT_EQ(read([&](struct kv_txn *t) { return repl_check_run(t, &c, &totals); }), OK);
        buf_fini(&conf);
        return problems;
    }
    std::string all;
};

TEST_F(Pieces, TheEntrysDataComesBackAsItWent)
{
    const struct body_piece p = {0x1122334455667788, 0x99AABBCCDDEEFF00};
    uint8_t data[BODY_PIECE_BYTES];
    struct body_piece q;
    body_piece_put(&p, data);
    ASSERT_EQ(body_piece_get(slice_make(data, sizeof(data)), &q), OK);
    EXPECT_EQ(q.staged, p.staged);
    EXPECT_EQ(q.offset, p.offset);
    EXPECT_EQ(body_piece_get(slice_make(data, sizeof(data) - 1), &q), ERR_CORRUPT);
    EXPECT_EQ(body_piece_get(slice_make("", 0), &q), ERR_CORRUPT);
}

TEST_F(Pieces, PiecesInOrderMakeABody)
{
    EXPECT_EQ(bytes(), 0u);
    EXPECT_EQ(add(10, 0, "one"), OK);
    EXPECT_EQ(bytes(), 3u);
    EXPECT_EQ(add(11, 3, "two"), OK);
    EXPECT_EQ(bytes(), 6u);
    std::string s;
    EXPECT_EQ(get(0, 6, &s), OK);
    EXPECT_EQ(s, "onetwo");
    EXPECT_FALSE(dead(10));
    EXPECT_FALSE(dead(11));
    EXPECT_TRUE(check().empty());
}

TEST_F(Pieces, AGapOrAnOverlapIsRefusedAndThePieceIsDead)
{
    EXPECT_EQ(add(10, 1, "gap"), ERR_INVAL);
    EXPECT_TRUE(dead(10));
    EXPECT_EQ(add(11, 0, "four"), OK);
    EXPECT_EQ(add(12, 5, "gap"), ERR_INVAL);
    EXPECT_EQ(add(13, 3, "overlap"), ERR_INVAL);
    EXPECT_EQ(add(14, 0, "longer"), ERR_INVAL);
    EXPECT_EQ(add(15, 0, "two"), ERR_INVAL); /* a part of one that is there */
    EXPECT_EQ(add(16, UINT64_MAX, "far"), ERR_INVAL);
    for (uint64_t i = 12; i <= 16; i++) {
        EXPECT_TRUE(dead(i)) << i;
    }
    EXPECT_EQ(bytes(), 4u);
    EXPECT_TRUE(check().empty());
}

TEST_F(Pieces, ARepetitionIsFineAndKeepsTheFirst)
{
    std::string s;
    EXPECT_EQ(add(10, 0, "one"), OK);
    EXPECT_EQ(add(11, 3, "two"), OK);
    EXPECT_EQ(add(12, 0, "ONE"), OK);
    EXPECT_EQ(add(13, 3, "TWO"), OK);
    EXPECT_EQ(get(0, 6, &s), OK);
    EXPECT_EQ(s, "onetwo");
    EXPECT_FALSE(dead(10));
    EXPECT_TRUE(dead(12));
    EXPECT_TRUE(dead(13));
    EXPECT_EQ(add(14, 6, "three"), OK);
    EXPECT_EQ(bytes(), 11u);
    EXPECT_TRUE(check().empty());
}

TEST_F(Pieces, ADeadBodyTakesNoMore)
{
    EXPECT_EQ(add(10, 0, "one"), OK);
    kill();
    EXPECT_EQ(add(11, 3, "two"), ERR_STALE);
    EXPECT_TRUE(dead(11));
    EXPECT_EQ(add(12, 0, "one"), ERR_STALE);
    EXPECT_EQ(bytes(), 3u);
    EXPECT_TRUE(check().empty());
}

TEST_F(Pieces, BodiesDoNotMix)
{
    std::string s;
    EXPECT_EQ(add(10, 0, "mine"), OK);
    EXPECT_EQ(add(11, 0, "before", STAGED - 1), OK);
    EXPECT_EQ(add(12, 0, "after", STAGED + 1), OK);
    EXPECT_EQ(bytes(), 4u);
    EXPECT_EQ(bytes(STAGED - 1), 6u);
    EXPECT_EQ(bytes(STAGED + 1), 5u);
    EXPECT_EQ(bytes(STAGED + 2), 0u);
    EXPECT_EQ(get(0, 4, &s), OK);
    EXPECT_EQ(s, "mine");
    EXPECT_EQ(get(0, 5, &s), ERR_NOTFOUND);
}

TEST_F(Pieces, EveryRangeAcrossPiecesIsRead)
{
    std::string s;
    add_all({1, 2, 5, 1, 7, 3});
    for (size_t from = 0; from <= all.size(); from++) {
        for (size_t n = 0; from + n <= all.size(); n++) {
            ASSERT_EQ(get(from, n, &s), OK) << from << " " << n;
            ASSERT_EQ(s, all.substr(from, n)) << from << " " << n;
        }
        EXPECT_EQ(get(from, all.size() - from + 1, &s), ERR_NOTFOUND) << from;
        EXPECT_EQ(s, "") << from;
    }
}

TEST_F(Pieces, RangesAroundEveryBorderOfLargePiecesAreRead)
{
    std::string s;
    const size_t chunk = REPL_BODY_CHUNK_DATA;
    add_all({3 * chunk, 2 * chunk + 1, chunk - 1, chunk, 5});
    std::vector<size_t> at;
    for (size_t border = 0; border <= all.size() + chunk; border += chunk) {
        for (size_t d : {0, 1, 2}) {
            at.push_back(border + d);
            at.push_back(border > d ? border - d : 0);
        }
    }
    at.push_back(all.size());
    for (size_t from : at) {
        for (size_t to : at) {
            if (from <= to && to <= all.size()) {
                ASSERT_EQ(get(from, to - from, &s), OK) << from << " " << to;
                ASSERT_EQ(s, all.substr(from, to - from)) << from << " " << to;
            }
        }
    }
}

TEST_F(Pieces, APurgeLeavesWhatTheLogStillHas)
{
    add_all({5000, 6000, 7000}); /* entries 10, 11, 12 */
    kill();
    EXPECT_TRUE(purge(11));
    EXPECT_EQ(bytes(10, REPL_ORDINAL_PIECE), 0u);
    EXPECT_EQ(bytes(11, REPL_ORDINAL_PIECE), 6000u);
    EXPECT_EQ(bytes(12, REPL_ORDINAL_PIECE), 7000u);
    EXPECT_TRUE(dead(STAGED, 0));
    EXPECT_EQ(rows(under(R, 'P')).size(), 2u);
    EXPECT_TRUE(check().empty());
    EXPECT_TRUE(purge(12));
    EXPECT_EQ(bytes(12, REPL_ORDINAL_PIECE), 7000u);
    EXPECT_TRUE(purge(13));
    EXPECT_EQ(rows(under(R, 'P')).size() + rows(under(R, 'B')).size() + rows(under(R, 'Q')).size(), 0u);
}

TEST_F(Pieces, APurgeGoesOnWhereItsBudgetEnded)
{
    add_all({5000, 6000, 7000});
    kill();
    int steps = 0;
    while (!purge(13, 2)) {
        EXPECT_TRUE(check().empty()) << steps;
        ASSERT_LT(++steps, 20);
    }
    EXPECT_GT(steps, 2);
    EXPECT_EQ(rows(under(R, 'P')).size() + rows(under(R, 'B')).size() + rows(under(R, 'Q')).size(), 0u);
}

TEST_F(Pieces, ARefusedPieceIsPurgedByItself)
{
    EXPECT_EQ(add(10, 0, "keep"), OK);
    EXPECT_EQ(add(11, 7, "gap"), ERR_INVAL);
    EXPECT_TRUE(purge(11));
    EXPECT_EQ(bytes(11, REPL_ORDINAL_PIECE), 3u); /* the log has it */
    EXPECT_TRUE(purge(12));
    EXPECT_EQ(bytes(11, REPL_ORDINAL_PIECE), 0u);
    EXPECT_FALSE(dead(11));
    EXPECT_EQ(bytes(), 4u);
    EXPECT_TRUE(check().empty());
}

TEST_F(Pieces, ACheckFindsWhatIsWrongWithThem)
{
    add_all({100, 5000});
    Row piece = rows(under(R, 'P'))[1];
    for (size_t bit = 0; bit < piece.value.size() * 8; bit++) {
        std::string bad = piece.value;
        bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << bit % 8));
        put(piece.key, bad);
        EXPECT_FALSE(check().empty()) << bit;
    }
    put(piece.key, piece.value);
    EXPECT_TRUE(check().empty());
    del(piece.key);
    EXPECT_FALSE(check().empty()); /* bytes that nothing names */
    put(piece.key, piece.value);
    Row chunk = rows(under(R, 'B')).back();
    del(chunk.key);
    EXPECT_FALSE(check().empty()); /* its bytes are missing */
    std::string s;
    EXPECT_EQ(get(0, 5100, &s), ERR_NOTFOUND);
    EXPECT_EQ(get(0, 100, &s), OK);
}

TEST_F(Pieces, ACorruptPieceRowIsReportedToWhoeverNeedsIt)
{
    add_all({100, 100});
    Row piece = rows(under(R, 'P'))[1];
    piece.value[0] = static_cast<char>(piece.value[0] ^ 1);
    put(piece.key, piece.value);
    std::string s;
    enum err status = OK;
    uint64_t n = 0;
    const struct body_piece p = {STAGED, 200};
    EXPECT_EQ(get(50, 100, &s), ERR_CORRUPT);
    EXPECT_EQ(read([&](struct kv_txn *t) { return repl_body_bytes(t, PREFIX, STAGED, 0, &n); }), ERR_CORRUPT);
    EXPECT_EQ(write([&](struct kv_txn *t) { return body_piece_apply(t, 20, &p, 5, 0, &status); }), ERR_CORRUPT);
}

} // namespace
