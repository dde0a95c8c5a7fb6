#include <unistd.h>

#include "storage/backup/backup_io.h"
#include "storage/backup/backup_restore.h"

#define STREAM "the stream"

/* What is read is written too: as it is in the stream, so it is in the files. */
struct receiving {
    backup_read_fn read;
    void *ctx;
    const char *dir;
    struct backup_set *set;
    struct buf *why;
    struct buf head; /* read before there is a file */
    int fd;          /* -1: none */
};

static enum err explain(struct receiving *x, enum err e, const char *what)
{
    enum err ignored = buf_printf(x->why, "%s: %s", STREAM, what);
    (void)ignored; /* a courtesy: the error says enough */
    return e;
}

static enum err tee(void *ctx, void *p, size_t n, size_t *out_n)
{
    struct receiving *x = ctx;
    enum err e = x->read(x->ctx, p, n, out_n);
    if (e != OK || *out_n == 0) {
        return e;
    }
    return x->fd < 0 ? buf_append(&x->head, p, *out_n) : backup_fd_write(&x->fd, slice_make(p, *out_n));
}

static enum err file_begin(struct receiving *x, const struct backup_head *h, struct backup_entry *f)
{
    memset(f, 0, sizeof(*f));
    f->kind = h->kind;
    f->shard = h->shard;
    f->first = h->first;
    backup_set_name(x->set, h->kind, h->shard, f->name);
    enum err e = backup_io_create(x->dir, f->name, &x->fd, x->why);
    return e == OK ? backup_fd_write(&x->fd, buf_slice(&x->head)) : e;
}

static enum err file_end(struct receiving *x, const struct backup_reader *r, struct backup_entry *f)
{
    const struct backup_end *end = backup_reader_end(r);
    enum err e = backup_io_done(x->fd);
    x->fd = -1;
    f->index = end->index;
    f->term = end->term;
    f->wall_ms = end->wall_ms;
    f->bytes = backup_reader_bytes(r);
    f->crc = backup_reader_crc(r);
    return e == OK ? backup_set_add(x->set, f) : e;
}

static enum err take_file(struct receiving *x, struct backup_reader *r)
{
    const struct backup_head *h = backup_reader_head(r);
    struct backup_entry f;
    struct slice block;
    if (x->set->n == 0) {
        x->set->cluster = h->cluster;
        x->set->shards = h->shards;
    }
    enum err e = file_begin(x, h, &f);
    while (e == OK) {
        e = backup_reader_next(r, &block, x->why);
    }
    return e == ERR_NOTFOUND ? file_end(x, r, &f) : e;
}

/* It must say what came. */
static enum err take_manifest(struct receiving *x, struct backup_reader *r)
{
    struct slice block;
    struct buf said;
    struct buf came;
    enum err e;
    buf_init(&said, BACKUP_MANIFEST_BYTES_MAX);
    buf_init(&came, BACKUP_MANIFEST_BYTES_MAX);
    while ((e = backup_reader_next(r, &block, x->why)) == OK) {
        e = buf_append_slice(&said, block);
        if (e != OK) {
            break;
        }
    }
    e = e == ERR_NOTFOUND ? backup_reader_expect_eof(r, x->why) : e;
    if (e == OK) {
        e = backup_set_print(x->set, &came);
    }
    if (e == OK && !slice_eq(buf_slice(&said), buf_slice(&came))) {
        e = explain(x, ERR_CORRUPT, "the manifest at its end is not that of the files before it");
    }
    buf_fini(&said);
    buf_fini(&came);
    return e;
}

/* *out_last: that was the manifest. */
static enum err take_next(struct receiving *x, bool *out_last)
{
    struct backup_reader *r;
    buf_reset(&x->head);
    enum err e = backup_reader_open(STREAM, tee, x, &r, x->why);
    if (e != OK) {
        return e == ERR_NOTFOUND ? explain(x, ERR_CORRUPT, "it ended without its manifest: it is not complete") : e;
    }
    *out_last = backup_reader_head(r)->kind == BACKUP_MANIFEST;
    e = *out_last ? take_manifest(x, r) : take_file(x, r);
    backup_reader_free(r);
    return e;
}

enum err backup_receive(const char *dir, backup_read_fn read, void *ctx, struct backup_set *out, struct buf *why)
{
    struct receiving x = {.read = read, .ctx = ctx, .dir = dir, .set = out, .why = why, .fd = -1};
    bool last = false;
    backup_set_init(out);
    buf_init(&x.head, BACKUP_MANIFEST_BYTES_MAX);
    enum err e = OK;
    while (e == OK && !last) {
        e = take_next(&x, &last);
    }
    if (e == OK) {
        e = backup_dir_save(dir, out, why);
    }
    if (x.fd >= 0) {
        (void)close(x.fd); /* a broken-off file, which no manifest names */
    }
    buf_fini(&x.head);
    if (e != OK) {
        backup_set_fini(out);
    }
    return e;
}
