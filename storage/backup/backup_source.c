/* A file that a manifest names, read and compared with what it says. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "storage/backup/backup_io.h"

static enum err explain(struct buf *why, enum err e, const char *path, const char *what)
{
    enum err ignored = buf_printf(why, "%s: %s", path, what);
    (void)ignored; /* a courtesy: the error says enough */
    return e;
}

enum err backup_dir_empty(const char *dir, bool *out, struct buf *why)
{
    DIR *d = opendir(dir);
    if (d == NULL) {
        return explain(why, ERR_IO, dir, strerror(errno));
    }
    *out = true;
    for (const struct dirent *it = readdir(d); it != NULL; it = readdir(d)) {
        *out = *out && (strcmp(it->d_name, ".") == 0 || strcmp(it->d_name, "..") == 0);
    }
    closedir(d);
    return OK;
}

static bool head_agrees(const struct backup_head *h, const struct backup_set *set, const struct backup_entry *f)
{
    return h->kind == f->kind && u128_eq(&h->cluster, &set->cluster) && h->shards == set->shards &&
           h->shard.v == f->shard.v && h->first == f->first;
}

enum err backup_source_open(const char *dir, const struct backup_set *set, const struct backup_entry *entry,
                            struct backup_source *out, struct buf *why)
{
    snprintf(out->path, sizeof(out->path), "%s/%s", dir, entry->name);
    out->entry = entry;
    enum err e = backup_io_open(dir, entry->name, &out->fd, why);
    if (e != OK) {
        return e;
    }
    e = backup_reader_open(out->path, backup_fd_read, &out->fd, &out->reader, why);
    if (e == ERR_NOTFOUND) {
        e = explain(why, ERR_CORRUPT, out->path, "at byte 0: the file is empty");
    }
    if (e != OK) {
        (void)close(out->fd); /* only read from */
        return e;
    }
    if (!head_agrees(backup_reader_head(out->reader), set, entry)) {
        backup_source_close(out);
        return explain(why, ERR_CORRUPT, out->path, "at byte 0: another file than the manifest says");
    }
    return OK;
}

static enum err compare_end(struct backup_source *s, struct buf *why)
{
    const struct backup_end *end = backup_reader_end(s->reader);
    const struct backup_entry *f = s->entry;
    enum err e = backup_reader_expect_eof(s->reader, why);
    if (e != OK) {
        return e;
    }
    bool same = end->index == f->index && end->term == f->term && end->wall_ms == f->wall_ms &&
                backup_reader_bytes(s->reader) == f->bytes && backup_reader_crc(s->reader) == f->crc;
    return same ? ERR_NOTFOUND : explain(why, ERR_CORRUPT, s->path, "another file than the manifest says");
}

enum err backup_source_next(struct backup_source *s, struct slice *out, struct buf *why)
{
    enum err e = backup_reader_next(s->reader, out, why);
    return e == ERR_NOTFOUND ? compare_end(s, why) : e;
}

void backup_source_close(struct backup_source *s)
{
    backup_reader_free(s->reader);
    (void)close(s->fd); /* only read from */
}
