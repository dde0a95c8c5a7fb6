#include "disk_sim.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>

namespace disk
{

std::function<int(Kind, size_t *)> fault;
std::vector<Event> *record;
bool full;

namespace
{

constexpr size_t SECTOR = 512;

bool fails(Kind kind, size_t *io_n)
{
    int error = fault ? fault(kind, io_n) : 0;
    errno = error;
    return error != 0;
}

Kind kind_of(int fd)
{
    return (fcntl(fd, F_GETFL) & O_DSYNC) != 0 ? Kind::META : Kind::WRITE;
}

void remember(Kind kind, uint64_t offset, std::string bytes)
{
    if (record != nullptr) {
        record->push_back({kind, offset, std::move(bytes)});
    }
}

void put(std::string &image, uint64_t offset, const std::string &bytes)
{
    image.resize(std::max(image.size(), offset + bytes.size()));
    image.replace(offset, bytes.size(), bytes);
}

} // namespace

void Platter::take(const Event &e)
{
    if (e.kind == Kind::WRITE) {
        unsynced.push_back(e);
    } else if (e.kind == Kind::META) {
        put(synced, e.offset, e.bytes);
    } else {
        for (const Event &w : unsynced) {
            put(synced, w.offset, w.bytes);
        }
        unsynced.clear();
    }
}

std::string Platter::cut(const Event *last, double share, std::mt19937_64 &rng) const
{
    std::string image = synced;
    std::bernoulli_distribution arrives(share);
    std::vector<Event> all = unsynced;
    if (last != nullptr && last->kind != Kind::SYNC) {
        all.push_back(*last);
    }
    for (const Event &w : all) {
        /* Sectors are whole or not written at all; the file is as long as its last write if any of it arrived. */
        for (size_t at = 0; at < w.bytes.size(); at += SECTOR) {
            if (arrives(rng)) {
                put(image, w.offset + at, w.bytes.substr(at, SECTOR));
            }
        }
    }
    return image;
}

} // namespace disk

extern "C" {

ssize_t pwrite(int fd, const void *p, size_t n, off_t off)
{
    disk::Kind kind = disk::kind_of(fd);
    if (disk::fails(kind, &n)) {
        return -1;
    }
    ssize_t done = syscall(SYS_pwrite64, fd, p, n, off);
    if (done > 0) {
        disk::remember(kind, static_cast<uint64_t>(off),
                       std::string(static_cast<const char *>(p), static_cast<size_t>(done)));
    }
    return done;
}

ssize_t pwrite64(int fd, const void *p, size_t n, off_t off)
{
    return pwrite(fd, p, n, off);
}

ssize_t writev(int fd, const struct iovec *iov, int n)
{
    std::string bytes;
    for (int i = 0; i < n; i++) {
        bytes.append(static_cast<const char *>(iov[i].iov_base), iov[i].iov_len);
    }
    off_t off = lseek(fd, 0, SEEK_CUR);
    size_t length = bytes.size();
    if (disk::fails(disk::Kind::WRITE, &length)) {
        return -1;
    }
    bytes.resize(length);
    ssize_t done = syscall(SYS_write, fd, bytes.data(), bytes.size());
    if (done > 0) {
        disk::remember(disk::Kind::WRITE, static_cast<uint64_t>(off), bytes.substr(0, static_cast<size_t>(done)));
    }
    return done;
}

int fstatvfs(int, struct statvfs *out)
{
    *out = {};
    out->f_frsize = 4096;
    out->f_bavail = disk::full ? 1 : 1 << 20;
    return 0;
}

int fstatvfs64(int fd, struct statvfs64 *out)
{
    return fstatvfs(fd, reinterpret_cast<struct statvfs *>(out));
}

int fdatasync(int fd)
{
    size_t none = 0;
    if (disk::fails(disk::Kind::SYNC, &none)) {
        return -1;
    }
    /* No real flush: no test cuts the real power, and flushes are slow. */
    (void)fd;
    disk::remember(disk::Kind::SYNC, 0, "");
    return 0;
}
}
