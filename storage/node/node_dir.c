#include "storage/node/node_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "proto/base/rng.h"
#include "proto/rpc/level.h"

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
    if (format != NODE_DIR_FORMAT && format != NODE_DIR_FORMAT_LEVEL) {
        return explain(why, ERR_UNSUPPORTED, path, "written by another version of Pillarbox");
    }
    uint64_t level = LEVEL_FIRST;
    if (format == NODE_DIR_FORMAT_LEVEL && slice_u64(line_value(text, "level"), &level) != OK) {
        return explain(why, ERR_CORRUPT, path, "damaged: a level is expected");
    }
    if (level < LEVEL_FIRST || level > LEVEL_NOW) {
        return explain(why, ERR_UNSUPPORTED, path,
                       "the cluster uses what this program does not know yet: run the newer version again");
    }
    if (u128_from_hex(line_value(text, "cluster"), &id.cluster) != OK ||
        slice_u64(line_value(text, "node"), &id.node.v) != OK || id.node.v == 0 ||
        slice_u64(line_value(text, "shards"), &shards) != OK || shards == 0 || shards > UINT16_MAX) {
        return explain(why, ERR_CORRUPT, path, "damaged: cluster, node and shards are expected");
    }
    id.shards = (uint32_t)shards;
    id.made = slice_eq_str(line_value(text, "made"), "yes");
    id.level = (uint8_t)level;
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

/* Whole or absent: under another name first, flushed, then its own, and the directory flushed. */
static enum err file_put(const char *path, const char *name, const char *text, bool replace)
{
    char file[PATH_BYTES_MAX];
    char fresh[PATH_BYTES_MAX];
    enum err e = path_join(file, path, name);
    /* Another process may be doing the same: who comes first wins, by link. */
    if (e == OK && snprintf(fresh, sizeof(fresh), "%s.%d", file, (int)getpid()) >= (int)sizeof(fresh)) {
        e = ERR_LIMIT;
    }
    if (e == OK) {
        e = synced_write(fresh, text, strlen(text));
    }
    if (e == OK && (replace ? rename(fresh, file) : link(fresh, file)) != 0) {
        e = errno == EEXIST ? ERR_EXISTS : ERR_IO;
    }
    if (!replace) {
        (void)unlink(fresh);
    }
    return e == OK ? dir_sync(path) : e;
}

static enum err identity_put(const char *path, const struct node_identity *id, bool replace)
{
    char hex[33];
    char text[FILE_BYTES_MAX];
    char level[32] = "";
    int format = NODE_DIR_FORMAT;
    u128_hex(&id->cluster, hex);
    if (id->level > LEVEL_FIRST) {
        format = NODE_DIR_FORMAT_LEVEL;
        snprintf(level, sizeof(level), "level %u\n", id->level);
    }
    snprintf(text, sizeof(text), "pillarbox-data %d\ncluster %s\nnode %llu\nshards %u\n%s%s", format, hex,
             (unsigned long long)id->node.v, id->shards, id->made ? "made yes\n" : "", level);
    return file_put(path, "node.id", text, replace);
}

static enum err dir_make(const char *path, struct buf *why)
{
    char parent[PATH_BYTES_MAX];
    if (mkdir(path, 0700) != 0) {
        return errno == EEXIST ? OK : explain(why, ERR_IO, path, strerror(errno));
    }
    enum err e = path_join(parent, path, "..");
    if (e == OK) {
        e = dir_sync(parent); /* the folder's own name */
    }
    return e == OK ? OK : explain(why, e, parent, strerror(errno));
}

static bool dir_has(const char *path, const char *name)
{
    char file[PATH_BYTES_MAX];
    return path_join(file, path, name) == OK && access(file, F_OK) == 0;
}

/* Its files (storage/kv/README.md): any of them is somebody's. */
static bool dir_has_store(const char *path)
{
    return dir_has(path, "volume.mdb") || dir_has(path, "volume.mdb-checkpoint") || dir_has(path, "volume.mdb-wal0") ||
           dir_has(path, "volume.mdb-wal1");
}

static enum err first_identity(const char *path, const struct node_identity *id, struct buf *why)
{
    if (dir_has_store(path)) {
        return explain(why, ERR_CORRUPT, path,
                       "has a store (volume.mdb, volume.mdb-*) but no node.id: put the file back, or move all of the "
                       "store away");
    }
    enum err e = identity_put(path, id, false);
    if (e == ERR_EXISTS) {
        return explain(why, e, path, "has a node.id already");
    }
    return e == OK ? OK : explain(why, e, path, strerror(errno));
}

static struct node_identity fresh_identity(uint32_t shards)
{
    return (struct node_identity){
        .cluster = rng_u128(rng_system()), .node = {1}, .shards = shards, .level = LEVEL_FIRST};
}

enum err node_dir_found(const char *path, uint32_t shards, struct node_identity *out, struct buf *why)
{
    struct node_identity id = fresh_identity(shards);
    enum err e = dir_make(path, why);
    if (e == OK && !dir_has(path, "node.id")) {
        e = first_identity(path, &id, why);
    } else if (e == OK) {
        e = explain(why, ERR_EXISTS, path, "has a node.id already");
    }
    if (e == OK) {
        *out = id;
    }
    return e;
}

enum err node_dir_adopt(const char *path, const struct node_identity *id, struct buf *why)
{
    struct node_identity have;
    if (dir_has(path, "node.id")) {
        enum err e = node_dir_read(path, &have, why);
        if (e != OK) {
            return e;
        }
        bool same = u128_eq(&have.cluster, &id->cluster) && have.node.v == id->node.v && have.shards == id->shards;
        return same ? OK : explain(why, ERR_EXISTS, path, "belongs to another node or cluster");
    }
    return first_identity(path, id, why);
}

enum err node_dir_made(const char *path, struct node_identity *io_id, struct buf *why)
{
    struct node_identity id = *io_id;
    id.made = true;
    enum err e = identity_put(path, &id, true);
    if (e == OK) {
        io_id->made = true; /* nothing else: other threads read the rest */
    }
    return e == OK ? OK : explain(why, e, path, strerror(errno));
}

enum err node_dir_level(const char *path, uint8_t level, struct node_identity *io_id, struct buf *why)
{
    struct node_identity id = *io_id;
    id.level = level;
    enum err e = identity_put(path, &id, true);
    if (e == OK) {
        io_id->level = level;
    }
    return e == OK ? OK : explain(why, e, path, strerror(errno));
}

enum err node_dir_restored(const char *path, const struct node_identity *id, struct buf *why)
{
    enum err e = identity_put(path, id, false);
    if (e == ERR_EXISTS) {
        return explain(why, e, path, "has a node.id already");
    }
    return e == OK ? OK : explain(why, e, path, strerror(errno));
}

static enum err token_make(const char *path, struct u128 *out, struct buf *why)
{
    char hex[33];
    char text[FILE_BYTES_MAX];
    struct u128 token = rng_u128(rng_system());
    u128_hex(&token, hex);
    snprintf(text, sizeof(text), "pillarbox-claim 1\ntoken %s\n", hex);
    enum err e = file_put(path, "node.claim", text, true);
    if (e != OK) {
        return explain(why, e, path, strerror(errno));
    }
    *out = token;
    return OK;
}

enum err node_dir_claim_token(const char *path, struct u128 *out, struct buf *why)
{
    char file[PATH_BYTES_MAX];
    char text[FILE_BYTES_MAX];
    enum err e = dir_make(path, why);
    if (e != OK) {
        return e;
    }
    e = path_join(file, path, "node.claim");
    if (e == OK) {
        e = file_read(file, text);
    }
    if (e == ERR_NOTFOUND) {
        return token_make(path, out, why);
    }
    if (e != OK) {
        return explain(why, e, path, strerror(errno));
    }
    if (!slice_eq_str(line_value(text, "pillarbox-claim"), "1") ||
        u128_from_hex(line_value(text, "token"), out) != OK) {
        return explain(why, ERR_CORRUPT, file, "damaged: a token is expected");
    }
    return OK;
}

enum err node_dir_open(const char *path, uint32_t shards, struct node_identity *out, struct buf *why)
{
    struct node_identity fresh = fresh_identity(shards);
    enum err e = dir_make(path, why);
    if (e != OK) {
        return e;
    }
    if (!dir_has(path, "node.id")) {
        e = first_identity(path, &fresh, why);
        if (e == OK) {
            *out = fresh;
        }
        return e;
    }
    e = node_dir_read(path, out, why);
    if (e == OK && out->made && !dir_has(path, "volume.mdb")) {
        e = explain(why, ERR_CORRUPT, path,
                    "its store (volume.mdb) is gone, and with it the votes of this node: put it back "
                    "beside the volume.mdb-* that belong to it, or empty the directory and let the node join anew "
                    "(`pillarbox ctl node add --replace`)");
    }
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
