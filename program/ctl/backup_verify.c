#include <stdio.h>

#include "program/ctl.h"
#include "storage/backup/backup_restore.h"

/* All files are read, also behind one that is damaged. */
static int verify(const char *dir, const struct backup_set *set, struct buf *why)
{
    uint64_t bytes = 0;
    uint64_t records = 0;
    size_t bad = 0;
    for (size_t i = 0; i < set->n; i++) {
        uint64_t n = 0;
        buf_reset(why);
        enum err e = backup_verify_file(dir, set, &set->files[i], &n, why);
        if (e != OK) {
            struct slice w = buf_slice(why);
            printf("%.*s\n", (int)w.n, (const char *)w.p);
            bad++;
        }
        records += n;
        bytes += set->files[i].bytes;
    }
    printf("%zu files, %llu bytes, %llu rows and entries, %zu damaged\n", set->n, (unsigned long long)bytes,
           (unsigned long long)records, bad);
    return bad == 0 ? 0 : 1;
}

static int run(struct ctl *c, int argc, char **argv)
{
    struct backup_set set;
    struct buf why;
    int rc = 1;
    (void)c;
    if (argc != 1) {
        return CTL_USAGE;
    }
    buf_init(&why, 8192);
    enum err e = backup_dir_load(argv[0], &set, &why);
    if (e == OK) {
        rc = verify(argv[0], &set, &why);
        backup_set_fini(&set);
    } else {
        struct slice w = buf_slice(&why);
        fprintf(stderr, "pillarbox ctl: backup verify: %.*s\n", (int)w.n, (const char *)w.p);
    }
    buf_fini(&why);
    return rc;
}

CTL_CMD(backup_verify) = {
    .name = "backup verify",
    .args = "DIR",
    .help = "read a backup and check all of it, without restoring",
    .run = run,
};
