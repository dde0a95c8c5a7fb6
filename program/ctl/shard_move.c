#include <stdio.h>

#include "program/ctl_nodes.h"

static bool has(const Pb__ReadShardResult *s, uint64_t node)
{
    for (size_t i = 0; i < s->n_servers; i++) {
        if (s->servers[i]->node == node && s->servers[i]->voter) {
            return true;
        }
    }
    return false;
}

/* The group's voters, with `to` in the place of `from`. */
static int pin(struct ctl *c, const Pb__ReadShardResult *s, uint64_t from, uint64_t to)
{
    uint64_t nodes[16];
    Pb__OpShardSet op = PB__OP_SHARD_SET__INIT;
    op.shard = s->shard;
    op.nodes = nodes;
    for (size_t i = 0; i < s->n_servers && op.n_nodes < sizeof(nodes) / sizeof(nodes[0]); i++) {
        if (s->servers[i]->voter) {
            nodes[op.n_nodes++] = s->servers[i]->node == from ? to : s->servers[i]->node;
        }
    }
    return ctl_shard_set(c, "shard move", &op);
}

static int run(struct ctl *c, int argc, char **argv)
{
    const Pb__ReadShardResult *s;
    uint32_t shard;
    uint64_t from;
    uint64_t to;
    bool no_wait = ctl_flag(&argc, argv, "--no-wait");
    if (argc != 3) {
        return CTL_USAGE;
    }
    if (!ctl_shard_number(c, argv[0], &shard) || !ctl_node_id(argv[1], &from) || !ctl_node_id(argv[2], &to)) {
        return 1;
    }
    enum err e = ctl_shard(c, shard, &s);
    if (e != OK) {
        return ctl_fail("shard move", argv[0], e);
    }
    if (!has(s, from) || has(s, to)) {
        fprintf(stderr, "pillarbox ctl: shard move: node %s %s of shard %u (see `pillarbox ctl shard status`)\n",
                has(s, from) ? argv[2] : argv[1], has(s, from) ? "is a voter already" : "is no voter", shard);
        return 1;
    }
    int status = pin(c, s, from, to);
    return status != 0 || no_wait ? status : ctl_shard_wait(c, "shard move", shard, has, to);
}

CTL_CMD(shard_move) = {
    .name = "shard move",
    .args = "SHARD FROM-NODE TO-NODE [--no-wait]",
    .help = "let another node take a node's place in a shard's group, and pin the group so; mail goes on meanwhile",
    .run = run,
};
