#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <fstream>
#include <thread>
#include <vector>

#include "kv_fixture.h"
#include "proto/base/bytes.h"

namespace
{

TEST(KvLmdb, FindsItsDataAfterAReopen)
{
    TempDir dir;
    struct kv *kv = nullptr;
    struct kv_txn *t;
    ASSERT_EQ(open_lmdb(dir.file(), &kv), OK);
    put(kv, "a", "1");
    kv_close(kv);
    ASSERT_EQ(open_lmdb(dir.file(), &kv), OK);
    ASSERT_EQ(kv_begin(kv, false, &t), OK);
    EXPECT_EQ(get(t, "a"), "1");
    kv_abort(t);
    kv_close(kv);
}

TEST(KvLmdb, RefusesASecondUserOfTheSameFile)
{
    TempDir dir;
    struct kv *kv = nullptr;
    struct kv *second = nullptr;
    std::string reason;
    ASSERT_EQ(open_lmdb(dir.file(), &kv), OK);
    EXPECT_EQ(open_lmdb(dir.file(), &second, 0, 0, &reason), ERR_LOCKED);
    EXPECT_NE(reason.find("another process"), std::string::npos) << reason;
    kv_close(kv);
    ASSERT_EQ(open_lmdb(dir.file(), &second), OK);
    kv_close(second);
}

TEST(KvLmdb, RefusesASecondProcess)
{
    TempDir dir;
    struct kv *kv = nullptr;
    ASSERT_EQ(open_lmdb(dir.file(), &kv), OK);
    pid_t pid = fork();
    if (pid == 0) {
        struct kv *other = nullptr;
        _exit(open_lmdb(dir.file(), &other) == ERR_LOCKED ? 0 : 1);
    }
    int status = 0;
    ASSERT_EQ(waitpid(pid, &status, 0), pid);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    kv_close(kv);
}

TEST(KvLmdb, RefusesWhatIsNotAVolume)
{
    TempDir dir;
    struct kv *kv = nullptr;
    std::string reason;
    for (size_t size : {20, 8000, 20000}) { /* a small one must not be taken for a store that was made by half */
        std::ofstream(dir.file()) << std::string(size, 'x');
        EXPECT_EQ(open_lmdb(dir.file(), &kv, 0, 0, &reason), ERR_CORRUPT);
        EXPECT_EQ(std::filesystem::file_size(dir.file()), size);
    }
    EXPECT_NE(reason.find(dir.file()), std::string::npos);
    EXPECT_EQ(open_lmdb(dir.path + "/none/v.mdb", &kv, 0, 0, &reason), ERR_IO);
    EXPECT_NE(reason.find("No such file"), std::string::npos) << reason;
}

TEST(KvLmdb, AFullMapChangesNothingAndLeavesTheStoreUsable)
{
    TempDir dir;
    struct kv *kv = nullptr;
    struct kv_txn *t;
    ASSERT_EQ(open_lmdb(dir.file(), &kv, 1 << 20), OK);
    put(kv, "a", "1");
    for (int round = 0; round < 3; round++) {
        enum err e = OK;
        ASSERT_EQ(kv_begin(kv, true, &t), OK);
        for (int i = 0; i < 1000 && e == OK; i++) {
            e = kv_put(t, str("k" + std::to_string(i)), str(std::string(4080, 'x')));
        }
        EXPECT_EQ(e, ERR_FULL);
        EXPECT_EQ(kv_put(t, str("z"), str("z")), ERR_FULL); /* spoilt from then on */
        EXPECT_EQ(kv_commit(t), ERR_FULL);
        put(kv, "a", std::to_string(round));
    }
    ASSERT_EQ(kv_begin(kv, false, &t), OK);
    EXPECT_EQ(get(t, "a"), "2");
    EXPECT_EQ(get(t, "k0"), "ERR_NOTFOUND");
    kv_abort(t);
    kv_close(kv);
}

TEST(KvLmdb, StatCountsFreePagesApart)
{
    TempDir dir;
    struct kv *kv = nullptr;
    struct kv_txn *t;
    struct kv_stat full;
    struct kv_stat freed;
    ASSERT_EQ(open_lmdb(dir.file(), &kv, 64 << 20), OK);
    ASSERT_EQ(kv_begin(kv, true, &t), OK);
    for (int i = 0; i < 1000; i++) {
        ASSERT_EQ(kv_put(t, str("k" + std::to_string(i)), str(std::string(4080, 'x'))), OK);
    }
    ASSERT_EQ(kv_commit(t), OK);
    kv_stat(kv, &full);
    ASSERT_EQ(kv_begin(kv, true, &t), OK);
    for (int i = 0; i < 1000; i++) {
        ASSERT_EQ(kv_del(t, str("k" + std::to_string(i))), OK);
    }
    ASSERT_EQ(kv_commit(t), OK);
    kv_stat(kv, &freed);
    EXPECT_EQ(full.map_bytes, 64u << 20);
    EXPECT_GT(full.used_bytes, 1000u * 4096);
    EXPECT_LT(freed.used_bytes, full.used_bytes / 2);
    EXPECT_GE(freed.free_pages, 1000u);
    EXPECT_GE(freed.file_bytes, full.file_bytes);
    kv_close(kv);
}

/* Under TSan: many readers take snapshots while one writer moves money between two keys. */
TEST(KvLmdb, ReadersSeeWholeTransactionsWhileTheWriterRuns)
{
    TempDir dir;
    struct kv *kv = nullptr;
    std::atomic<bool> stop{false};
    std::atomic<long> reads{0};
    std::atomic<long> torn{0};
    ASSERT_EQ(open_lmdb(dir.file(), &kv, 64 << 20), OK);
    put(kv, "a", "00000000");
    put(kv, "b", "00000000");
    auto reader = [&] {
        while (!stop.load()) {
            struct kv_txn *t;
            if (kv_begin(kv, false, &t) != OK) {
                torn++;
                continue;
            }
            torn += get(t, "a") != get(t, "b");
            reads++;
            kv_abort(t);
        }
    };
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; i++) {
        threads.emplace_back(reader);
    }
    for (uint64_t i = 0; i < 500; i++) {
        struct kv_txn *t;
        uint8_t value[8];
        put_be64(value, i);
        ASSERT_EQ(kv_begin(kv, true, &t), OK);
        ASSERT_EQ(kv_put(t, str("a"), slice_make(value, 8)), OK);
        ASSERT_EQ(kv_put(t, str("b"), slice_make(value, 8)), OK);
        ASSERT_EQ(kv_commit(t), OK);
    }
    while (reads.load() < 100) {
        std::this_thread::yield();
    }
    stop = true;
    for (std::thread &t : threads) {
        t.join();
    }
    EXPECT_EQ(torn.load(), 0);
    kv_close(kv);
}

TEST(KvLmdb, RunsOutOfReaderSlotsPolitely)
{
    TempDir dir;
    struct kv_lmdb_config cfg = {};
    struct buf why;
    struct kv *kv = nullptr;
    std::vector<struct kv_txn *> txns;
    std::string path = dir.file();
    buf_init(&why, 1000);
    cfg.path = path.c_str();
    cfg.readers_max = 8;
    ASSERT_EQ(kv_lmdb_open(&cfg, &kv, &why), OK);
    enum err e = OK;
    while (e == OK && txns.size() < 10000) {
        struct kv_txn *t;
        e = kv_begin(kv, false, &t);
        if (e == OK) {
            txns.push_back(t);
        }
    }
    EXPECT_EQ(e, ERR_OVERLOAD);
    EXPECT_GE(txns.size(), 8u);
    for (struct kv_txn *t : txns) {
        kv_abort(t);
    }
    struct kv_txn *t;
    ASSERT_EQ(kv_begin(kv, false, &t), OK);
    kv_abort(t);
    kv_close(kv);
    buf_fini(&why);
}

TEST(KvLmdb, AFlushDelayHoldsEachCommitAndNothingElse)
{
    using steady = std::chrono::steady_clock;
    TempDir dir;
    struct kv *kv = nullptr;
    struct kv_txn *t;
    struct buf why;
    struct kv_lmdb_config cfg = {};
    const std::string path = dir.file();
    buf_init(&why, 1000);
    cfg.path = path.c_str();
    cfg.flush_delay_ms = 100;
    ASSERT_EQ(kv_lmdb_open(&cfg, &kv, &why), OK);
    auto start = steady::now();
    put(kv, "a", "1");
    EXPECT_GE(steady::now() - start, std::chrono::milliseconds(100));

    /* Reading and giving up must not wait: a hundred of them would take 10 s. */
    start = steady::now();
    for (int i = 0; i < 100; i++) {
        bool write = i % 2 == 0;
        ASSERT_EQ(kv_begin(kv, write, &t), OK);
        if (write) {
            kv_abort(t);
        } else {
            ASSERT_EQ(kv_commit(t), OK);
        }
    }
    EXPECT_LT(steady::now() - start, std::chrono::seconds(5));
    kv_close(kv);
    buf_fini(&why);
}

} // namespace
