#include "program/ctl.h"

static int run(struct ctl *c, int argc, char **argv)
{
    if (argc != 1) {
        return CTL_USAGE;
    }
    Pb__OpAliasSet op = PB__OP_ALIAS_SET__INIT;
    op.address = argv[0];
    op.remove = 1;
    enum err e = ctl_call(c, (struct shard_id){0}, (struct account_id){0}, METHOD_ALIAS_SET, &op.base, NULL);
    return e == OK ? 0 : ctl_fail("alias remove", argv[0], e);
}

CTL_CMD(alias_remove) = {
    .name = "alias remove",
    .args = "ADDRESS",
    .help = "remove an alias",
    .run = run,
};
