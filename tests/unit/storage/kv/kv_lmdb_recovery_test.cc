/* What a store finds when it is opened again: after a crash of the process, and with files that do not belong
 * together. */
#include <lmdb.h>

#include <fstream>

#include "disk_sim.h"
#include "kv_fixture.h"

namespace
{

constexpr uint64_t MAP = 64 << 20;
constexpr uint64_t OFTEN = 16 << 10; /* a checkpoint every few commits */

std::string read_key(struct kv *kv, const std::string &key)
{
    struct kv_txn *t;
    EXPECT_EQ(kv_begin(kv, false, &t), OK);
    std::string v = get(t, key);
    kv_abort(t);
    return v;
}

class Recovery : public testing::Test
{
  protected:
    void TearDown() override
    {
        if (kv != nullptr) {
            kv_close(kv);
        }
    }
    void open(uint64_t checkpoint_bytes = 0)
    {
        std::string why;
        ASSERT_EQ(open_lmdb(dir.file(), &kv, MAP, checkpoint_bytes, &why), OK) << why;
    }
    /* Checkpoints often, by the store's own thread. */
    void open_with_thread()
    {
        struct kv_lmdb_config cfg = {};
        struct buf why;
        std::string path = dir.file();
        buf_init(&why, 1000);
        cfg.path = path.c_str();
        cfg.checkpoint_bytes = OFTEN;
        ASSERT_EQ(kv_lmdb_open(&cfg, &kv, &why), OK);
        buf_fini(&why);
    }
    void close()
    {
        kv_close(kv);
        kv = nullptr;
    }
    /* The process dies: what it had written is in the files. The next one opens a copy. */
    std::string value_after_a_crash(const std::string &key)
    {
        QuickDir other;
        struct kv *again = nullptr;
        std::string why;
        copy_volume(dir.file(), other.file());
        EXPECT_EQ(open_lmdb(other.file(), &again, MAP, 0, &why), OK) << why;
        std::string v = read_key(again, key);
        kv_close(again);
        return v;
    }
    std::string why_not()
    {
        std::string why;
        EXPECT_EQ(open_lmdb(dir.file(), &kv, MAP, 0, &why), ERR_CORRUPT);
        kv = nullptr;
        return why;
    }
    QuickDir dir;
    struct kv *kv = nullptr;
};

TEST_F(Recovery, AfterACrashEachKindOfChangeIsThere)
{
    struct kv_txn *t;
    struct kv_cursor *c;
    struct slice k;
    struct slice v;
    uint8_t *p;
    open();
    put(kv, "a", "1");
    put(kv, "b", "1");
    put(kv, "c", "1");
    ASSERT_EQ(kv_begin(kv, true, &t), OK);
    ASSERT_EQ(kv_del(t, str("a")), OK);
    EXPECT_EQ(kv_del(t, str("none")), ERR_NOTFOUND);
    ASSERT_EQ(kv_cursor_open(t, &c), OK);
    ASSERT_EQ(kv_cursor_seek(c, str("b"), &k, &v), OK);
    ASSERT_EQ(kv_cursor_del(c), OK);
    kv_cursor_close(c);
    ASSERT_EQ(kv_put(t, str("c"), str("2")), OK);
    ASSERT_EQ(kv_reserve(t, str("r"), 3, &p), OK);
    memcpy(p, "one", 3);
    ASSERT_EQ(kv_reserve(t, str("s"), 3, &p), OK); /* nothing follows that would fetch it */
    memcpy(p, "two", 3);
    ASSERT_EQ(kv_commit(t), OK);
    EXPECT_EQ(value_after_a_crash("a"), "ERR_NOTFOUND");
    EXPECT_EQ(value_after_a_crash("b"), "ERR_NOTFOUND");
    EXPECT_EQ(value_after_a_crash("c"), "2");
    EXPECT_EQ(value_after_a_crash("r"), "one");
    EXPECT_EQ(value_after_a_crash("s"), "two");
}

/* A value that is read and put under another key lies in a page that the put may move. */
TEST_F(Recovery, AValueOutOfTheStoreItselfIsRecordedAsItWas)
{
    struct kv_txn *t;
    struct slice v;
    open();
    put(kv, "a", std::string(600, 'a'));
    ASSERT_EQ(kv_begin(kv, true, &t), OK);
    for (int i = 0; i < 20; i++) {
        ASSERT_EQ(kv_get(t, str("a"), &v), OK);
        ASSERT_EQ(kv_put(t, str("0" + std::to_string(i)), v), OK);
    }
    ASSERT_EQ(kv_commit(t), OK);
    for (int i = 0; i < 20; i++) {
        EXPECT_EQ(value_after_a_crash("0" + std::to_string(i)), std::string(600, 'a'));
    }
}

TEST_F(Recovery, WhatWasGivenUpIsNotThere)
{
    struct kv_txn *t;
    open();
    put(kv, "a", "1");
    ASSERT_EQ(kv_begin(kv, true, &t), OK);
    ASSERT_EQ(kv_put(t, str("a"), str("2")), OK);
    kv_abort(t);
    put(kv, "b", "1");
    EXPECT_EQ(value_after_a_crash("a"), "1");
    EXPECT_EQ(value_after_a_crash("b"), "1");
}

TEST_F(Recovery, TheLogStaysSmallHoweverMuchIsWritten)
{
    open(OFTEN);
    for (int i = 0; i < 500; i++) {
        put(kv, "k" + std::to_string(i % 10), std::to_string(i));
    }
    for (const char *wal : {"-wal0", "-wal1"}) {
        EXPECT_LE(std::filesystem::file_size(dir.file() + wal), 1u << 20) << wal;
    }
    EXPECT_EQ(value_after_a_crash("k9"), "499");
}

/* By the thread, too, and while it works. */
TEST_F(Recovery, CheckpointsOfTheThreadKeepUp)
{
    open_with_thread();
    for (int i = 0; i < 2000; i++) {
        put(kv, "k" + std::to_string(i % 10), std::to_string(i));
    }
    EXPECT_EQ(value_after_a_crash("k9"), "1999");
}

TEST_F(Recovery, ADiskThatFlushesSlowlyHoldsTheWriterBeforeTheLogGrows)
{
    open_with_thread();
    disk::fault = [](const disk::Event &e, size_t *) {
        if (e.kind == disk::Kind::SYNC && e.file.empty()) {
            usleep(50000);
        }
        return 0;
    };
    for (int i = 0; i < 40; i++) {
        put(kv, "k", std::string(60000, 'x'));
    }
    for (const char *wal : {"-wal0", "-wal1"}) {
        EXPECT_LE(std::filesystem::file_size(dir.file() + wal), 512u << 10) << wal;
    }
    close();
    disk::fault = nullptr;
}

TEST_F(Recovery, AStoreThatWasClosedHasNothingToCarryOut)
{
    open();
    put(kv, "a", "1");
    close();
    for (const char *wal : {"-wal0", "-wal1"}) {
        std::filesystem::resize_file(dir.file() + wal, 0); /* not needed: the checkpoint holds it all */
    }
    open();
    EXPECT_EQ(read_key(kv, "a"), "1");
}

/* Written by LMDB alone, each commit flushed: what the program wrote before it had a log. */
TEST_F(Recovery, AVolumeFromBeforeTheLogIsTakenAsItIs)
{
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi dbi;
    MDB_val k = {1, const_cast<char *>("a")};
    MDB_val v = {3, const_cast<char *>("old")};
    ASSERT_EQ(mdb_env_create(&env), 0);
    ASSERT_EQ(mdb_env_open(env, dir.file().c_str(), MDB_NOSUBDIR, 0600), 0);
    ASSERT_EQ(mdb_txn_begin(env, nullptr, 0, &txn), 0);
    ASSERT_EQ(mdb_dbi_open(txn, nullptr, 0, &dbi), 0);
    ASSERT_EQ(mdb_put(txn, dbi, &k, &v, 0), 0);
    ASSERT_EQ(mdb_txn_commit(txn), 0);
    mdb_env_close(env);
    open();
    EXPECT_EQ(read_key(kv, "a"), "old");
    put(kv, "b", "new");
    EXPECT_EQ(value_after_a_crash("a"), "old");
    EXPECT_EQ(value_after_a_crash("b"), "new");
}

TEST_F(Recovery, ALogWithoutItsCheckpointIsRefused)
{
    open();
    put(kv, "a", "1");
    close();
    std::filesystem::remove(dir.file() + "-checkpoint");
    EXPECT_NE(why_not().find("checkpoint is gone"), std::string::npos);
    std::filesystem::remove(dir.file() + "-checkpoint"); /* as the one that was refused has made it */
    std::filesystem::remove(dir.file() + "-wal0");
    std::filesystem::remove(dir.file() + "-wal1");
    EXPECT_NE(why_not().find("checkpoint is gone"), std::string::npos) << "the volume alone";
}

/* Somebody wanted the space of a file that is called a log. */
TEST_F(Recovery, ACheckpointWithoutItsLogIsRefused)
{
    for (const char *wal : {"-wal0", "-wal1"}) {
        open();
        put(kv, "a", "1");
        close();
        std::filesystem::rename(dir.file() + wal, dir.path + "/away");
        EXPECT_NE(why_not().find("write-ahead log"), std::string::npos);
        EXPECT_FALSE(std::filesystem::exists(dir.file() + wal)) << "the next start would take it for the log";
        std::filesystem::rename(dir.path + "/away", dir.file() + wal);
    }
    open();
    EXPECT_EQ(read_key(kv, "a"), "1");
}

/* The power went between the first checkpoint and the stamp. */
TEST_F(Recovery, AStoreWhoseMakingWasCutShortIsMadeAnew)
{
    open();
    close();
    {
        std::fstream f(dir.file(), std::ios::in | std::ios::out | std::ios::binary);
        f.seekp(2048);
        f.write("\0\0\0\0\0\0\0\0", 8);
    }
    open();
    put(kv, "a", "1");
    EXPECT_EQ(value_after_a_crash("a"), "1");
}

TEST_F(Recovery, AnOlderCopyOfTheVolumeBesideANewerCheckpointIsRefused)
{
    open();
    put(kv, "a", "1");
    close();
    std::filesystem::copy_file(dir.file(), dir.path + "/old");
    open();
    put(kv, "a", "2");
    put(kv, "a", "3");
    put(kv, "a", "4");
    close();
    std::filesystem::remove(dir.file());
    std::filesystem::copy_file(dir.path + "/old", dir.file());
    EXPECT_NE(why_not().find("checkpoint"), std::string::npos);
}

/* It has gone further than the checkpoint, which must not be put into it. */
TEST_F(Recovery, AnotherStoresVolumeIsRefusedAndNotTouched)
{
    QuickDir other;
    struct kv *its = nullptr;
    open();
    put(kv, "a", "1");
    close();
    ASSERT_EQ(open_lmdb(other.file(), &its, MAP), OK);
    for (int i = 0; i < 9; i++) {
        put(its, "b", std::to_string(i));
    }
    kv_close(its);
    std::filesystem::rename(dir.file(), dir.path + "/away");
    std::filesystem::copy_file(other.file(), dir.file());
    struct buf why;
    buf_init(&why, 1000);
    EXPECT_EQ(kv_lmdb_settle(dir.file().c_str(), &why), OK);
    buf_fini(&why);
    EXPECT_NE(why_not().find("another volume"), std::string::npos);
    std::filesystem::rename(dir.file(), other.file());
    ASSERT_EQ(open_lmdb(other.file(), &its, MAP), OK);
    EXPECT_EQ(read_key(its, "b"), "8");
    kv_close(its);
    std::filesystem::rename(dir.path + "/away", dir.file());
    open();
    EXPECT_EQ(read_key(kv, "a"), "1");
}

TEST_F(Recovery, ADamagedRecordOfTheLogIsRefused)
{
    open();
    put(kv, "a", "1");
    put(kv, "a", "2");
    QuickDir other;
    copy_volume(dir.file(), other.file());
    {
        std::fstream f(other.file() + "-wal0", std::ios::in | std::ios::out | std::ios::binary);
        f.seekp(40);
        f.put('x');
    }
    struct kv *again = nullptr;
    std::string why;
    EXPECT_EQ(open_lmdb(other.file(), &again, MAP, 0, &why), ERR_CORRUPT);
    EXPECT_NE(why.find("write-ahead log"), std::string::npos) << why;
}

/* A torn slot leaves the one before, whose records are still there. */
TEST_F(Recovery, ATornCheckpointIsTheOneBefore)
{
    int good = 0;
    open(OFTEN);
    for (int i = 0; i < 40; i++) {
        put(kv, "a", std::to_string(i));
        QuickDir other;
        struct kv *again = nullptr;
        for (std::streamoff slot : {0, 4096}) {
            std::string why;
            copy_volume(dir.file(), other.file());
            {
                std::fstream f(other.file() + "-checkpoint", std::ios::in | std::ios::out | std::ios::binary);
                f.seekp(slot + 100);
                f.put('x');
            }
            enum err e = open_lmdb(other.file(), &again, MAP, 0, &why);
            if (e != OK) { /* the newer one, and the log has gone on into the file that the older one needs */
                EXPECT_EQ(e, ERR_CORRUPT) << why;
                continue;
            }
            EXPECT_EQ(read_key(again, "a"), std::to_string(i));
            kv_close(again);
            good++;
        }
    }
    EXPECT_GT(good, 40);
}

} // namespace
