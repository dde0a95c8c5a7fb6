#include "proto/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static enum err complain(struct buf *why, const char *path, const char *what, enum err e)
{
    if (why != NULL && buf_printf(why, "%s: %s", path, what) != OK) {
        buf_reset(why); /* the text is an extra */
    }
    return e;
}

static enum err read_all(int fd, struct buf *out)
{
    for (;;) {
        uint8_t *p;
        enum err e = buf_reserve(out, 4096, &p);
        if (e != OK) {
            return e;
        }
        ssize_t n = read(fd, p, 4096);
        if (n == 0) {
            return OK;
        }
        if (n < 0 && errno != EINTR) {
            return ERR_IO;
        }
        buf_commit(out, n > 0 ? (size_t)n : 0);
    }
}

enum err file_read(const char *path, struct buf *out, struct buf *why)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return complain(why, path, strerror(errno), ERR_IO);
    }
    enum err e = read_all(fd, out);
    (void)close(fd); /* only read from */
    return e == OK ? OK : complain(why, path, e == ERR_IO ? "cannot be read" : err_text(e), e);
}
