#include <stdio.h>

#include "program/ctl_list.h"

static void print(const Pb__DirectoryItem *item)
{
    printf("%s\t", item->name);
    for (size_t i = 0; i < item->n_targets; i++) {
        printf("%s%s", i > 0 ? " " : "", item->targets[i]);
    }
    putchar('\n');
}

static int run(struct ctl *c, int argc, char **argv)
{
    if (argc > 1) {
        return CTL_USAGE;
    }
    return ctl_list(c, PB__READ_DIRECTORY_LIST__WHAT__ALIASES, argc == 1 ? argv[0] : "", print);
}

CTL_CMD(alias_list) = {
    .name = "alias list",
    .args = "[DOMAIN]",
    .help = "list aliases",
    .run = run,
};
