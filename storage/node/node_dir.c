#include "storage/node/node_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "proto/base/rng.h"

#define FILE_BYTES_MAX 4096
#define PATH_BYTES_MAX 4096

static enum err explain(struct buf *why, enum err e, const char *path, const char *what)
{
    enum err ignored = buf_printf(why, "%s: %s", path, what);
    (void)ignored; /* a courtesy: the error says enough */
    return e;
}

static enum err path_join(char *out, const char *dir, const char *name)
{
    int n = snprintf(out, PATH_BYTES_MAX, "%s/%s", dir, name);
    return n > 0 && n < PATH_BYTES_MAX ? OK : ERR_LIMIT;
}

static enum err file_read(const char *path, char text[FILE_BYTES_MAX])
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return errno == ENOENT ? ERR_NOTFOUND : ERR_IO;
    }
    ssize_t n = read(fd, text, FILE_BYTES_MAX - 1);
    close(fd);
    if (n < 0) {
        return ERR_IO;
    }
    text[n] = '\0';
    return OK;
}

/* The value of "name value\n"; empty when there is no such line. */
static struct slice line_value(const char *text, const char *name)
{
    size_t n = strlen(name);
    for (const char *p = text; *p != '\0'; p += strcspn(p, "\n"), p += *p == '\n') {
        if (strncmp(p, name, n) == 0 && p[n] == ' ') {
            return slice_make(p + n + 1, strcspn(p + n + 1, "\n"));
        }
    }
    return slice_make(NULL, 0);
}

static enum err identity_parse(const char *path, const char *text, struct node_identity *out, struct buf *why)
{
    struct node_identity id;
    uint64_t format;
    uint64_t shards;
    if (slice_u64(line_value(text, "pillarbox-data"), &format) != OK) {
        return explain(why, ERR_CORRUPT, path, "not a Pillarbox data directory's node.id");
    }
    if (format != NODE_DIR_FORMAT) {
        return explain(why, ERR_UNSUPPORTED, path, "written by another version of Pillarbox");
    }
    if (u128_from_hex(line_value(text, "cluster"), &id.cluster) != OK ||
        slice_u64(line_value(text, "node"), &id.node.v) != OK || id.node.v == 0 ||
        slice_u64(line_value(text, "shards"), &shards) != OK || shards == 0 || shards > UINT16_MAX) {
        return explain(why, ERR_CORRUPT, path, "damaged: cluster, node and shards are expected");
    }
    id.shards = (uint32_t)shards;
    *out = id;
    return OK;
}

enum err node_dir_read(const char *path, struct node_identity *out, struct buf *why)
{
    char file[PATH_BYTES_MAX];
    char text[FILE_BYTES_MAX];
    enum err e = path_join(file, path, "node.id");
    if (e == OK) {
        e = file_read(file, text);
    }
    if (e != OK) {
        return explain(why, e, path, e == ERR_NOTFOUND ? "holds no Pillarbox data (no node.id)" : strerror(errno));
    }
    return identity_parse(file, text, out, why);
}

static enum err synced_write(const char *path, const char *text, size_t n)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) {
        return ERR_IO;
    }
    bool good = write(fd, text, n) == (ssize_t)n && fsync(fd) == 0;
    good = close(fd) == 0 && good;
    return good ? OK : ERR_IO;
}

static enum err dir_sync(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return ERR_IO;
    }
    bool good = fsync(fd) == 0;
    close(fd);
    return good ? OK : ERR_IO;
}

static enum err identity_make(const char *path, uint32_t shards, struct node_identity *out)
{
    char hex[33];
    char text[FILE_BYTES_MAX];
    char file[PATH_BYTES_MAX];
    char fresh[PATH_BYTES_MAX];
    struct node_identity id = {.cluster = rng_u128(rng_system()), .node = {1}, .shards = shards};
    u128_hex(&id.cluster, hex);
    int n = snprintf(text, sizeof(text), "pillarbox-data %d\ncluster %s\nnode %llu\nshards %u\n", NODE_DIR_FORMAT, hex,
                     (unsigned long long)id.node.v, id.shards);
    enum err e = path_join(file, path, "node.id");
    if (e == OK) {
        e = path_join(fresh, path, "node.id.new");
    }
    if (e == OK) {
        e = synced_write(fresh, text, (size_t)n);
    }
    if (e == OK && rename(fresh, file) != 0) {
        e = ERR_IO;
    }
    if (e == OK) {
        e = dir_sync(path);
    }
    if (e == OK) {
        e = path_join(fresh, path, "..");
    }
    if (e == OK) {
        e = dir_sync(fresh); /* the folder's own name, which may be as new */
    }
    if (e == OK) {
        *out = id;
    }
    return e;
}

enum err node_dir_open(const char *path, uint32_t shards, struct node_identity *out, struct buf *why)
{
    char store[PATH_BYTES_MAX];
    if (mkdir(path, 0700) != 0 && errno != EEXIST) {
        return explain(why, ERR_IO, path, strerror(errno));
    }
    struct buf quiet;
    buf_init(&quiet, 1024);
    enum err e = node_dir_read(path, out, &quiet);
    if (e == ERR_NOTFOUND) {
        if (path_join(store, path, "volume.mdb") == OK && access(store, F_OK) == 0) {
            e = explain(why, ERR_CORRUPT, path,
                        "has a store but no node.id: put the file back, or move the store away");
        } else {
            e = identity_make(path, shards, out);
            e = e == OK ? OK : explain(why, e, path, strerror(errno));
        }
    } else if (e != OK) {
        enum err ignored = buf_append_slice(why, buf_slice(&quiet));
        (void)ignored;
    }
    buf_fini(&quiet);
    return e;
}

uint64_t node_dir_free_bytes(const char *path)
{
    struct statvfs s;
    if (statvfs(path, &s) != 0) {
        return UINT64_MAX; /* unknown: the write itself will say ENOSPC */
    }
    return (uint64_t)s.f_bavail * s.f_frsize;
}
