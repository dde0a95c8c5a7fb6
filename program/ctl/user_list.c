#include <stdio.h>

#include "program/ctl_list.h"

static void print(const Pb__DirectoryItem *item)
{
    printf("%s\taccount=%llu\tshard=%u\n", item->name, (unsigned long long)item->account, item->shard);
}

static int run(struct ctl *c, int argc, char **argv)
{
    if (argc > 1) {
        return CTL_USAGE;
    }
    return ctl_list(c, PB__READ_DIRECTORY_LIST__WHAT__ACCOUNTS, argc == 1 ? argv[0] : "", print);
}

CTL_CMD(user_list) = {
    .name = "user list",
    .args = "[DOMAIN]",
    .help = "list users",
    .run = run,
};
