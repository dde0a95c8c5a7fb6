/* The power goes at every write and flush of a store, and any choice of the unsynced sectors of its files may have
 * arrived: what was committed is there, what was not is there as a whole or not at all, and the store opens. The same
 * when it goes again while the store recovers. */
#include <fstream>

#include "disk_sim.h"
#include "kv_fixture.h"

namespace
{

using Rows = std::map<std::string, std::string>;

constexpr int COMMITS = 24;
constexpr uint64_t CHECKPOINT_BYTES = 24 << 10; /* every few commits */
constexpr uint64_t SELDOM_BYTES = 160 << 10;    /* much to carry out, ... */
constexpr uint64_t LITTLE_BYTES = 8 << 10;      /* ... in many transactions */
constexpr int CHOICES = 1;                      /* of what arrived, for each moment, beside nothing */
/* One thread does it all: ThreadSanitizer has little to see in it and takes its time. */
#ifdef __SANITIZE_THREAD__
constexpr size_t STEP = 25;
#else
constexpr size_t STEP = 1;
#endif
constexpr uint64_t MAP_BYTES = 64 << 20;

/* How many events there had been when so many commits were acknowledged, and what the store held then. */
struct Mark {
    size_t events;
    Rows rows;
};

std::string random_key(std::mt19937_64 &rng)
{
    return "key" + std::to_string(rng() % 60);
}

/* Some rows more, some changed, some gone; values up to several pages. */
enum err commit_some(struct kv *kv, std::mt19937_64 &rng, Rows *io_rows)
{
    struct kv_txn *t;
    EXPECT_EQ(kv_begin(kv, true, &t), OK);
    for (uint64_t n = 1 + rng() % 8; n > 0; n--) {
        std::string key = random_key(rng);
        if (rng() % 4 == 0) {
            enum err e = kv_del(t, str(key));
            EXPECT_TRUE(e == OK || e == ERR_NOTFOUND);
            io_rows->erase(key);
        } else {
            std::string value(rng() % (rng() % 5 == 0 ? 20000 : 900), static_cast<char>('a' + rng() % 26));
            EXPECT_EQ(kv_put(t, str(key), str(value)), OK);
            (*io_rows)[key] = value;
        }
    }
    enum err e = rng() % 2 == 0 ? kv_commit(t) : kv_commit_durable(t);
    if (rng() % 4 == 0) {
        kv_publish(kv);
    }
    return e;
}

Rows rows_of(struct kv *kv)
{
    struct kv_txn *t;
    struct kv_cursor *c;
    struct slice k;
    struct slice v;
    Rows out;
    EXPECT_EQ(kv_begin(kv, false, &t), OK);
    EXPECT_EQ(kv_cursor_open(t, &c), OK);
    for (enum err e = kv_cursor_seek(c, str("k"), &k, &v); e == OK; e = kv_cursor_next(c, &k, &v)) {
        out[text(k)] = text(v);
    }
    kv_cursor_close(c);
    kv_abort(t);
    return out;
}

class PowerCut : public testing::Test
{
  protected:
    void TearDown() override
    {
        disk::record = nullptr;
    }
    /* A store from its creation on. */
    void live(uint64_t checkpoint_bytes = CHECKPOINT_BYTES)
    {
        QuickDir dir;
        struct kv *kv = nullptr;
        Rows rows;
        disk::record = &events;
        ASSERT_EQ(open_lmdb(dir.file(), &kv, MAP_BYTES, checkpoint_bytes), OK);
        marks.push_back({events.size(), rows});
        for (int i = 0; i < COMMITS; i++) {
            ASSERT_EQ(commit_some(kv, rng, &rows), OK);
            marks.push_back({events.size(), rows});
        }
        disk::record = nullptr;
        kv_publish(kv);
        kv_close(kv);
    }
    /* After `n` events the commits up to the result are acknowledged; -1: the store is not yet open. */
    int acked_at(size_t n) const
    {
        int i = -1;
        while (i + 1 < static_cast<int>(marks.size()) && marks[static_cast<size_t>(i + 1)].events <= n) {
            i++;
        }
        return i;
    }
    static void lay_down(const disk::Image &image, const std::string &path)
    {
        for (const auto &[file, bytes] : image) {
            std::ofstream(path + file, std::ios::binary) << bytes;
        }
    }
    void expect_recovers(const disk::Image &image, size_t n)
    {
        QuickDir dir;
        struct kv *kv = nullptr;
        std::string why;
        lay_down(image, dir.file());
        ASSERT_EQ(open_lmdb(dir.file(), &kv, MAP_BYTES, CHECKPOINT_BYTES, &why), OK) << "event " << n << ": " << why;
        Rows got = rows_of(kv);
        int acked = acked_at(n);
        size_t next = static_cast<size_t>(acked + 1);
        bool before = got == (acked < 0 ? Rows() : marks[static_cast<size_t>(acked)].rows);
        bool after = next < marks.size() && got == marks[next].rows;
        EXPECT_TRUE(before || after) << "event " << n << ", commit " << acked << ": " << got.size() << " rows";
        Rows rows = got;
        EXPECT_EQ(commit_some(kv, rng, &rows), OK);
        EXPECT_EQ(rows_of(kv), rows);
        kv_close(kv);
        ASSERT_EQ(open_lmdb(dir.file(), &kv, MAP_BYTES), OK);
        EXPECT_EQ(rows_of(kv), rows);
        kv_close(kv);
    }
    /* How likely a sector has arrived: sure, mostly, half, seldom. */
    static double share(size_t n)
    {
        return 1 - 0.25 * static_cast<double>(n % 4);
    }
    /* The power goes at each of the first `moments` events, with so many choices of what arrived. */
    void cut_at_each(size_t moments, int choices)
    {
        disk::Platter platter;
        for (size_t n = 0; n <= moments && !HasFailure(); n++) {
            const disk::Event *under_way = n < events.size() ? &events[n] : nullptr;
            if (n % STEP == 0) {
                expect_recovers(platter.cut(nullptr, 0, rng), n); /* nothing that was not flushed */
                for (int i = 0; i < choices; i++) {
                    expect_recovers(platter.cut(under_way, share(n + static_cast<size_t>(i)), rng), n);
                }
            }
            if (under_way != nullptr) {
                platter.take(*under_way);
            }
        }
    }
    /* A store that was cut off is opened, and cut off again at the events of that. */
    void cut_while_recovering(const disk::Image &image, size_t n)
    {
        QuickDir dir;
        struct kv *kv = nullptr;
        std::vector<disk::Event> again;
        lay_down(image, dir.file());
        disk::record = &again;
        ASSERT_EQ(open_lmdb(dir.file(), &kv, MAP_BYTES, LITTLE_BYTES), OK);
        disk::record = nullptr;
        kv_close(kv);
        disk::Platter platter;
        for (const auto &[file, bytes] : image) {
            platter.take({disk::Kind::WRITE, file, 0, bytes});
            platter.take({disk::Kind::SYNC, file, 0, ""});
        }
        size_t step = 1 + again.size() * STEP / 60;
        for (size_t i = 0; i < again.size(); i++) {
            if (i % step == 0) {
                expect_recovers(platter.cut(&again[i], 0.5, rng), n);
            }
            platter.take(again[i]);
        }
    }
    std::mt19937_64 rng{20261129};
    std::vector<disk::Event> events;
    std::vector<Mark> marks;
};

TEST_F(PowerCut, AtAnyMomentLeavesTheLastCommitOrTheOneUnderWay)
{
    live();
    ASSERT_GT(events.size(), size_t{3 * COMMITS});
    cut_at_each(events.size(), CHOICES);
}

/* LMDB writes its first two pages without a flush: what arrived of them made no store that opened ever again. */
TEST_F(PowerCut, WhileAStoreIsMadeLeavesOneThatOpens)
{
    live();
    cut_at_each(marks[2].events, 5 * CHOICES);
}

TEST_F(PowerCut, WhileItRecoversLosesNothingEither)
{
    live(SELDOM_BYTES);
    disk::Platter platter;
    for (size_t n = 0; n < events.size() && !HasFailure(); n++) {
        if (n % (11 * STEP) == 0) {
            cut_while_recovering(platter.cut(&events[n], 0.5, rng), n);
        }
        platter.take(events[n]);
    }
}

disk::Image image_of(const std::string &path)
{
    disk::Image out;
    for (const std::string &f : VOLUME_FILES) {
        std::ifstream in(path + f, std::ios::binary);
        out[f] = {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
    }
    return out;
}

/* So many transactions to carry out that the free pages are used up: those of the checkpoint's tree must not be next.
 */
TEST_F(PowerCut, WhileItCarriesOutMuchLosesNothingEither)
{
    QuickDir dir;
    struct kv *kv = nullptr;
    Rows rows;
    ASSERT_EQ(open_lmdb(dir.file(), &kv, MAP_BYTES, LITTLE_BYTES), OK);
    for (int i = 0; i < 60; i++) {
        rows["key" + std::to_string(i)] = std::string(2000, 'x');
        put(kv, "key" + std::to_string(i), std::string(2000, 'x'));
    }
    kv_close(kv);
    ASSERT_EQ(open_lmdb(dir.file(), &kv, MAP_BYTES, 64 << 20), OK);
    for (int i = 0; i < 80; i++) {
        std::string key = random_key(rng);
        rows[key] = std::string(2000, static_cast<char>('a' + i % 26));
        put(kv, key, rows[key]);
    }
    disk::Image crashed = image_of(dir.file());
    kv_close(kv);
    marks.push_back({0, rows});
    cut_while_recovering(crashed, 0);
}

} // namespace
