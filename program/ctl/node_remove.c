#include <stdio.h>

#include "program/ctl_nodes.h"

static int run(struct ctl *c, int argc, char **argv)
{
    Pb__OpNodeSet op = PB__OP_NODE_SET__INIT;
    bool force = ctl_flag(&argc, argv, "--force");
    uint32_t holds = 0;
    if (argc != 1) {
        return CTL_USAGE;
    }
    if (!ctl_node_id(argv[0], &op.node)) {
        return 1;
    }
    enum err e = force ? OK : ctl_node_holds(c, op.node, &holds);
    if (e != OK) {
        return ctl_fail("node remove", argv[0], e);
    }
    if (holds > 0) {
        fprintf(stderr,
                "pillarbox ctl: node remove: node %s has replicas of %u shards: `node drain` it first, or --force if "
                "it is lost\n",
                argv[0], holds);
        return 1;
    }
    op.remove = true;
    return ctl_node_set(c, "node remove", &op);
}

CTL_CMD(node_remove) = {
    .name = "node remove",
    .args = "NODE [--force]",
    .help = "take a drained node out of the cluster for good; --force: one that is lost, with what it held",
    .run = run,
};
