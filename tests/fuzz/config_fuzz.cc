/* The configuration file: any bytes are loaded or refused with a reason, and what was loaded is printed as a file that
 * loads to the same. */
#include <cstdlib>
#include <string>
#include <sys/mman.h>
#include <unistd.h>

#include "program/config.h"

namespace
{

void must(bool x)
{
    if (!x) {
        abort();
    }
}

/* A file in memory; /proc names it, so nothing touches a disk. */
class MemoryFile
{
  public:
    MemoryFile(const uint8_t *p, size_t n) : fd_(memfd_create("config", MFD_CLOEXEC))
    {
        must(fd_ >= 0 && write(fd_, p, n) == static_cast<ssize_t>(n));
        path_ = "/proc/self/fd/" + std::to_string(fd_);
    }
    ~MemoryFile()
    {
        close(fd_);
    }
    const char *path() const
    {
        return path_.c_str();
    }

  private:
    int fd_;
    std::string path_;
};

/* Loads, and prints into `out`; false when it was refused. */
bool load(slice text, buf *out)
{
    MemoryFile file(text.p, text.n);
    config c;
    buf why;
    buf_init(&why, 64 * 1024);
    err e = config_load(&c, file.path(), nullptr, 0, &why);
    must(e == OK || why.len > 0);
    buf_fini(&why);
    if (e != OK) {
        return false;
    }
    must(config_print(&c, out) == OK);
    config_fini(&c);
    return true;
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    buf first;
    buf second;
    buf_init(&first, size_t{1} << 20);
    buf_init(&second, size_t{1} << 20);
    if (load(slice_make(data, size), &first)) {
        must(load(buf_slice(&first), &second));
        must(slice_eq(buf_slice(&first), buf_slice(&second)));
    }
    buf_fini(&first);
    buf_fini(&second);
    return 0;
}
