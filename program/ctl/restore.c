#include <stdio.h>
#include <stdlib.h>

#include "program/ctl_restore.h"
#include "program/ctl_time.h"
#include "proto/base/clock.h"

#define PREFIX_DEFAULT "Restored"
#define TMP_DEFAULT "/var/tmp"

static bool parse_until(const char *text, uint64_t *out)
{
    *out = BACKUP_NOW;
    if (text == NULL) {
        return true;
    }
    if (ctl_time_parse(text, clock_wall_ms(clock_system()), out) == OK) {
        *out += *out % 1000 == 0 ? 999 : 0; /* a second counts to its end */
        return true;
    }
    fprintf(
        stderr,
        "pillarbox ctl: restore: --until %s: a time is like 2026-11-30T09:15:02Z (without Z: of this machine's zone), "
        "@1764500000 or \"2h\" ago\n",
        text);
    return false;
}

static const char *tmp_default(void)
{
    const char *tmp = getenv("TMPDIR");
    return tmp != NULL && tmp[0] != '\0' ? tmp : TMP_DEFAULT;
}

static int restore(struct ctl *c, const struct restore_asked *a)
{
    struct backup_set set;
    struct buf why;
    buf_init(&why, 8192);
    enum err e = backup_dir_load(a->from, &set, &why);
    if (e != OK) {
        struct slice w = buf_slice(&why);
        fprintf(stderr, "pillarbox ctl: restore: %.*s\n", (int)w.n, (const char *)w.p);
        buf_fini(&why);
        return 1;
    }
    buf_fini(&why);
    int rc = a->account == NULL ? ctl_restore_cluster(c, &set, a) : ctl_restore_account(c, &set, a);
    backup_set_fini(&set);
    return rc;
}

static int run(struct ctl *c, int argc, char **argv)
{
    struct restore_asked a = {.from = ctl_option(&argc, argv, "--from"),
                              .account = ctl_option(&argc, argv, "--account"),
                              .mailbox = ctl_option(&argc, argv, "--mailbox"),
                              .to = ctl_option(&argc, argv, "--to"),
                              .prefix = ctl_option(&argc, argv, "--prefix"),
                              .tmp = ctl_option(&argc, argv, "--tmp")};
    const char *until = ctl_option(&argc, argv, "--until");
    bool of_account = a.mailbox != NULL || a.to != NULL || a.prefix != NULL || a.tmp != NULL;
    if (argc != 0 || a.from == NULL || (a.account == NULL && of_account)) {
        return CTL_USAGE;
    }
    if (!parse_until(until, &a.until_ms)) {
        return 1;
    }
    a.to = a.to == NULL ? a.account : a.to;
    a.prefix = a.prefix == NULL ? PREFIX_DEFAULT : a.prefix;
    a.tmp = a.tmp == NULL ? tmp_default() : a.tmp;
    return restore(c, &a);
}

CTL_CMD(restore) = {
    .name = "restore",
    .args = "--from DIR [--until TIME] [--account NAME [--mailbox NAME] [--to NAME] [--prefix FOLDER] [--tmp DIR]]",
    .help = "from a backup: a new cluster's first node in an empty --data DIR, or one account's mail into the running "
            "cluster, below the folder Restored",
    .run = run,
};
