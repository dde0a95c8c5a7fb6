/* Copies for backups, saved entries, and groups that are restored from both. */
#include "proto/base/mem.h"
#include "replication/check.h"
#include "replication/restore.h"
#include "volume_fixture.h"

namespace
{

constexpr uint64_t COPY = 77;
constexpr uint64_t OVER = 5; /* a row that is written again and again */

struct Pull {
    struct volume_pull p; /* first */
    int answers = 0;
    enum err status = OK;
    uint64_t sequence = 0;
    bool last = false;
    uint64_t index = 0;
    uint64_t term = 0;
    uint64_t wall_ms = 0;
    std::string rows;
    explicit Pull(uint64_t arrived, uint64_t copy = COPY, uint32_t shard = 0)
    {
        memset(&p, 0, sizeof(p));
        p.shard = {shard};
        p.copy = copy;
        p.arrived = arrived;
        p.done = done;
    }
    static void done(struct volume_pull *p, enum err status, const struct volume_batch *b)
    {
        Pull *self = reinterpret_cast<Pull *>(p);
        self->answers++;
        self->status = status;
        EXPECT_EQ(b != nullptr, status == OK);
        if (b != nullptr) {
            self->sequence = b->sequence;
            self->last = b->last;
            self->index = b->index;
            self->term = b->term;
            self->wall_ms = b->wall_ms;
            self->rows = string_of(b->rows);
        }
    }
    Pull(const Pull &) = delete;
    Pull &operator=(const Pull &) = delete;
};

using Rows = std::map<std::string, std::string>;

/* A kv_mem that a group is restored into. */
class Target
{
  public:
    Target()
    {
        EXPECT_EQ(kv_mem_new(&kv), OK);
        machine.kill_next = "kill"; /* as the source's: apply is a function of state and entry */
        machine.over = OVER;
    }
    ~Target()
    {
        restore_free(r);
        kv_close(kv);
    }
    Target(const Target &) = delete;
    enum err begin(uint32_t shard = 0)
    {
        const struct restore_config cfg = {kv, {shard}, {9}};
        struct repl_fsm fsm = machine.fsm();
        enum err e = restore_begin(&cfg, &fsm, &r);
        if (e == OK) {
            restore_prefix(r, machine.prefix);
        }
        return e;
    }
    enum err rows(const std::string &s)
    {
        uint64_t n = 0;
        enum err e = restore_rows(r, slice_of(s), &n);
        counted += n;
        return e;
    }
    enum err end(uint64_t index)
    {
        enum err e = restore_end(r, index);
        restore_free(r);
        r = nullptr;
        return e;
    }
    struct kv *kv = nullptr;
    struct restore *r = nullptr;
    Machine machine;
    uint64_t counted = 0;
};

/* Rows of a replica that make its state: what a copy has. */
Rows copied(struct kv *kv, const uint8_t prefix[5])
{
    Rows all;
    struct kv_txn *t;
    struct kv_cursor *c;
    struct slice k;
    struct slice v;
    EXPECT_EQ(kv_begin(kv, false, &t), OK);
    EXPECT_EQ(kv_cursor_open(t, &c), OK);
    for (enum err e = kv_cursor_seek(c, slice_make(prefix, 4), &k, &v); e == OK && memcmp(k.p, prefix, 4) == 0;
         e = kv_cursor_next(c, &k, &v)) {
        if (strchr("BPQS", k.p[4]) != nullptr) {
            all[string_of(slice_sub(k, 4, k.n))] = string_of(v);
        }
    }
    kv_cursor_close(c);
    kv_abort(t);
    return all;
}

class Backup : public VolumeTest
{
  protected:
    void SetUp() override
    {
        VolumeTest::SetUp();
        rng_seeded_init(&dice, 5);
        config.log_entries_max = 100000;
        start(2);
        machines[0].kill_next = "kill";
        machines[0].over = OVER;
    }
    Rows state()
    {
        return copied(kv, machines[0].prefix);
    }
    /* Something of every kind. */
    void write_some()
    {
        uint64_t what = rng_u64(&dice) % 10;
        std::string body(rng_u64(&dice) % 30000, static_cast<char>('a' + rng_u64(&dice) % 26));
        if (what == 0) {
            ASSERT_EQ(one(0, "kill", "a body that dies"), OK);
        } else if (what < 3) {
            ASSERT_EQ(one(0, "over" + std::to_string(rng_u64(&dice))), OK);
        } else if (what == 3) {
            stage();
        } else {
            ASSERT_EQ(one(0, "row" + std::to_string(rng_u64(&dice)), body), OK);
        }
    }
    void stage()
    {
        std::string piece(2 * REPL_BODY_CHUNK_DATA, 's');
        Write begin(0, "stage");
        turn({&begin});
        uint64_t index = machines[0].indexes.back();
        for (uint64_t off = 0; off < 3 * piece.size(); off += piece.size()) {
            Write w(0, "", piece);
            w.p.staged_index = index;
            w.p.staged_offset = off;
            turn({&w});
            ASSERT_EQ(w.status, OK);
        }
    }
    void ask(Pull *p)
    {
        volume_pull(volume, &p->p);
        for (int i = 0; i < 100 && p->answers == 0; i++) {
            clock.ms += turn() % 1000;
        }
    }
    /* The whole copy into a target, with `meanwhile` between batches. */
    void copy(Target *to, const std::function<void()> &meanwhile, Pull *last)
    {
        uint64_t term0 = 0;
        for (uint64_t arrived = 0; arrived < 10000; arrived++) {
            Pull p(arrived);
            ask(&p);
            ASSERT_EQ(p.answers, 1);
            ASSERT_EQ(p.status, OK);
            ASSERT_EQ(p.sequence, arrived + 1);
            ASSERT_EQ(to->rows(p.rows), OK);
            if (p.last) {
                ASSERT_TRUE(volume_leads(volume, {0}, &term0));
                EXPECT_EQ(p.index, volume_applied(volume, {0}));
                EXPECT_EQ(p.term, term0);
                EXPECT_EQ(p.wall_ms, clock.ms + 1000000);
                ASSERT_EQ(restore_base(to->r, p.index, p.term), OK);
                last->index = p.index;
                last->term = p.term;
                last->sequence = p.sequence;
                return;
            }
            meanwhile();
        }
        FAIL() << "no end";
    }
    std::string entry(uint64_t index)
    {
        std::string bytes;
        EXPECT_EQ(read([&](struct kv_txn *t) {
                      struct buf b;
                      buf_init(&b, SAVED_ENTRY_BYTES_MAX);
                      enum err e = saved_entry_read(t, machines[0].prefix, index, &b);
                      bytes = string_of(buf_slice(&b));
                      buf_fini(&b);
                      return e;
                  }),
                  OK);
        return bytes;
    }
    enum err give(Target *to, const std::string &bytes)
    {
        struct slice rest = slice_of(bytes);
        struct repl_entry e;
        EXPECT_EQ(saved_entry_get(&rest, &e), OK);
        EXPECT_EQ(rest.n, 0u);
        return restore_entry(to->r, &e);
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
    static void expect_clean(struct kv *of)
    {
        const struct repl_check c = {nullptr, problem, replica, body};
        struct repl_check_totals totals;
        struct kv_txn *t;
        ASSERT_EQ(kv_begin(of, false, &t), OK);
        EXPECT_EQ(repl_check_run(t, &c, &totals), OK);
        kv_abort(t);
        EXPECT_EQ(totals.replicas, 1u);
    }
    struct rng dice;
};

TEST_F(Backup, ACopyUnderWritesIsTheStateAtItsLastIndex)
{
    for (int i = 0; i < 200; i++) {
        write_some();
    }
    Target to;
    Pull last(0);
    int writes = 0;
    ASSERT_EQ(to.begin(), OK);
    copy(
        &to,
        [&]() {
            for (int i = 0; i < 7 && writes < 200; i++, writes++) {
                write_some();
            }
        },
        &last);
    EXPECT_GT(last.sequence, 10u);
    EXPECT_GT(writes, 50);
    ASSERT_EQ(to.end(last.index + 5), OK);
    EXPECT_TRUE(copied(to.kv, to.machine.prefix) == state());
    expect_clean(to.kv);
}

TEST_F(Backup, ALogGoesOnWhereItsBaseEnds)
{
    for (int i = 0; i < 40; i++) {
        write_some();
    }
    Target to;
    Pull last(0);
    ASSERT_EQ(to.begin(), OK);
    copy(
        &to, []() {}, &last);
    for (int i = 0; i < 5; i++) {
        write_some();
    }
    uint64_t upto = volume_applied(volume, {0});
    EXPECT_EQ(give(&to, entry(upto)), ERR_CORRUPT) << "some are missing before it";
    for (uint64_t i = last.index + 1; i <= upto; i++) {
        ASSERT_EQ(give(&to, entry(i)), OK);
        ASSERT_EQ(restore_index(to.r), i);
    }
    EXPECT_EQ(give(&to, entry(upto)), ERR_CORRUPT) << "the same entry twice";
    ASSERT_EQ(to.end(upto), OK);
    EXPECT_TRUE(copied(to.kv, to.machine.prefix) == state());
    expect_clean(to.kv);
}

/* A batch at the base's index, and entries up to somewhere: each of these is what the source was there. */
TEST_F(Backup, ARestoreMayEndAtAnyEntry)
{
    std::vector<std::string> batches;
    std::map<uint64_t, Rows> at;
    for (int i = 0; i < 30; i++) {
        write_some();
    }
    Pull last(0);
    for (uint64_t arrived = 0; !last.last; arrived++) {
        Pull p(arrived);
        ask(&p);
        ASSERT_EQ(p.status, OK);
        batches.push_back(p.rows);
        last.last = p.last;
        last.index = p.index;
        last.term = p.term;
    }
    at[last.index] = state();
    for (int i = 0; i < 25; i++) {
        write_some();
        at[volume_applied(volume, {0})] = state();
    }
    for (const auto &point : at) {
        Target to;
        ASSERT_EQ(to.begin(), OK);
        for (const std::string &b : batches) {
            ASSERT_EQ(to.rows(b), OK);
        }
        ASSERT_EQ(restore_base(to.r, last.index, last.term), OK);
        for (uint64_t i = last.index + 1; i <= point.first; i++) {
            ASSERT_EQ(give(&to, entry(i)), OK);
        }
        ASSERT_EQ(to.end(point.first), OK);
        ASSERT_TRUE(copied(to.kv, to.machine.prefix) == point.second) << "at " << point.first;
        expect_clean(to.kv);
    }
}

TEST_F(Backup, ARestoredGroupLeadsAndGoesOnAboveWhatWasSaved)
{
    for (int i = 0; i < 20; i++) {
        write_some();
    }
    Target to;
    Pull last(0);
    ASSERT_EQ(to.begin(), OK);
    copy(
        &to, []() {}, &last);
    ASSERT_EQ(to.end(last.index + 1000), OK);
    Rows before = copied(to.kv, to.machine.prefix);
    auto living = [](const Rows &all) { /* dead bodies go, as no log needs them */
                                        Rows r;
                                        for (const auto &row : all) {
                                            if (row.first[0] == 'S') {
                                                r.insert(row);
                                            }
                                        }
                                        return r;
    };

    close();
    kv_close(kv);
    kv = to.kv; /* as if it were the source's */
    ASSERT_EQ(kv_mem_new(&to.kv), OK);
    config.kv = kv;
    ASSERT_EQ(volume_open(&config, &volume), OK);
    ASSERT_EQ(open_replica(0, 9), OK);
    turn();
    ASSERT_TRUE(leads(0));
    EXPECT_GT(term, last.term);
    EXPECT_TRUE(living(state()) == living(before));
    ASSERT_EQ(one(0, "new", "body"), OK);
    EXPECT_GT(machines[0].indexes.back(), last.index + 1000);
    expect_clean(kv);
}

TEST_F(Backup, ConfigurationsOfTheSavedGroupAreNotTheRestoredOnes)
{
    const struct raft_server_info others[] = {{{1}, RAFT_ROLE_VOTER}, {{2}, RAFT_ROLE_VOTER}, {{3}, RAFT_ROLE_VOTER}};
    struct buf conf;
    buf_init(&conf, 10000);
    ASSERT_EQ(raft_configuration_put(others, 3, &conf), OK);
    Target to;
    ASSERT_EQ(to.begin(), OK);
    ASSERT_EQ(restore_base(to.r, 10, 3), OK);
    struct repl_entry e = {};
    e.head.index = 11;
    e.head.term = 3;
    e.head.type = REPL_ENTRY_CHANGE;
    e.head.data = buf_slice(&conf);
    ASSERT_EQ(restore_entry(to.r, &e), OK);
    e.head.index = 12;
    e.head.term = 4;
    e.head.type = REPL_ENTRY_BARRIER;
    e.head.data = slice_of("");
    ASSERT_EQ(restore_entry(to.r, &e), OK);
    e.head.index = 13;
    e.head.term = 3;
    EXPECT_EQ(restore_entry(to.r, &e), ERR_CORRUPT) << "terms do not go back";
    ASSERT_EQ(to.end(100), OK);
    buf_fini(&conf);
    expect_clean(to.kv);
    config.kv = to.kv;
    close();
    ASSERT_EQ(volume_open(&config, &volume), OK);
    ASSERT_EQ(open_replica(0, 9), OK);
    turn();
    EXPECT_TRUE(leads(0)) << "it is the only voter";
    close();
}

TEST_F(Backup, AStoreThatWasLeftHalfWayShowsNoReplica)
{
    Target to;
    ASSERT_EQ(to.begin(), OK);
    for (int i = 0; i < 300; i++) {
        write_some();
    }
    for (uint64_t arrived = 0; arrived < 20; arrived++) {
        Pull p(arrived);
        ask(&p);
        ASSERT_EQ(to.rows(p.rows), OK);
    }
    restore_free(to.r);
    to.r = nullptr;
    config.kv = to.kv;
    close();
    ASSERT_EQ(volume_open(&config, &volume), OK);
    size_t found;
    volume_found(volume, &found);
    EXPECT_EQ(found, 0u);
    settle(); /* and the rows go */
    EXPECT_TRUE(copied(to.kv, to.machine.prefix).empty());
    close();
}

TEST_F(Backup, EachFailureOfTheStoreEndsARestore)
{
    std::vector<std::string> batches;
    for (int i = 0; i < 12; i++) {
        write_some();
    }
    Pull last(0);
    for (uint64_t arrived = 0; !last.last; arrived++) {
        Pull p(arrived);
        ask(&p);
        batches.push_back(p.rows);
        last.last = p.last;
        last.index = p.index;
        last.term = p.term;
    }
    write_some();
    write_some();
    uint64_t upto = volume_applied(volume, {0});
    bool through = false;
    for (uint64_t nth = 1; !through && nth < 5000; nth++) {
        Target to;
        kv_mem_faults(to.kv)->put_full_nth = nth;
        enum err e = to.begin();
        for (size_t i = 0; e == OK && i < batches.size(); i++) {
            e = to.rows(batches[i]);
        }
        e = e == OK ? restore_base(to.r, last.index, last.term) : e;
        for (uint64_t i = last.index + 1; e == OK && i <= upto; i++) {
            e = give(&to, entry(i));
        }
        e = e == OK ? to.end(upto) : e;
        through = e == OK;
        EXPECT_TRUE(e == OK || e == ERR_FULL) << err_text(e);
    }
    EXPECT_TRUE(through);
}

TEST_F(Backup, WhatIsNoCopyIsRefused)
{
    Target to;
    uint64_t n = 0;
    ASSERT_EQ(to.begin(), OK);
    EXPECT_EQ(restore_rows_check(slice_of(std::string("\x01")), &n), ERR_CORRUPT);
    EXPECT_EQ(to.rows(std::string("\x01\x00\x00\x00\x00\x00\x00M", 8)), ERR_CORRUPT) << "a row that is not the state's";
    EXPECT_EQ(to.rows(std::string("\x00\x00\x00\x00\x00\x00\x00", 7)), ERR_CORRUPT) << "no key";
    EXPECT_EQ(to.rows(std::string("\x01\x00\x00\x05\x00\x00\x00Sab", 10)), ERR_CORRUPT) << "cut short";
    EXPECT_EQ(restore_base(to.r, 0, 1), ERR_CORRUPT);
    struct repl_entry e = {};
    e.head.index = 1;
    e.head.term = 1;
    e.head.type = REPL_ENTRY_BARRIER;
    EXPECT_EQ(restore_entry(to.r, &e), ERR_CORRUPT) << "no base yet";
    EXPECT_EQ(restore_end(to.r, 10), ERR_CORRUPT);
}

/* The source had them in its log, and maybe they were never committed. */
TEST_F(Backup, BodiesOfEntriesAfterTheBaseAreDropped)
{
    auto row = [](uint64_t index) {
        std::string key(19, '\0');
        key[0] = 'B';
        put_be64(reinterpret_cast<uint8_t *>(&key[1]), index);
        return std::string("\x13\x00\x00\x05\x00\x00\x00", 7) + key + "12345";
    };
    Target to;
    ASSERT_EQ(to.begin(), OK);
    ASSERT_EQ(to.rows(row(10) + row(11)), OK);
    EXPECT_EQ(to.counted, 2u);
    ASSERT_EQ(restore_base(to.r, 10, 3), OK);
    ASSERT_EQ(to.end(20), OK);
    Rows all = copied(to.kv, to.machine.prefix);
    ASSERT_EQ(all.size(), 1u);
    EXPECT_EQ(all.begin()->first[8], 10);
}

TEST_F(Backup, AShardIsRestoredOnce)
{
    Target to;
    ASSERT_EQ(to.begin(), OK);
    ASSERT_EQ(restore_base(to.r, 10, 3), OK);
    ASSERT_EQ(to.end(20), OK);
    EXPECT_EQ(to.begin(), ERR_EXISTS);
    ASSERT_EQ(to.begin(1), OK) << "another one beside it";
    EXPECT_EQ(get_be32(to.machine.prefix), 2u) << "under a number of its own";
}

/* --- saved entries --- */

TEST_F(Backup, EntriesAreBytesAndBack)
{
    for (int i = 0; i < 30; i++) {
        write_some();
    }
    struct saved_span span;
    ASSERT_EQ(read([&](struct kv_txn *t) { return saved_span_get(t, machines[0].prefix, &span); }), OK);
    EXPECT_EQ(span.last, volume_applied(volume, {0}));
    std::string all;
    for (uint64_t i = span.first; i <= span.last; i++) {
        std::string bytes = entry(i);
        struct slice rest;
        struct repl_entry e;
        for (size_t n = 0; n < bytes.size(); n += n < 40 ? 1 : 997) {
            rest = slice_make(bytes.data(), n);
            ASSERT_EQ(saved_entry_get(&rest, &e), ERR_NOTFOUND) << n;
            ASSERT_EQ(rest.n, n);
        }
        rest = slice_of(bytes);
        ASSERT_EQ(saved_entry_get(&rest, &e), OK);
        EXPECT_EQ(e.head.index, i);
        all += bytes;
    }
    uint64_t t0 = 0;
    EXPECT_EQ(read([&](struct kv_txn *t) { return saved_term_get(t, machines[0].prefix, span.last, &t0); }), OK);
    EXPECT_EQ(t0, span.last_term);
    EXPECT_EQ(read([&](struct kv_txn *t) { return saved_term_get(t, machines[0].prefix, span.last + 1, &t0); }),
              ERR_NOTFOUND);
    struct repl_entry e;
    for (size_t at : {0, 8, 16, 20, 24}) { /* index 0, term 0, no type, data and body too large */
        std::string bad = entry(span.last);
        memset(&bad[at], at < 16 ? 0 : 0xff, at < 16 ? 8 : 4);
        struct slice rest = slice_of(bad);
        EXPECT_EQ(saved_entry_get(&rest, &e), ERR_CORRUPT) << at;
    }
}

/* --- pulls --- */

TEST_F(Backup, ALostBatchIsPulledAgain)
{
    for (int i = 0; i < 100; i++) {
        write_some();
    }
    Target to;
    ASSERT_EQ(to.begin(), OK);
    bool last = false;
    for (uint64_t arrived = 0; !last; arrived++) {
        for (int lost = 0; lost < 2; lost++) {
            Pull p(arrived);
            ask(&p);
            ASSERT_EQ(p.status, OK);
            ASSERT_EQ(p.sequence, arrived + 1);
            if (arrived < 20) {
                write_some();
            }
        }
        Pull p(arrived);
        ask(&p);
        ASSERT_EQ(p.status, OK);
        ASSERT_EQ(p.sequence, arrived + 1);
        ASSERT_EQ(to.rows(p.rows), OK);
        last = p.last;
        if (last) {
            ASSERT_EQ(restore_base(to.r, p.index, p.term), OK);
            ASSERT_EQ(to.end(p.index), OK);
        }
    }
    EXPECT_TRUE(copied(to.kv, to.machine.prefix) == state());
}

TEST_F(Backup, PullsThatFitNoCopyAreStale)
{
    write_some();
    Pull unknown(3);
    ask(&unknown);
    EXPECT_EQ(unknown.status, ERR_STALE);
    Pull nowhere(0, COPY, 900);
    ask(&nowhere);
    EXPECT_EQ(nowhere.status, ERR_NOT_LEADER);
    Pull first(0);
    ask(&first);
    ASSERT_EQ(first.status, OK);
    Pull ahead(2);
    ask(&ahead);
    EXPECT_EQ(ahead.status, ERR_STALE);
    Pull other(1, COPY + 1);
    ask(&other);
    EXPECT_EQ(other.status, ERR_STALE);
}

TEST_F(Backup, OneBackupAtATimeCopiesAShardUntilItIsDoneOrSilent)
{
    for (int i = 0; i < 60; i++) {
        write_some();
    }
    Pull first(0);
    ask(&first);
    ASSERT_EQ(first.status, OK);
    ASSERT_FALSE(first.last);
    Pull other(0, COPY + 1);
    ask(&other);
    EXPECT_EQ(other.status, ERR_LOCKED);
    Pull neighbour(0, COPY + 1, 1);
    ask(&neighbour);
    EXPECT_EQ(neighbour.status, OK) << "another shard";
    clock.ms += 11000;
    turn();
    Pull again(0, COPY + 1);
    ask(&again);
    EXPECT_EQ(again.status, OK) << "the first one is gone";
    Pull late(1);
    ask(&late);
    EXPECT_EQ(late.status, ERR_STALE);
    bool last = false;
    for (uint64_t arrived = 1; !last; arrived++) {
        Pull p(arrived, COPY + 1);
        ask(&p);
        ASSERT_EQ(p.status, OK);
        last = p.last;
    }
    Pull next(0, COPY + 2);
    ask(&next);
    EXPECT_EQ(next.status, OK) << "the one before is through";
}

TEST_F(Backup, ASilentReceiverIsForgottenByAGroupOfOne)
{
    write_some();
    Pull first(0);
    ask(&first);
    ASSERT_EQ(first.status, OK);
    clock.ms += 500;
    EXPECT_LE(turn(), 1000u) << "it has to look again";
    clock.ms += 10000;
    turn();
    EXPECT_GT(turn(), 1000u) << "and then it has not";
}

TEST_F(Backup, ALaterPullTakesThePlaceOfOneThatWaits)
{
    config.copy_bytes_per_s = 1000;
    restart();
    for (int i = 0; i < 100; i++) {
        write_some();
    }
    uint64_t arrived = 0;
    for (; arrived < 50; arrived++) { /* until the rate holds it back */
        Pull p(arrived);
        volume_pull(volume, &p.p);
        turn();
        if (p.answers == 0) {
            Pull later(arrived);
            volume_pull(volume, &later.p);
            EXPECT_EQ(p.answers, 1);
            EXPECT_EQ(p.status, ERR_STALE);
            EXPECT_EQ(later.answers, 0);
            volume_pulls_end(volume);
            EXPECT_EQ(later.answers, 1);
            EXPECT_EQ(later.status, ERR_SHUTDOWN);
            return;
        }
    }
    FAIL() << "the rate did not hold it back";
}

TEST_F(Backup, AnEndOfTheVolumeAnswersWhatWaits)
{
    config.copy_bytes_per_s = 1000;
    restart();
    for (int i = 0; i < 100; i++) {
        write_some();
    }
    for (uint64_t arrived = 0; arrived < 50; arrived++) {
        Pull p(arrived);
        volume_pull(volume, &p.p);
        turn();
        if (p.answers == 0) {
            close();
            EXPECT_EQ(p.answers, 1);
            EXPECT_EQ(p.status, ERR_STALE);
            return;
        }
    }
    FAIL() << "the rate did not hold it back";
}

/* More keys are written behind the cursor than the record of them holds: they are sent on the way. */
TEST_F(Backup, AWalkThatIsOvertakenComesToAnEnd)
{
    constexpr uint64_t ROWS = 90000;
    auto write = [&](const std::string &data, int n) {
        std::list<Write> writes;
        std::vector<Write *> list;
        for (int i = 0; i < n; i++) {
            writes.emplace_back(0, data);
            list.push_back(&writes.back());
        }
        turn(list);
        for (int i = 0; i < 10 && writes.back().answers == 0; i++) {
            turn();
        }
        ASSERT_EQ(writes.back().status, OK);
    };
    for (uint64_t i = 0; i < ROWS; i += 1000) {
        write("0123456789", 1000);
    }
    Target to;
    Pull last(0);
    uint64_t behind = machines[0].indexes[0];
    ASSERT_EQ(to.begin(), OK);
    copy(
        &to,
        [&]() {
            for (int i = 0; i < 4000 && behind < ROWS; i++) { /* each a row of its own, nearly as fast as the walk */
                machines[0].over = behind++;
                if (i % 500 == 499) {
                    write("over", 1);
                } else {
                    one(0, "over");
                }
            }
        },
        &last);
    EXPECT_GT(behind, 80000u);
    ASSERT_EQ(to.end(last.index), OK);
    EXPECT_TRUE(copied(to.kv, to.machine.prefix) == state());
}

} // namespace
