#include <stdio.h>
#include <unistd.h>

#include "program/ctl.h"
#include "storage/backup/backup_io.h"
#include "storage/backup/backup_restore.h"

static enum err receive(const char *dir, struct backup_set *set, struct buf *why)
{
    int in = STDIN_FILENO;
    int lock = -1;
    enum err e = backup_dir_make(dir, why);
    if (e == OK) {
        e = backup_dir_lock(dir, &lock, why);
    }
    if (e == OK) {
        e = backup_receive(dir, backup_fd_read, &in, set, why);
    }
    if (lock >= 0) {
        (void)close(lock);
    }
    return e;
}

static int run(struct ctl *c, int argc, char **argv)
{
    struct backup_set set;
    struct buf why;
    (void)c;
    if (argc != 1) {
        return CTL_USAGE;
    }
    buf_init(&why, 8192);
    enum err e = receive(argv[0], &set, &why);
    if (e == OK) {
        printf("%s: %zu files\n", argv[0], set.n);
        backup_set_fini(&set);
    } else {
        struct slice w = buf_slice(&why);
        fprintf(stderr, "pillarbox ctl: backup receive: %.*s%s%s\n", (int)w.n, (const char *)w.p, w.n > 0 ? ": " : "",
                err_text(e));
    }
    buf_fini(&why);
    return e == OK ? 0 : 1;
}

CTL_CMD(backup_receive) = {
    .name = "backup receive",
    .args = "DIR",
    .help = "a directory of what `backup -` writes, from stdin; it must be new or empty",
    .run = run,
};
