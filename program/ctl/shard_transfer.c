#include "program/ctl_nodes.h"

static bool leads(const Pb__ReadShardResult *s, uint64_t node)
{
    return s->leader == node;
}

static bool votes(struct ctl *c, uint32_t shard, uint64_t node)
{
    const Pb__ReadShardResult *s;
    if (ctl_shard(c, shard, &s) != OK) {
        return false;
    }
    for (size_t i = 0; i < s->n_servers; i++) {
        if (s->servers[i]->node == node && s->servers[i]->voter) {
            return true;
        }
    }
    return false;
}

static int run(struct ctl *c, int argc, char **argv)
{
    Pb__OpShardSet op = PB__OP_SHARD_SET__INIT;
    bool no_wait = ctl_flag(&argc, argv, "--no-wait");
    if (argc != 2) {
        return CTL_USAGE;
    }
    if (!ctl_shard_number(c, argv[0], &op.shard) || !ctl_node_id(argv[1], &op.leader)) {
        return 1;
    }
    if (!votes(c, op.shard, op.leader)) {
        return ctl_fail("shard transfer: the node is no voter of the shard (see `pillarbox ctl shard status`)", argv[1],
                        ERR_INVAL);
    }
    int status = ctl_shard_set(c, "shard transfer", &op);
    return status != 0 || no_wait ? status : ctl_shard_wait(c, "shard transfer", op.shard, leads, op.leader);
}

CTL_CMD(shard_transfer) = {
    .name = "shard transfer",
    .args = "SHARD NODE [--no-wait]",
    .help = "let a voter lead a shard, now and whenever it is there",
    .run = run,
};
