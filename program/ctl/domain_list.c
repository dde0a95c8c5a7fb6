#include <stdio.h>

#include "program/ctl_list.h"

static void print(const Pb__DirectoryItem *item)
{
    printf("%s\n", item->name);
}

static int run(struct ctl *c, int argc, char **argv)
{
    (void)argv;
    if (argc > 0) {
        return CTL_USAGE;
    }
    return ctl_list(c, PB__READ_DIRECTORY_LIST__WHAT__DOMAINS, "", print);
}

CTL_CMD(domain_list) = {
    .name = "domain list",
    .args = "",
    .help = "list domains",
    .run = run,
};
