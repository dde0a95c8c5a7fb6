/* LMDB's own writes, interposed: this program's pwrite, writev and fdatasync stand in front of libc's. */
#include <errno.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kv_fixture.h"

namespace
{

enum class Fault { NONE, DATA_ENOSPC, DATA_SHORT, DATA_EIO, SYNC_EIO, META_EIO };
Fault fault = Fault::NONE;
bool disk_full = false;

constexpr size_t META_WRITE_MAX = 1024; /* LMDB writes pages of 4 KiB; the meta page's tail is far smaller */

} // namespace

extern "C" {

ssize_t pwrite(int fd, const void *p, size_t n, off_t off)
{
    bool meta = n < META_WRITE_MAX;
    if ((fault == Fault::DATA_ENOSPC && !meta) || (fault == Fault::META_EIO && meta)) {
        errno = fault == Fault::META_EIO ? EIO : ENOSPC;
        return -1;
    }
    if (fault == Fault::DATA_EIO && !meta) {
        errno = EIO;
        return -1;
    }
    if (fault == Fault::DATA_SHORT && !meta) {
        n /= 2;
    }
    return syscall(SYS_pwrite64, fd, p, n, off);
}

ssize_t pwrite64(int fd, const void *p, size_t n, off_t off)
{
    return pwrite(fd, p, n, off);
}

ssize_t writev(int fd, const struct iovec *iov, int n)
{
    if (fault == Fault::DATA_ENOSPC || fault == Fault::DATA_EIO) {
        errno = fault == Fault::DATA_EIO ? EIO : ENOSPC;
        return -1;
    }
    if (fault == Fault::DATA_SHORT) {
        return syscall(SYS_write, fd, iov[0].iov_base, iov[0].iov_len / 2);
    }
    return syscall(SYS_writev, fd, iov, n);
}

int fstatvfs(int, struct statvfs *out)
{
    *out = {};
    out->f_frsize = 4096;
    out->f_bavail = disk_full ? 1 : 1 << 20;
    return 0;
}

int fstatvfs64(int fd, struct statvfs64 *out)
{
    return fstatvfs(fd, reinterpret_cast<struct statvfs *>(out));
}

int fdatasync(int fd)
{
    if (fault == Fault::SYNC_EIO) {
        errno = EIO;
        return -1;
    }
    return static_cast<int>(syscall(SYS_fdatasync, fd));
}
}

namespace
{

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
        fault = Fault::NONE;
        disk_full = false;
        kv_close(kv);
    }
    enum err commit_with(Fault f)
    {
        struct kv_txn *t;
        EXPECT_EQ(kv_begin(kv, true, &t), OK);
        EXPECT_EQ(kv_put(t, str("a"), str("2")), OK);
        EXPECT_EQ(kv_put(t, str("big"), str(std::string(20000, 'x'))), OK);
        fault = f;
        enum err e = kv_commit(t);
        fault = Fault::NONE;
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
    void expect_abort(Fault f)
    {
        EXPECT_EXIT(
            {
                enum err e = commit_with(f);
                _exit(e == OK ? 0 : 1);
            },
            testing::KilledBySignal(SIGABRT), "kv.fatal");
    }
    TempDir dir;
    struct kv *kv = nullptr;
};

TEST_F(Fallible, NoSpaceForThePagesIsAFullDiskAndNothingChanged)
{
    EXPECT_EQ(commit_with(Fault::DATA_ENOSPC), ERR_FULL);
    EXPECT_EQ(value(), "1");
    EXPECT_EQ(commit_with(Fault::NONE), OK);
    EXPECT_EQ(value(), "2");
    kv_close(kv);
    ASSERT_EQ(open_lmdb(dir.file(), &kv), OK);
    EXPECT_EQ(value(), "2");
}

TEST_F(Fallible, AnInputOutputErrorInAPageStopsTheProcess)
{
    expect_abort(Fault::DATA_EIO);
}

TEST_F(Fallible, AShortWriteOnADiskWithRoomStopsTheProcess)
{
    expect_abort(Fault::DATA_SHORT);
}

TEST_F(Fallible, AShortWriteOnAFullDiskIsAFullDiskAndNothingChanged)
{
    disk_full = true;
    EXPECT_EQ(commit_with(Fault::DATA_SHORT), ERR_FULL);
    EXPECT_EQ(value(), "1");
    EXPECT_EQ(commit_with(Fault::NONE), OK);
    EXPECT_EQ(value(), "2");
}

TEST_F(Fallible, AFailedFlushStopsTheProcess)
{
    expect_abort(Fault::SYNC_EIO);
}

TEST_F(Fallible, AFailedFlushOnAFullDiskStopsTheProcessToo)
{
    disk_full = true;
    expect_abort(Fault::SYNC_EIO);
    expect_abort(Fault::DATA_EIO);
}

TEST_F(Fallible, AFailedMetaPageStopsTheProcess)
{
    expect_abort(Fault::META_EIO);
}

} // namespace
