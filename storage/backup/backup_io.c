#include "storage/backup/backup_io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/base/file.h"

#define MANIFEST "manifest"
#define MANIFEST_FRESH "manifest.new"

static enum err explain(struct buf *why, enum err e, const char *path, const char *what)
{
    enum err ignored = buf_printf(why, "%s: %s", path, what);
    (void)ignored; /* a courtesy: the error says enough */
    return e;
}

static enum err error_of(int number)
{
    return number == ENOSPC || number == EDQUOT || number == EFBIG ? ERR_FULL : ERR_IO;
}

static enum err path_join(const char *dir, const char *name, char out[BACKUP_PATH_BYTES_MAX], struct buf *why)
{
    int n = snprintf(out, BACKUP_PATH_BYTES_MAX, "%s/%s", dir, name);
    return n > 0 && n < BACKUP_PATH_BYTES_MAX ? OK : explain(why, ERR_LIMIT, dir, "the path is too long");
}

enum err backup_fd_write(void *ctx, struct slice bytes)
{
    int fd = *(const int *)ctx;
    while (bytes.n > 0) {
        ssize_t n = write(fd, bytes.p, bytes.n);
        if (n < 0 && errno != EINTR) {
            return error_of(errno);
        }
        bytes = slice_sub(bytes, n > 0 ? (size_t)n : 0, bytes.n);
    }
    return OK;
}

enum err backup_fd_read(void *ctx, void *p, size_t n, size_t *out_n)
{
    int fd = *(const int *)ctx;
    ssize_t got;
    do {
        got = read(fd, p, n);
    } while (got < 0 && errno == EINTR);
    *out_n = got > 0 ? (size_t)got : 0;
    return got < 0 ? ERR_IO : OK;
}

enum err backup_io_create(const char *dir, const char *name, int *out_fd, struct buf *why)
{
    char path[BACKUP_PATH_BYTES_MAX];
    enum err e = path_join(dir, name, path, why);
    if (e != OK) {
        return e;
    }
    *out_fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    return *out_fd < 0 ? explain(why, error_of(errno), path, strerror(errno)) : OK;
}

enum err backup_io_open(const char *dir, const char *name, int *out_fd, struct buf *why)
{
    char path[BACKUP_PATH_BYTES_MAX];
    enum err e = path_join(dir, name, path, why);
    if (e != OK) {
        return e;
    }
    *out_fd = open(path, O_RDONLY | O_CLOEXEC);
    return *out_fd < 0 ? explain(why, ERR_IO, path, strerror(errno)) : OK;
}

enum err backup_io_done(int fd)
{
    enum err e = fsync(fd) == 0 ? OK : error_of(errno);
    return close(fd) == 0 ? e : error_of(errno);
}

/* --- the directory --- */

static enum err dir_sync(const char *dir, struct buf *why)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return explain(why, ERR_IO, dir, strerror(errno));
    }
    bool good = fsync(fd) == 0;
    (void)close(fd); /* only read from */
    return good ? OK : explain(why, ERR_IO, dir, "cannot be flushed");
}

enum err backup_dir_load(const char *dir, struct backup_set *s, struct buf *why)
{
    char path[BACKUP_PATH_BYTES_MAX];
    struct buf text;
    backup_set_init(s);
    enum err e = path_join(dir, MANIFEST, path, why);
    if (e != OK) {
        return e;
    }
    if (access(path, F_OK) != 0 && errno == ENOENT) {
        return explain(why, ERR_NOTFOUND, dir, "holds no backup (no manifest)");
    }
    buf_init(&text, BACKUP_MANIFEST_BYTES_MAX);
    e = file_read(path, &text, why);
    if (e == OK) {
        e = backup_set_parse(path, buf_slice(&text), s, why);
    }
    buf_fini(&text);
    return e;
}

static enum err manifest_write(const char *dir, const struct backup_set *s, struct buf *why)
{
    struct buf text;
    int fd;
    buf_init(&text, BACKUP_MANIFEST_BYTES_MAX);
    enum err e = backup_set_print(s, &text);
    if (e == OK) {
        e = backup_io_create(dir, MANIFEST_FRESH, &fd, why);
    }
    if (e == OK) {
        enum err wrote = backup_fd_write(&fd, buf_slice(&text));
        e = backup_io_done(fd);
        e = wrote != OK ? wrote : e;
    }
    buf_fini(&text);
    return e;
}

enum err backup_dir_save(const char *dir, const struct backup_set *s, struct buf *why)
{
    char fresh[BACKUP_PATH_BYTES_MAX];
    char path[BACKUP_PATH_BYTES_MAX];
    enum err e = path_join(dir, MANIFEST_FRESH, fresh, why);
    if (e == OK) {
        e = path_join(dir, MANIFEST, path, why);
    }
    if (e == OK) {
        e = dir_sync(dir, why); /* the files' names */
    }
    if (e == OK) {
        e = manifest_write(dir, s, why);
    }
    if (e == OK && rename(fresh, path) != 0) {
        e = explain(why, ERR_IO, path, strerror(errno));
    }
    return e == OK ? dir_sync(dir, why) : e;
}

enum err backup_dir_make(const char *dir, struct buf *why)
{
    if (mkdir(dir, 0700) == 0) {
        return OK;
    }
    if (errno != EEXIST) {
        return explain(why, ERR_IO, dir, strerror(errno));
    }
    bool empty;
    enum err e = backup_dir_empty(dir, &empty, why);
    if (e == OK && !empty) {
        e = explain(why, ERR_NONEMPTY, dir, "is not empty");
    }
    return e;
}

enum err backup_dir_lock(const char *dir, int *out_fd, struct buf *why)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return explain(why, ERR_IO, dir, strerror(errno));
    }
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        (void)close(fd);
        return explain(why, ERR_LOCKED, dir, "another process works on this backup");
    }
    *out_fd = fd;
    return OK;
}
