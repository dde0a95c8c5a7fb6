#include "kv_fixture.h"
#include "proto/base/mem.h"
#include "proto/base/rng.h"

namespace
{

class KvMem : public testing::Test
{
  protected:
    void SetUp() override
    {
        ASSERT_EQ(kv_mem_new(&kv), OK);
    }
    void TearDown() override
    {
        kv_close(kv);
    }
    std::string committed(const std::string &key)
    {
        struct kv_txn *t;
        if (kv_begin(kv, false, &t) != OK) {
            return "no txn";
        }
        std::string value = get(t, key);
        kv_abort(t);
        return value;
    }
    struct kv *kv = nullptr;
};

TEST_F(KvMem, ACrashBeforeTheCommitLosesTheTransaction)
{
    struct kv_txn *t;
    put(kv, "a", "1");
    kv_mem_faults(kv)->crash_before_commit_nth = 1;
    ASSERT_EQ(kv_begin(kv, true, &t), OK);
    ASSERT_EQ(kv_put(t, str("a"), str("2")), OK);
    EXPECT_EQ(kv_commit(t), ERR_IO);
    EXPECT_TRUE(kv_mem_crashed(kv));
    EXPECT_EQ(kv_begin(kv, false, &t), ERR_IO);
    kv_mem_reopen(kv);
    EXPECT_EQ(committed("a"), "1");
}

TEST_F(KvMem, ACrashAfterTheCommitKeepsIt)
{
    struct kv_txn *t;
    kv_mem_faults(kv)->crash_after_commit_nth = 2;
    put(kv, "a", "1");
    ASSERT_EQ(kv_begin(kv, true, &t), OK);
    ASSERT_EQ(kv_put(t, str("a"), str("2")), OK);
    EXPECT_EQ(kv_commit(t), ERR_IO);
    kv_mem_reopen(kv);
    EXPECT_EQ(committed("a"), "2");
    EXPECT_EQ(kv_mem_commits(kv), 2u);
}

TEST_F(KvMem, OpenTransactionsAndCursorsAreFreedByAReopen)
{
    struct kv_txn *writer;
    struct kv_txn *reader;
    struct kv_cursor *c;
    struct slice v;
    ASSERT_EQ(kv_begin(kv, true, &writer), OK);
    ASSERT_EQ(kv_put(writer, str("a"), str("1")), OK);
    ASSERT_EQ(kv_begin(kv, false, &reader), OK);
    ASSERT_EQ(kv_cursor_open(writer, &c), OK);
    kv_mem_crash(kv);
    EXPECT_EQ(kv_get(reader, str("a"), &v), ERR_IO);
    EXPECT_EQ(kv_put(writer, str("b"), str("1")), ERR_IO);
    kv_mem_reopen(kv);
    EXPECT_EQ(committed("a"), "ERR_NOTFOUND");
    put(kv, "a", "3");
    EXPECT_EQ(committed("a"), "3");
}

TEST_F(KvMem, AFullDiskInAWriteSpoilsTheTransaction)
{
    struct kv_txn *t;
    kv_mem_faults(kv)->put_full_nth = 2;
    ASSERT_EQ(kv_begin(kv, true, &t), OK);
    EXPECT_EQ(kv_put(t, str("a"), str("1")), OK);
    EXPECT_EQ(kv_put(t, str("b"), str("1")), ERR_FULL);
    EXPECT_EQ(kv_put(t, str("c"), str("1")), ERR_FULL);
    EXPECT_EQ(kv_commit(t), ERR_FULL);
    EXPECT_EQ(committed("a"), "ERR_NOTFOUND");
}

TEST_F(KvMem, AFullDiskInTheCommitChangesNothing)
{
    struct kv_txn *t;
    kv_mem_faults(kv)->commit_full_nth = 1;
    ASSERT_EQ(kv_begin(kv, true, &t), OK);
    EXPECT_EQ(kv_put(t, str("a"), str("1")), OK);
    EXPECT_EQ(kv_commit(t), ERR_FULL);
    EXPECT_EQ(committed("a"), "ERR_NOTFOUND");
    put(kv, "a", "1");
}

TEST_F(KvMem, TheLimitIsAFullDiskAndDeletingMakesRoom)
{
    struct kv_txn *t;
    kv_mem_limit(kv, 100);
    put(kv, "a", std::string(90, 'x'));
    ASSERT_EQ(kv_begin(kv, true, &t), OK);
    EXPECT_EQ(kv_put(t, str("b"), str("0123456789")), ERR_FULL);
    kv_abort(t);
    ASSERT_EQ(kv_begin(kv, true, &t), OK);
    EXPECT_EQ(kv_del(t, str("a")), OK);
    EXPECT_EQ(kv_put(t, str("b"), str("0123456789")), OK);
    EXPECT_EQ(kv_commit(t), OK);
}

TEST_F(KvMem, ACorruptReadIsReported)
{
    struct kv_txn *t;
    struct slice v;
    put(kv, "a", "1");
    kv_mem_faults(kv)->get_corrupt_nth = 2;
    ASSERT_EQ(kv_begin(kv, false, &t), OK);
    EXPECT_EQ(kv_get(t, str("a"), &v), OK);
    EXPECT_EQ(kv_get(t, str("a"), &v), ERR_CORRUPT);
    kv_abort(t);
}

/* One transaction with inserts, replacements and deletes over committed (shared) nodes. */
enum err busy_transaction(struct kv *kv)
{
    struct kv_txn *t;
    enum err e = kv_begin(kv, true, &t);
    if (e != OK) {
        return e;
    }
    for (int i = 0; i < 40 && e == OK; i++) {
        std::string key = std::to_string(i * 7 % 40);
        e = i % 3 == 0 ? kv_del(t, str(key)) : kv_put(t, str(key), str("changed"));
        if (e == ERR_NOTFOUND) {
            e = OK;
        }
    }
    if (e != OK) {
        kv_abort(t);
        return e;
    }
    return kv_commit(t);
}

TEST_F(KvMem, OutOfMemoryAtAnyAllocationChangesNothing)
{
    for (int i = 0; i < 40; i++) {
        put(kv, std::to_string(i), "first");
    }
    for (uint64_t nth = 1;; nth++) {
        mem_fail_nth(nth);
        enum err e = busy_transaction(kv);
        bool fired = mem_fail_fired() != 0;
        mem_fail_nth(0);
        if (!fired) {
            EXPECT_EQ(e, OK);
            EXPECT_GT(nth, 40u);
            break;
        }
        ASSERT_EQ(e, ERR_NOMEM) << nth;
        for (int i = 0; i < 40; i++) {
            ASSERT_EQ(committed(std::to_string(i)), "first") << nth;
        }
    }
}

} // namespace
