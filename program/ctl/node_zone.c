#include "program/ctl_nodes.h"

static int run(struct ctl *c, int argc, char **argv)
{
    Pb__OpNodeSet op = PB__OP_NODE_SET__INIT;
    if (argc != 2 || argv[1][0] == '\0') {
        return CTL_USAGE;
    }
    if (!ctl_node_id(argv[0], &op.node)) {
        return 1;
    }
    op.zone = argv[1];
    return ctl_node_set(c, "node zone", &op);
}

CTL_CMD(node_zone) = {
    .name = "node zone",
    .args = "NODE ZONE",
    .help = "say in which zone (rack, building) a node is: a shard's replicas are spread over zones",
    .run = run,
};
