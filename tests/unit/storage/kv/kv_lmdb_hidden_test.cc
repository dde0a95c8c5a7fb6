/* Commits that are durable and that no reader has asked for (storage/kv/lmdb_txn.c): readers never miss one, failures
 * never lose one, and they do not stay hidden for ever. */
#include <errno.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "disk_sim.h"
#include "kv_fixture.h"

namespace
{

using disk::Event;
using disk::Kind;

constexpr uint64_t NEVER_BYTES = 1 << 30; /* no checkpoint publishes by the way */

class Hidden : public testing::Test
{
  protected:
    void SetUp() override
    {
        ASSERT_EQ(open_lmdb(dir.file(), &kv, 64 << 20, NEVER_BYTES), OK);
        put(kv, "a", "0");
    }
    void TearDown() override
    {
        disk::fault = nullptr;
        disk::full = false;
        disk::record = nullptr;
        kv_publish(kv);
        kv_close(kv);
    }
    struct kv_txn *begin()
    {
        struct kv_txn *t = nullptr;
        EXPECT_EQ(kv_begin(kv, true, &t), OK);
        return t;
    }
    enum err put_durable(const std::string &key, const std::string &value)
    {
        struct kv_txn *t = begin();
        EXPECT_EQ(kv_put(t, str(key), str(value)), OK);
        return kv_commit_durable(t);
    }
    static std::string read(struct kv *kv, const std::string &key)
    {
        struct kv_txn *t;
        EXPECT_EQ(kv_begin(kv, false, &t), OK);
        std::string v = get(t, key);
        kv_abort(t);
        return v;
    }
    std::string read(const std::string &key)
    {
        return read(kv, key);
    }
    std::string read_elsewhere(const std::string &key)
    {
        std::string v;
        std::thread reader([&] { v = read(key); });
        reader.join();
        return v;
    }
    std::string read_after_a_crash(const std::string &key)
    {
        QuickDir other;
        struct kv *again = nullptr;
        copy_volume(dir.file(), other.file());
        EXPECT_EQ(open_lmdb(other.file(), &again), OK);
        std::string v = read(again, key);
        kv_close(again);
        return v;
    }
    /* Whether LMDB commits while f runs. */
    template <typename F> static bool publishes(F f)
    {
        std::vector<Event> events;
        disk::record = &events;
        f();
        disk::record = nullptr;
        return std::any_of(events.begin(), events.end(), [](const Event &e) { return e.is_meta(); });
    }
    QuickDir dir;
    struct kv *kv = nullptr;
};

TEST_F(Hidden, ADurableCommitCostsNoPageAndSurvivesACrash)
{
    EXPECT_FALSE(publishes([&] { EXPECT_EQ(put_durable("a", "1"), OK); }));
    EXPECT_EQ(read_after_a_crash("a"), "1");
    EXPECT_TRUE(publishes([&] { kv_publish(kv); }));
    EXPECT_FALSE(publishes([&] { kv_publish(kv); })); /* nothing is hidden any more */
    EXPECT_EQ(read("a"), "1");
}

TEST_F(Hidden, ItsOwnThreadReadsItAtOnce)
{
    ASSERT_EQ(put_durable("a", "1"), OK);
    EXPECT_EQ(read("a"), "1");
}

TEST_F(Hidden, AReaderOnAnotherThreadWaitsForItAndSeesIt)
{
    std::atomic<bool> done{false};
    ASSERT_EQ(put_durable("a", "1"), OK);
    std::thread reader([&] {
        EXPECT_EQ(read("a"), "1");
        done = true;
    });
    std::this_thread::sleep_for(std::chrono::milliseconds(30));
    EXPECT_FALSE(done.load());
    kv_publish(kv);
    reader.join();
}

TEST_F(Hidden, WhileAReaderWaitsTheNextCommitPublishes)
{
    ASSERT_EQ(put_durable("a", "1"), OK);
    std::thread reader([&] { EXPECT_NE(read("a"), "0"); });
    std::this_thread::sleep_for(std::chrono::milliseconds(30));
    ASSERT_EQ(put_durable("b", "2"), OK);
    reader.join();
}

/* Else each reader beside a writer would wait for a turn. */
TEST_F(Hidden, WhereReadersComeACommitIsPublishedAtOnce)
{
    EXPECT_EQ(read_elsewhere("a"), "0");
    EXPECT_TRUE(publishes([&] { EXPECT_EQ(put_durable("a", "1"), OK); }));
    EXPECT_FALSE(publishes([&] { EXPECT_EQ(put_durable("a", "2"), OK); }));
    EXPECT_EQ(read("a"), "2");
    EXPECT_FALSE(publishes([&] { EXPECT_EQ(put_durable("a", "3"), OK); }))
        << "the writer's own reading is none of that";
}

TEST_F(Hidden, AnOrdinaryCommitPublishesThoseBeforeIt)
{
    ASSERT_EQ(put_durable("a", "1"), OK);
    EXPECT_TRUE(publishes([&] { put(kv, "b", "1"); }));
    EXPECT_EQ(read("a"), "1");
}

/* The transaction of LMDB that held them is gone with it. */
TEST_F(Hidden, SurviveATransactionThatIsGivenUp)
{
    struct kv_txn *t = begin();
    uint8_t *p;
    ASSERT_EQ(kv_reserve(t, str("r"), 3, &p), OK);
    memcpy(p, "333", 3);
    ASSERT_EQ(kv_put(t, str("big"), str(std::string(20000, 'x'))), OK);
    ASSERT_EQ(kv_commit_durable(t), OK);
    t = begin();
    ASSERT_EQ(kv_del(t, str("a")), OK);
    ASSERT_EQ(kv_commit_durable(t), OK);
    t = begin();
    ASSERT_EQ(kv_put(t, str("a"), str("lost")), OK);
    ASSERT_EQ(kv_del(t, str("big")), OK);
    kv_abort(t);
    EXPECT_EQ(read("a"), "ERR_NOTFOUND");
    EXPECT_EQ(read("r"), "333");
    EXPECT_EQ(read("big").size(), 20000u);
    EXPECT_EQ(read_after_a_crash("r"), "333");
}

TEST_F(Hidden, AnAbortThatChangedNothingLeavesThemHidden)
{
    ASSERT_EQ(put_durable("a", "1"), OK);
    EXPECT_FALSE(publishes([&] { kv_abort(begin()); }));
    EXPECT_EQ(read("a"), "1");
}

TEST_F(Hidden, SurviveOneThatTheMapHasNoRoomFor)
{
    ASSERT_EQ(put_durable("a", "1"), OK);
    struct kv_txn *t = begin();
    enum err e = OK;
    for (int i = 0; i < 20000 && e == OK; i++) {
        e = kv_put(t, str("k" + std::to_string(i)), str(std::string(4080, 'x')));
    }
    EXPECT_EQ(e, ERR_FULL);
    EXPECT_EQ(kv_commit_durable(t), ERR_FULL);
    EXPECT_EQ(read("a"), "1");
    EXPECT_EQ(read("k0"), "ERR_NOTFOUND");
    EXPECT_EQ(put_durable("a", "2"), OK);
    EXPECT_EQ(read_after_a_crash("a"), "2");
}

TEST_F(Hidden, SurviveOneThatTheLogHasNoRoomFor)
{
    ASSERT_EQ(put_durable("a", "1"), OK);
    disk::fault = [](const Event &e, size_t *) { return e.kind == Kind::WRITE && e.is_log() ? ENOSPC : 0; };
    EXPECT_EQ(put_durable("a", std::string(300000, 'x')), ERR_FULL);
    disk::fault = nullptr;
    EXPECT_EQ(read("a"), "1");
    EXPECT_EQ(read_after_a_crash("a"), "1");
}

/* They were answered: what cannot be published any more stops the process, and its next start waits for room. */
TEST_F(Hidden, AreNeverTakenBack)
{
    EXPECT_EXIT(
        {
            enum err e = put_durable("a", "1");
            disk::fault = [](const Event &x, size_t *) { return x.file.empty() ? ENOSPC : 0; };
            kv_publish(kv);
            _exit(e == OK ? 0 : 1);
        },
        testing::KilledBySignal(SIGABRT), "kv.fatal");
}

TEST_F(Hidden, TheFirstOneIsTakenBackWhenItsPagesFindNoRoom)
{
    EXPECT_EQ(read_elsewhere("a"), "0"); /* the next commit publishes */
    disk::fault = [](const Event &e, size_t *) { return e.kind == Kind::WRITE && e.file.empty() ? ENOSPC : 0; };
    EXPECT_EQ(put_durable("a", "1"), ERR_FULL);
    disk::fault = nullptr;
    EXPECT_EQ(read("a"), "0");
    EXPECT_EQ(read_after_a_crash("a"), "0");
    EXPECT_EQ(put_durable("a", "2"), OK);
    EXPECT_EQ(read("a"), "2");
}

TEST_F(Hidden, OnAFullDiskNoneIs)
{
    disk::full = true;
    EXPECT_TRUE(publishes([&] { EXPECT_EQ(put_durable("a", "1"), OK); }));
}

TEST_F(Hidden, AreBoundedInBytesAndChanges)
{
    EXPECT_TRUE(publishes([&] {
        for (int i = 0; i < 60; i++) {
            ASSERT_EQ(put_durable("k" + std::to_string(i), std::string(100000, 'x')), OK);
        }
    }));
    kv_publish(kv);
    EXPECT_TRUE(publishes([&] {
        for (int i = 0; i < 100; i++) {
            struct kv_txn *t = begin();
            for (int j = 0; j < 100; j++) {
                ASSERT_EQ(kv_put(t, str("s" + std::to_string(j)), str("v")), OK);
            }
            ASSERT_EQ(kv_commit_durable(t), OK);
        }
    }));
}

TEST(HiddenCheckpoint, OneThatIsDuePublishes)
{
    QuickDir dir;
    struct kv *kv = nullptr;
    std::vector<Event> events;
    ASSERT_EQ(open_lmdb(dir.file(), &kv, 64 << 20, 64 << 10), OK);
    disk::record = &events;
    for (int i = 0; i < 20; i++) {
        struct kv_txn *t;
        ASSERT_EQ(kv_begin(kv, true, &t), OK);
        ASSERT_EQ(kv_put(t, str("k"), str(std::string(10000, 'x'))), OK);
        ASSERT_EQ(kv_commit_durable(t), OK);
    }
    disk::record = nullptr;
    EXPECT_TRUE(std::any_of(events.begin(), events.end(), [](const Event &e) { return e.file == "-checkpoint"; }));
    kv_publish(kv);
    kv_close(kv);
}

/* Under TSan: whoever begins to read after a commit was acknowledged sees it, whatever is hidden at that time. */
TEST(HiddenThreads, AReaderNeverMissesWhatWasAcknowledged)
{
    TempDir dir;
    struct kv *kv = nullptr;
    std::atomic<bool> stop{false};
    std::atomic<int> acknowledged{0};
    std::atomic<int> missed{0};
    std::atomic<int> reads{0};
    ASSERT_EQ(open_lmdb(dir.file(), &kv, 64 << 20), OK);
    put(kv, "a", "0");
    auto reader = [&](int pause_us) {
        while (!stop.load()) {
            struct kv_txn *t;
            int least = acknowledged.load();
            if (kv_begin(kv, false, &t) != OK) {
                missed++;
                continue;
            }
            missed += std::stoi(get(t, "a")) < least;
            reads++;
            kv_abort(t);
            std::this_thread::sleep_for(std::chrono::microseconds(pause_us));
        }
    };
    std::vector<std::thread> threads;
    for (int pause_us : {300, 900, 5000}) {
        threads.emplace_back(reader, pause_us);
    }
    for (int i = 1; i <= 400 || reads.load() < 200; i++) {
        struct kv_txn *t;
        ASSERT_EQ(kv_begin(kv, true, &t), OK);
        ASSERT_EQ(kv_put(t, str("a"), str(std::to_string(i))), OK);
        ASSERT_EQ(kv_commit_durable(t), OK);
        acknowledged = i;
        if (i % 7 == 0) {
            kv_publish(kv); /* as before a wait */
            std::this_thread::sleep_for(std::chrono::microseconds(300));
        }
    }
    stop = true;
    kv_publish(kv);
    for (std::thread &t : threads) {
        t.join();
    }
    EXPECT_EQ(missed.load(), 0);
    kv_close(kv);
}

} // namespace
