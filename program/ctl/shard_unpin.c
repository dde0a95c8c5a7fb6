#include "program/ctl_nodes.h"

static int run(struct ctl *c, int argc, char **argv)
{
    Pb__OpShardSet op = PB__OP_SHARD_SET__INIT;
    if (argc != 1) {
        return CTL_USAGE;
    }
    if (!ctl_shard_number(c, argv[0], &op.shard)) {
        return 1;
    }
    op.unpin = true;
    return ctl_shard_set(c, "shard unpin", &op);
}

CTL_CMD(shard_unpin) = {
    .name = "shard unpin",
    .args = "SHARD",
    .help = "let a shard that was moved or transferred go where its number belongs again",
    .run = run,
};
