/* Writes and flushes of the store's files fail: at one kind, and at each in turn. */
#include <errno.h>
#include <sys/wait.h>
#include <unistd.h>

#include "disk_sim.h"
#include "kv_fixture.h"

namespace
{

using disk::Event;
using disk::Kind;
using Is = std::function<bool(const Event &)>;
using Fault = std::function<int(const Event &, size_t *)>;

bool is_page(const Event &e)
{
    return e.kind == Kind::WRITE && e.file.empty() && !e.is_meta();
}

bool is_meta(const Event &e)
{
    return e.is_meta();
}

bool is_log_write(const Event &e)
{
    return e.kind == Kind::WRITE && e.is_log();
}

bool is_slot(const Event &e)
{
    return e.kind == Kind::WRITE && e.file == "-checkpoint";
}

bool is_sync(const Event &e)
{
    return e.kind == Kind::SYNC;
}

/* Every such event fails so. */
Fault always(const Is &is, int error)
{
    return [=](const Event &e, size_t *) { return is(e) ? error : 0; };
}

/* Each such write does only half. */
Fault short_writes(const Is &is)
{
    return [=](const Event &e, size_t *io_n) {
        if (is(e)) {
            *io_n /= 2;
        }
        return 0;
    };
}

constexpr uint64_t CHECKPOINT_BYTES = 12 << 10; /* every few commits */

class Fallible : public testing::Test
{
  protected:
    void SetUp() override
    {
        ASSERT_EQ(open_lmdb(dir.file(), &kv, 0, CHECKPOINT_BYTES), OK);
        put(kv, "a", "1");
    }
    void TearDown() override
    {
        disk::fault = nullptr;
        disk::full = false;
        kv_close(kv);
    }
    enum err commit_with(const Fault &f)
    {
        struct kv_txn *t;
        EXPECT_EQ(kv_begin(kv, true, &t), OK);
        EXPECT_EQ(kv_put(t, str("a"), str("2")), OK);
        EXPECT_EQ(kv_put(t, str("big"), str(std::string(300000, 'x'))), OK); /* the log's file grows */
        disk::fault = f;
        enum err e = kv_commit(t);
        disk::fault = nullptr;
        return e;
    }
    static std::string value(struct kv *kv)
    {
        struct kv_txn *t;
        EXPECT_EQ(kv_begin(kv, false, &t), OK);
        std::string v = get(t, "a");
        kv_abort(t);
        return v;
    }
    std::string value()
    {
        return value(kv);
    }
    /* What the next process finds should this one die now. */
    std::string value_after_a_crash()
    {
        QuickDir other;
        struct kv *again = nullptr;
        copy_volume(dir.file(), other.file());
        EXPECT_EQ(open_lmdb(other.file(), &again), OK);
        std::string v = value(again);
        kv_close(again);
        return v;
    }
    void expect_full(const Fault &f)
    {
        EXPECT_EQ(commit_with(f), ERR_FULL);
        EXPECT_EQ(value(), "1");
        EXPECT_EQ(value_after_a_crash(), "1");
        EXPECT_EQ(commit_with(nullptr), OK);
        EXPECT_EQ(value(), "2");
        EXPECT_EQ(value_after_a_crash(), "2");
    }
    /* The store must abort the process rather than go on. */
    void expect_abort(const Fault &f)
    {
        EXPECT_EXIT(
            {
                enum err e = commit_with(f);
                _exit(e == OK ? 0 : 1);
            },
            testing::KilledBySignal(SIGABRT), "kv.fatal");
    }
    QuickDir dir;
    struct kv *kv = nullptr;
};

TEST_F(Fallible, NoSpaceForTheLogIsAFullDiskAndNothingChanged)
{
    expect_full(always(is_log_write, ENOSPC));
}

/* The record is in the log by then: it is taken back. */
TEST_F(Fallible, NoSpaceForThePagesIsAFullDiskAndNothingChangedNorDoesTheLogBringItBack)
{
    expect_full(always(is_page, ENOSPC));
}

TEST_F(Fallible, AnInputOutputErrorStopsTheProcess)
{
    for (const Is &is : {Is(is_log_write), Is(is_page), Is(is_meta), Is(is_slot), Is(is_sync)}) {
        expect_abort(always(is, EIO));
    }
}

TEST_F(Fallible, NoSpaceForARecordThatTakesBackStopsTheProcess)
{
    expect_abort([](const Event &e, size_t *) {
        static bool failed;
        failed = failed || is_page(e);
        return is_page(e) || (failed && is_log_write(e)) ? ENOSPC : 0;
    });
}

TEST_F(Fallible, AShortWriteOfPagesOnADiskWithRoomStopsTheProcess)
{
    expect_abort(short_writes(is_page));
}

TEST_F(Fallible, AShortWriteOfTheLogIsGoneOnWith)
{
    EXPECT_EQ(commit_with([](const Event &e, size_t *io_n) {
                  *io_n = is_log_write(e) && *io_n > 1000 ? 1000 : *io_n;
                  return 0;
              }),
              OK);
    EXPECT_EQ(value_after_a_crash(), "2");
}

TEST_F(Fallible, AShortWriteOnAFullDiskIsAFullDiskAndNothingChanged)
{
    disk::full = true;
    expect_full(short_writes(is_page));
}

TEST_F(Fallible, AFailureOnAFullDiskStopsTheProcessToo)
{
    disk::full = true;
    expect_abort(always(is_sync, EIO));
    expect_abort(always(is_page, EIO));
}

/* --- opening what was not closed --- */

/* A copy of a store that died with a record in its log. */
class Unreplayed : public Fallible
{
  protected:
    void SetUp() override
    {
        Fallible::SetUp();
        put(kv, "a", "2");
        copy_volume(dir.file(), died.file());
    }
    enum err open_with(const Fault &f)
    {
        disk::fault = f;
        enum err e = open_lmdb(died.file(), &again, 0, CHECKPOINT_BYTES);
        disk::fault = nullptr;
        return e;
    }
    void expect_full_then_whole(const Fault &f)
    {
        EXPECT_EQ(open_with(f), ERR_FULL);
        EXPECT_EQ(open_with(f), ERR_FULL);
        ASSERT_EQ(open_with(nullptr), OK) << "there is space again";
        EXPECT_EQ(value(again), "2");
        kv_close(again);
    }
    QuickDir died;
    struct kv *again = nullptr;
};

TEST_F(Unreplayed, NoSpaceToCarryOutTheLogIsAFullDiskAndTheNextOpenDoesIt)
{
    expect_full_then_whole(always(is_page, ENOSPC));
}

TEST_F(Unreplayed, AShortWriteOnAFullDiskIsNoOtherCase)
{
    disk::full = true;
    expect_full_then_whole(short_writes(is_page));
}

TEST_F(Unreplayed, AnInputOutputErrorLetsNobodyInAndLosesNothing)
{
    auto refused = [](int status) { return !WIFEXITED(status) || WEXITSTATUS(status) == 1; };
    for (const Is &is : {Is(is_page), Is(is_meta), Is(is_slot), Is(is_sync)}) {
        copy_volume(dir.file(), died.file());
        EXPECT_EXIT(
            {
                enum err e = open_with(always(is, EIO));
                _exit(e == OK ? 0 : 1);
            },
            refused, "");
        ASSERT_EQ(open_with(nullptr), OK);
        EXPECT_EQ(value(again), "2");
        kv_close(again);
    }
}

/* --- each write in turn --- */

constexpr int COMMITS = 8;

std::string value_of(int i)
{
    return std::string(1000 + 700 * static_cast<size_t>(i), static_cast<char>('a' + i));
}

enum err commit_number(struct kv *kv, int i)
{
    struct kv_txn *t;
    EXPECT_EQ(kv_begin(kv, true, &t), OK);
    EXPECT_EQ(kv_put(t, str("key" + std::to_string(i % 5)), str(value_of(i))), OK);
    EXPECT_EQ(kv_put(t, str("last"), str(std::to_string(i))), OK);
    return kv_commit(t);
}

/* The number of the last commit; what it and those before it wrote must be there. */
int last_commit(struct kv *kv)
{
    struct kv_txn *t;
    EXPECT_EQ(kv_begin(kv, false, &t), OK);
    std::string last = get(t, "last");
    int n = last == "ERR_NOTFOUND" ? -1 : std::stoi(last);
    for (int i = n < 4 ? 0 : n - 4; i <= n; i++) {
        EXPECT_EQ(get(t, "key" + std::to_string(i % 5)), value_of(i)) << "commit " << i;
    }
    kv_abort(t);
    return n;
}

class EachInTurn : public testing::Test
{
  protected:
    void TearDown() override
    {
        disk::fault = nullptr;
    }
    /* The n-th such event (from 0) fails so, once. */
    void fail_at(const Is &is, size_t n, int error, bool shorten = false)
    {
        seen = 0;
        disk::fault = [=, this](const Event &e, size_t *io_n) {
            if (!is(e) || seen++ != n) {
                return 0;
            }
            if (shorten) {
                *io_n = *io_n > 512 ? 512 : 1;
                return 0;
            }
            return error;
        };
    }
    size_t events_of(const Is &is)
    {
        QuickDir dir;
        struct kv *kv = nullptr;
        seen = 0;
        EXPECT_EQ(open_lmdb(dir.file(), &kv, 0, CHECKPOINT_BYTES), OK);
        disk::fault = [=, this](const Event &e, size_t *) {
            seen += is(e);
            return 0;
        };
        for (int i = 0; i < COMMITS; i++) {
            EXPECT_EQ(commit_number(kv, i), OK);
        }
        disk::fault = nullptr;
        disk::full = false;
        kv_close(kv);
        return seen;
    }
    size_t seen = 0;
};

TEST_F(EachInTurn, NoSpaceAtAnyWriteRefusesThatCommitAndLosesNone)
{
    auto is = [](const Event &e) { return is_page(e) || is_log_write(e); };
    size_t writes = events_of(is);
    ASSERT_GT(writes, size_t{2 * COMMITS});
    for (size_t n = 0; n < writes; n++) {
        QuickDir dir;
        QuickDir crashed;
        struct kv *kv = nullptr;
        ASSERT_EQ(open_lmdb(dir.file(), &kv, 0, CHECKPOINT_BYTES), OK);
        fail_at(is, n, ENOSPC);
        int refused = 0;
        for (int i = 0; i < COMMITS; i++) {
            enum err e = commit_number(kv, i);
            if (e != OK) {
                EXPECT_EQ(e, ERR_FULL);
                EXPECT_EQ(last_commit(kv), i - 1) << "write " << n;
                refused++;
                EXPECT_EQ(commit_number(kv, i), OK) << "space is free again";
            }
            EXPECT_EQ(last_commit(kv), i);
        }
        EXPECT_EQ(refused, 1) << "write " << n;
        disk::fault = nullptr;
        disk::full = false;
        copy_volume(dir.file(), crashed.file());
        kv_close(kv);
        for (const QuickDir *d : {&dir, &crashed}) {
            ASSERT_EQ(open_lmdb(d->file(), &kv), OK);
            EXPECT_EQ(last_commit(kv), COMMITS - 1);
            kv_close(kv);
        }
    }
}

/* In a child: commits until the process dies. Returns how many were acknowledged, by the file that it grows. */
void expect_abort_and_nothing_lost(const std::function<void()> &arm, const char *what, size_t n)
{
    QuickDir dir;
    struct kv *kv = nullptr;
    std::string acked_path = dir.path + "/acked";
    ASSERT_EQ(open_lmdb(dir.file(), &kv), OK);
    kv_close(kv);
    pid_t pid = fork();
    if (pid == 0) {
        FILE *acked = fopen(acked_path.c_str(), "w");
        if (freopen("/dev/null", "w", stderr) == nullptr || acked == nullptr ||
            open_lmdb(dir.file(), &kv, 0, CHECKPOINT_BYTES) != OK) {
            _exit(2);
        }
        arm();
        for (int i = 0; i < COMMITS && commit_number(kv, i) == OK; i++) {
            fputc('x', acked);
            fflush(acked);
        }
        _exit(0);
    }
    int status = 0;
    ASSERT_EQ(waitpid(pid, &status, 0), pid);
    EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT) << what << ' ' << n << ": the process went on";
    int acked = static_cast<int>(std::filesystem::file_size(acked_path));
    std::string why;
    ASSERT_EQ(open_lmdb(dir.file(), &kv, 0, CHECKPOINT_BYTES, &why), OK) << what << ' ' << n << ": " << why;
    int last = last_commit(kv);
    EXPECT_TRUE(last == acked - 1 || last == acked)
        << what << ' ' << n << ": " << acked << " acknowledged, last is " << last;
    kv_close(kv);
}

TEST_F(EachInTurn, AnInputOutputErrorAtAnyWriteOrFlushStopsTheProcessAndLosesNone)
{
    const struct {
        Is is;
        const char *what;
    } kinds[] = {
        {is_page, "page"}, {is_log_write, "log"}, {is_sync, "flush"}, {is_meta, "meta page"}, {is_slot, "checkpoint"}};
    for (const auto &[is, what] : kinds) {
        size_t events = events_of(is);
        ASSERT_GE(events, size_t{2}) << what;
        for (size_t n = 0; n < events; n++) {
            expect_abort_and_nothing_lost([&] { fail_at(is, n, EIO); }, what, n);
        }
    }
}

TEST_F(EachInTurn, AShortWriteAnywhereInTheVolumeOnADiskWithRoomStopsTheProcessAndLosesNone)
{
    for (const Is &is : {Is(is_page), Is(is_meta)}) {
        size_t events = events_of(is);
        for (size_t n = 0; n < events; n++) {
            expect_abort_and_nothing_lost([&] { fail_at(is, n, 0, true); }, "short write", n);
        }
    }
}

} // namespace
