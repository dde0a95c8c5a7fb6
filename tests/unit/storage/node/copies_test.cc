/* Backups pull copies and logs from a node. What a copy holds: tests/unit/replication/backup_test.cc. */
#include <future>

#include "node_fixture.hh"
#include "replication/restore.h"
#include "replication/saved.h"

namespace
{

struct Batch {
    enum err status = OK;
    uint64_t sequence = 0;
    bool last = false;
    uint64_t index = 0;
    uint64_t term = 0;
    uint64_t wall_ms = 0;
    std::string rows;
};

class Copies : public NodeTest
{
  protected:
    Batch pull(uint32_t shard, uint64_t copy, uint64_t arrived)
    {
        Pb__ReadBackupRows q = PB__READ_BACKUP_ROWS__INIT;
        Batch b;
        q.copy = copy;
        q.arrived = arrived;
        Answer a = call(shard, 0, METHOD_BACKUP_ROWS, &q.base);
        b.status = a.e();
        b.rows = a.attach;
        if (b.status == OK) {
            Pb__ReadBackupRowsResult *r = pb__read_backup_rows_result__unpack(
                nullptr, a.meta.size(), reinterpret_cast<const uint8_t *>(a.meta.data()));
            b.sequence = r->sequence;
            b.last = r->last;
            b.index = r->index;
            b.term = r->term;
            b.wall_ms = r->wall_ms;
            pb__read_backup_rows_result__free_unpacked(r, nullptr);
        }
        return b;
    }
    void fill(int mails)
    {
        make_domain();
        Account alice = make_account("alice", 1);
        for (int i = 0; i < mails; i++) {
            ASSERT_EQ(OK, deliver(message("mail " + std::to_string(i), 50000), alice).e());
        }
    }
};

TEST_F(Copies, AShardIsPulledBatchByBatchAndItsLogGoesOnFromThere)
{
    up();
    fill(20);
    Batch b;
    uint64_t rows = 0;
    do {
        b = pull(1, 5, b.sequence);
        ASSERT_EQ(OK, b.status);
        uint64_t n = 0;
        ASSERT_EQ(OK, restore_rows_check(slice_make(b.rows.data(), b.rows.size()), &n));
        rows += n;
    } while (!b.last);
    EXPECT_GT(b.sequence, 4u) << "a megabyte";
    EXPECT_GT(rows, 250u);
    EXPECT_GT(b.index, 20u);
    uint64_t now = clock_wall_ms(clock_system());
    EXPECT_TRUE(b.wall_ms <= now && b.wall_ms + 10000 > now);

    Pb__ReadBackupLog q = PB__READ_BACKUP_LOG__INIT;
    q.index = b.index + 1;
    q.term_before = b.term;
    Answer a = call(1, 0, METHOD_BACKUP_LOG, &q.base);
    ASSERT_EQ(OK, a.e());
    EXPECT_EQ("", a.attach);
    Account bob = make_account("bob", 1);
    a = call(1, 0, METHOD_BACKUP_LOG, &q.base);
    ASSERT_EQ(OK, a.e());
    struct slice rest = slice_make(a.attach.data(), a.attach.size());
    struct repl_entry e;
    ASSERT_EQ(OK, saved_entry_get(&rest, &e));
    EXPECT_EQ(b.index + 1, e.head.index);
    EXPECT_EQ(REPL_ENTRY_COMMAND, e.head.type);
    q.term_before++;
    EXPECT_EQ(ERR_STALE, call(1, 0, METHOD_BACKUP_LOG, &q.base).e());
}

TEST_F(Copies, WhatIsNoPullIsRefused)
{
    up();
    EXPECT_EQ(ERR_INVAL, pull(1, 0, 0).status) << "a copy has a number";
    EXPECT_EQ(ERR_STALE, pull(1, 5, 3).status);
    EXPECT_EQ(ERR_NOTFOUND, pull(77, 5, 0).status) << "no such shard";
    struct rpc_call c = call_of(1, 0, METHOD_BACKUP_ROWS, "\xff\xff", "");
    EXPECT_EQ(ERR_INVAL, run(&c).e());
}

TEST_F(Copies, AnotherBackupIsToldToWait)
{
    up();
    fill(10);
    ASSERT_EQ(OK, pull(1, 5, 0).status);
    EXPECT_EQ(ERR_LOCKED, pull(1, 6, 0).status);
    EXPECT_EQ(OK, pull(2, 6, 0).status);
}

TEST_F(Copies, ANodeThatIsAloneKeepsAsMuchLogAsItIsTold)
{
    for (uint64_t bytes : {UINT64_C(0), UINT64_C(64) << 20}) {
        sole_log_bytes = bytes;
        up();
        Batch b;
        while (!b.last) {
            b = pull(1, 5, b.sequence);
            ASSERT_EQ(OK, b.status);
        }
        make_domain();
        Account alice = make_account("alice", 1);
        for (int i = 0; i < 400; i++) { /* 8 MB, and more than 256 */
            ASSERT_EQ(OK, deliver(message("mail", 20000), alice).e());
        }
        Pb__ReadBackupLog q = PB__READ_BACKUP_LOG__INIT;
        q.index = b.index + 1;
        q.term_before = b.term;
        enum err want = bytes == 0 ? ERR_NOTFOUND : OK;
        EXPECT_TRUE(eventually([&] { return call(1, 0, METHOD_BACKUP_LOG, &q.base).e() == want; })) << bytes;
        down();
        std::filesystem::remove_all(dir);
    }
}

/* Whoever waits for a batch while the node stops is answered: it would not stop otherwise. */
TEST_F(Copies, ANodeStopsWhileABackupWaitsForTheRate)
{
    copy_bytes_per_s = 300000;
    up();
    fill(40); /* 2 MB, the first of which goes at once */
    std::atomic<uint64_t> arrived{0};
    std::promise<enum err> last;
    std::thread receiver([&] {
        Batch b;
        do {
            b = pull(1, 9, arrived);
            arrived = b.status == OK ? b.sequence : arrived.load();
        } while (b.status == OK && !b.last);
        last.set_value(b.status);
    });
    EXPECT_TRUE(eventually([&] { return arrived >= 5; }));
    std::this_thread::sleep_for(std::chrono::milliseconds(100)); /* the next one waits */
    auto before = std::chrono::steady_clock::now();
    node_stop(node);
    node = nullptr;
    EXPECT_LT(std::chrono::steady_clock::now() - before, std::chrono::seconds(8));
    EXPECT_EQ(ERR_SHUTDOWN, last.get_future().get());
    receiver.join();
}

} // namespace
