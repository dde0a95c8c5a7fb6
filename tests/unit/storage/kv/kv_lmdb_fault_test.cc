/* LMDB's own writes fail: at one kind of write, and at each in turn. */
#include <errno.h>
#include <sys/wait.h>
#include <unistd.h>

#include "disk_sim.h"
#include "kv_fixture.h"

namespace
{

using disk::Kind;

/* Every write or sync of that kind fails so. */
std::function<int(Kind, size_t *)> always(Kind kind, int error)
{
    return [=](Kind k, size_t *) { return k == kind ? error : 0; };
}

int short_write(Kind kind, size_t *io_n)
{
    if (kind == Kind::WRITE) {
        *io_n /= 2;
    }
    return 0;
}

class Fallible : public testing::Test
{
  protected:
    void SetUp() override
    {
        ASSERT_EQ(open_lmdb(dir.file(), &kv), OK);
        put(kv, "a", "1");
    }
    void TearDown() override
    {
        disk::fault = nullptr;
        disk::full = false;
        kv_close(kv);
    }
    enum err commit_with(const std::function<int(Kind, size_t *)> &f)
    {
        struct kv_txn *t;
        EXPECT_EQ(kv_begin(kv, true, &t), OK);
        EXPECT_EQ(kv_put(t, str("a"), str("2")), OK);
        EXPECT_EQ(kv_put(t, str("big"), str(std::string(20000, 'x'))), OK);
        disk::fault = f;
        enum err e = kv_commit(t);
        disk::fault = nullptr;
        return e;
    }
    std::string value()
    {
        struct kv_txn *t;
        EXPECT_EQ(kv_begin(kv, false, &t), OK);
        std::string v = get(t, "a");
        kv_abort(t);
        return v;
    }
    /* The store must abort the process rather than go on. */
    void expect_abort(const std::function<int(Kind, size_t *)> &f)
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

TEST_F(Fallible, NoSpaceForThePagesIsAFullDiskAndNothingChanged)
{
    EXPECT_EQ(commit_with(always(Kind::WRITE, ENOSPC)), ERR_FULL);
    EXPECT_EQ(value(), "1");
    EXPECT_EQ(commit_with(nullptr), OK);
    EXPECT_EQ(value(), "2");
    kv_close(kv);
    ASSERT_EQ(open_lmdb(dir.file(), &kv), OK);
    EXPECT_EQ(value(), "2");
}

TEST_F(Fallible, AnInputOutputErrorInAPageStopsTheProcess)
{
    expect_abort(always(Kind::WRITE, EIO));
}

TEST_F(Fallible, AShortWriteOnADiskWithRoomStopsTheProcess)
{
    expect_abort(short_write);
}

TEST_F(Fallible, AShortWriteOnAFullDiskIsAFullDiskAndNothingChanged)
{
    disk::full = true;
    EXPECT_EQ(commit_with(short_write), ERR_FULL);
    EXPECT_EQ(value(), "1");
    EXPECT_EQ(commit_with(nullptr), OK);
    EXPECT_EQ(value(), "2");
}

TEST_F(Fallible, AFailedFlushStopsTheProcess)
{
    expect_abort(always(Kind::SYNC, EIO));
}

TEST_F(Fallible, AFailedFlushOnAFullDiskStopsTheProcessToo)
{
    disk::full = true;
    expect_abort(always(Kind::SYNC, EIO));
    expect_abort(always(Kind::WRITE, EIO));
}

TEST_F(Fallible, AFailedMetaPageStopsTheProcess)
{
    expect_abort(always(Kind::META, EIO));
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
    /* The n-th event of a kind (from 0) fails so, once. */
    void fail_at(Kind kind, size_t n, int error, bool shorten = false)
    {
        seen = 0;
        disk::fault = [=, this](Kind k, size_t *io_n) {
            if (k != kind || seen++ != n) {
                return 0;
            }
            if (shorten) {
                *io_n = *io_n > 512 ? 512 : 1;
                return 0;
            }
            return error;
        };
    }
    size_t events_of(Kind kind)
    {
        QuickDir dir;
        struct kv *kv = nullptr;
        seen = 0;
        EXPECT_EQ(open_lmdb(dir.file(), &kv), OK);
        disk::fault = [=, this](Kind k, size_t *) {
            seen += k == kind;
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
    size_t writes = events_of(Kind::WRITE);
    ASSERT_GT(writes, size_t{COMMITS});
    for (size_t n = 0; n < writes; n++) {
        QuickDir dir;
        struct kv *kv = nullptr;
        ASSERT_EQ(open_lmdb(dir.file(), &kv), OK);
        fail_at(Kind::WRITE, n, ENOSPC);
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
        kv_close(kv);
        ASSERT_EQ(open_lmdb(dir.file(), &kv), OK);
        EXPECT_EQ(last_commit(kv), COMMITS - 1);
        kv_close(kv);
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
        if (freopen("/dev/null", "w", stderr) == nullptr || acked == nullptr || open_lmdb(dir.file(), &kv) != OK) {
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
    ASSERT_EQ(open_lmdb(dir.file(), &kv, 0, false, &why), OK) << what << ' ' << n << ": " << why;
    int last = last_commit(kv);
    EXPECT_TRUE(last == acked - 1 || last == acked)
        << what << ' ' << n << ": " << acked << " acknowledged, last is " << last;
    kv_close(kv);
}

TEST_F(EachInTurn, AnInputOutputErrorAtAnyWriteOrFlushStopsTheProcessAndLosesNone)
{
    const struct {
        Kind kind;
        const char *what;
    } kinds[] = {{Kind::WRITE, "write"}, {Kind::SYNC, "flush"}, {Kind::META, "meta page"}};
    for (auto [kind, what] : kinds) {
        size_t events = events_of(kind);
        ASSERT_GE(events, size_t{COMMITS}) << what;
        for (size_t n = 0; n < events; n++) {
            expect_abort_and_nothing_lost([&] { fail_at(kind, n, EIO); }, what, n);
        }
    }
}

TEST_F(EachInTurn, AShortWriteAnywhereOnADiskWithRoomStopsTheProcessAndLosesNone)
{
    for (Kind kind : {Kind::WRITE, Kind::META}) {
        size_t events = events_of(kind);
        for (size_t n = 0; n < events; n++) {
            expect_abort_and_nothing_lost([&] { fail_at(kind, n, 0, true); }, "short write", n);
        }
    }
}

} // namespace
