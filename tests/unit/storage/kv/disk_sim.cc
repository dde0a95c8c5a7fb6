#include "disk_sim.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <sstream>

namespace disk
{

std::function<int(const Event &, size_t *)> fault;
std::vector<Event> *record;
bool full;

namespace
{

constexpr size_t SECTOR = 512;
const std::string VOLUME = "volume.mdb";

/* false: a file that is none of the volume's. */
bool name_of(int fd, std::string *out)
{
    char path[4096];
    std::string link = "/proc/self/fd/" + std::to_string(fd);
    ssize_t n = readlink(link.c_str(), path, sizeof(path));
    std::string name(path, n > 0 ? static_cast<size_t>(n) : 0);
    size_t at = name.rfind(VOLUME);
    *out = at == std::string::npos ? "" : name.substr(at + VOLUME.size());
    return at != std::string::npos;
}

bool fails(const Event &e, size_t *io_n)
{
    int error = fault ? fault(e, io_n) : 0;
    errno = error;
    return error != 0;
}

void remember(Event e, const std::string &bytes)
{
    if (record != nullptr) {
        e.bytes = bytes;
        record->push_back(std::move(e));
    }
}

void put(std::string &image, uint64_t offset, const std::string &bytes)
{
    image.resize(std::max(image.size(), offset + bytes.size()));
    image.replace(offset, bytes.size(), bytes);
}

/* The volume's files in a folder, but for LMDB's table of readers. */
std::string names_in(int fd)
{
    std::string names;
    for (const auto &entry : std::filesystem::directory_iterator("/proc/self/fd/" + std::to_string(fd))) {
        std::string name = entry.path().filename();
        if (name.rfind(VOLUME, 0) == 0 && name != VOLUME + "-lock") {
            names += name.substr(VOLUME.size()) + "\n";
        }
    }
    return names;
}

} // namespace

void Platter::take(const Event &e)
{
    if (e.kind == Kind::WRITE) {
        unsynced.push_back(e);
        return;
    }
    if (e.kind == Kind::NAMES) {
        std::istringstream names(e.bytes);
        for (std::string name; std::getline(names, name);) {
            synced[name];
        }
        return;
    }
    std::vector<Event> others;
    for (const Event &w : unsynced) {
        if (w.file == e.file) {
            put(synced[w.file], w.offset, w.bytes);
        } else {
            others.push_back(w);
        }
    }
    unsynced = others;
}

Image Platter::cut(const Event *last, double share, std::mt19937_64 &rng) const
{
    Image image = synced;
    std::bernoulli_distribution arrives(share);
    std::vector<Event> all = unsynced;
    if (last != nullptr && last->kind == Kind::WRITE) {
        all.push_back(*last);
    }
    for (const Event &w : all) {
        /* Sectors are whole or not written at all; the file is as long as its last write if any of it arrived. */
        for (size_t at = 0; at < w.bytes.size(); at += SECTOR) {
            if (arrives(rng)) {
                put(image[w.file], w.offset + at, w.bytes.substr(at, SECTOR));
            }
        }
    }
    return image;
}

} // namespace disk

extern "C" {

ssize_t pwrite(int fd, const void *p, size_t n, off_t off)
{
    disk::Event e = {disk::Kind::WRITE, "", static_cast<uint64_t>(off), ""};
    bool ours = disk::name_of(fd, &e.file);
    if (ours && disk::fails(e, &n)) {
        return -1;
    }
    ssize_t done = syscall(SYS_pwrite64, fd, p, n, off);
    if (ours && done > 0) {
        disk::remember(e, std::string(static_cast<const char *>(p), static_cast<size_t>(done)));
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
    disk::Event e = {disk::Kind::WRITE, "", static_cast<uint64_t>(lseek(fd, 0, SEEK_CUR)), ""};
    bool ours = disk::name_of(fd, &e.file);
    size_t length = bytes.size();
    if (ours && disk::fails(e, &length)) {
        return -1;
    }
    bytes.resize(length);
    ssize_t done = syscall(SYS_write, fd, bytes.data(), bytes.size());
    if (ours && done > 0) {
        disk::remember(e, bytes.substr(0, static_cast<size_t>(done)));
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

/* Of the volume's folder. */
int fsync(int fd)
{
    struct stat st;
    if (disk::record != nullptr && fstat(fd, &st) == 0 && S_ISDIR(st.st_mode)) {
        disk::remember({disk::Kind::NAMES, "", 0, ""}, disk::names_in(fd));
    }
    return 0;
}

int fdatasync(int fd)
{
    disk::Event e = {disk::Kind::SYNC, "", 0, ""};
    size_t none = 0;
    bool ours = disk::name_of(fd, &e.file);
    if (ours && disk::fails(e, &none)) {
        return -1;
    }
    /* No real flush: no test cuts the real power, and flushes are slow. */
    if (ours) {
        disk::remember(e, "");
    }
    return 0;
}
}
